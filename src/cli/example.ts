/** The function that a first start leaves behind, ready to invoke. */
import { join } from "node:path";
import { PACKAGE_FOLDER } from "../kernel/package-folder.ts";
import type { RunningServer } from "../main.ts";
import { AwsClient } from "./aws-client.ts";
import type { Configuration } from "./configuration.ts";
import { deployFunction } from "./deploy-function.ts";
import { isNotFound } from "./errors.ts";
import { detectShape, zipFolder } from "./package-function.ts";

export const EXAMPLE_NAME = "hello";
const EXAMPLE_FOLDER = join(PACKAGE_FOLDER, "examples", EXAMPLE_NAME);

/** Deploys it unless a function of that name is there. Answers its name. */
export async function deployExample(
  { endpoint, rootKey }: RunningServer,
  { region, accountId }: Configuration,
): Promise<string> {
  const { accessKeyId, secretAccessKey } = rootKey;
  const client = new AwsClient({
    endpoint,
    pid: process.pid,
    region,
    accountId,
    accessKeyId,
    secretAccessKey,
  });
  try {
    await client.lambda("GET", `/2015-03-31/functions/${EXAMPLE_NAME}/configuration`);
    return EXAMPLE_NAME;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  await deployFunction(client, {
    name: EXAMPLE_NAME,
    zip: zipFolder(EXAMPLE_FOLDER),
    roleDefault: `arn:aws:iam::${accountId}:role/lambda`,
    detect: () => detectShape(EXAMPLE_FOLDER),
  });
  return EXAMPLE_NAME;
}
