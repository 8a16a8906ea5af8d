/** Greets whoever the event names. */
export const handler = async (event, context) => {
  console.log("greeting", event.name ?? "nobody in particular");
  return {
    greeting: `Hello ${event.name ?? "from your own machine"}!`,
    function: context.functionName,
    requestId: context.awsRequestId,
    memory: `${context.memoryLimitInMB} MB`,
  };
};
