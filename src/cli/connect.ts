import { AwsClient } from "./aws-client.ts";
import { dataDirectory, type Options } from "./configuration.ts";
import { CliError, EXIT } from "./errors.ts";
import { readServerFile, type ServerFile } from "./server-file.ts";

/** The running server of the data folder that the options name. Throws CliError when there is none. */
export function connect(options: Options): { client: AwsClient; server: ServerFile } {
  const directory = dataDirectory(options, process.env);
  const server = readServerFile(directory);
  if (!server)
    throw new CliError(`no server runs with the data folder ${directory}, or this user may not read it`, {
      hint: "Start it with: npm start — or name its data folder: --data DIR (HORNERO_DATA)",
      exitCode: EXIT.noServer,
    });
  return { client: new AwsClient(server), server };
}

/**
 * The same, once that server has answered a signed request: what its file says may be of one that was killed, and its
 * port another's by now.
 */
export async function connectRunning(options: Options): Promise<{ client: AwsClient; server: ServerFile }> {
  const connection = connect(options);
  await connection.client.lambda("GET", "/2015-03-31/functions?MaxItems=1");
  return connection;
}
