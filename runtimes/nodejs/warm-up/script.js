/** Stands in for a function whose handler is a CommonJS module; see warm-up.cjs. */
exports.handler = async (event) => event;
