/**
 * Functions as people deploy them: AWS SDK clients and a handler in one minified file of about 650 KB, made by the bundler
 * that AWS's own tools use.
 */
import { join } from "node:path";
import { buildSync } from "esbuild";

const ROOT = join(import.meta.dirname, "..", "..");
const CLIENTS = `
import { SQSClient } from "@aws-sdk/client-sqs";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
export const clients = [new SQSClient({}), new LambdaClient({}), new CloudWatchLogsClient({})];
`;
/** Packages that come as CommonJS find `require` in an ES module. */
const ESM_BANNER =
  'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';

/** The bundle's text. `source` is the handler's module; it may import from "clients". */
export function bundle(source: string, format: "cjs" | "esm"): string {
  const { outputFiles } = buildSync({
    stdin: { contents: source, resolveDir: ROOT, sourcefile: "index.js" },
    bundle: true,
    minify: true,
    platform: "node",
    target: "node20",
    format,
    write: false,
    ...(format === "esm" ? { banner: { js: ESM_BANNER } } : {}),
  });
  const [file] = outputFiles;
  if (!file) throw new Error("the bundler made nothing");
  return file.text;
}

/** The text of a bundle whose handler is `body`, with `clients`, `event` and what `imports` brings in its scope. */
export function sdkBundle(body: string, format: "cjs" | "esm", imports = ""): string {
  return bundle(`${imports}${CLIENTS}\nexport const handler = async (event) => { ${body} };\n`, format);
}
