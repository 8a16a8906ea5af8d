/** Durable functions for tests: AWS's own SDK for them, bundled as people deploy it, and a role that may checkpoint. */
import { createRole, type TestServer } from "./server.ts";
import { bundle } from "./bundles.ts";

/** A handler of the SDK: `body` is that of an async function of `event` and `context`. */
export function durableBundle(body: string): string {
  return bundle(
    `import { withDurableExecution } from "@aws/durable-execution-sdk-js";
     export const handler = withDurableExecution(async (event, context) => { ${body} });`,
    "cjs",
  );
}

/** What AWS's managed policy for durable functions allows, and what is asked for beside it. Answers the role's ARN. */
export function durableRole(
  server: TestServer,
  name: string,
  actions: readonly string[] = [],
): Promise<string> {
  const Action = [
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "lambda:CheckpointDurableExecution",
    "lambda:GetDurableExecutionState",
    ...actions,
  ];
  return createRole(server, name, {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action, Resource: "*" }],
  });
}
