/** Stands in for a function whose handler is an ES module; see warm-up.cjs. */
export const handler = async (event) => event;
