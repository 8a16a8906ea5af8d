/**
 * Which operations a test calls, with which of AWS's own clients: read from the test's text, by how each client names them.
 * A test that builds the names at run time is not seen.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");

export const CLIENTS = ["JavaScript", "boto3", "AWS CLI"] as const;
export type Client = (typeof CLIENTS)[number];

/** A service as the clients call it. */
export interface Api {
  /** The model's name, which is boto3's and the CLI's too: `logs`. */
  readonly model: string;
  /** The package of AWS's SDK for JavaScript: `client-cloudwatch-logs`. */
  readonly sdk: string;
}

export interface TestFile {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
}

/** Every test that may call the server with AWS's own clients. */
export function clientTests(): TestFile[] {
  return [...sources("test/conformance", /\.(ts|py)$/), ...sources("src/services", /\.test\.ts$/)];
}

export function sources(folder: string, wanted: RegExp): TestFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => wanted.test(name))
    .sort()
    .map((name) => ({ path: `${folder}/${name}`, text: readFileSync(join(ROOT, folder, name), "utf8") }));
}

/** Whether the file calls the operation with the client. */
export function calls({ path, text }: TestFile, client: Client, api: Api, operation: string): boolean {
  const words = operation.replaceAll(/(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, " ").toLowerCase();
  if (path.endsWith(".py")) return client === "boto3" && byBoto3(text, api, words.replaceAll(" ", "_"));
  if (client === "JavaScript") return byJavaScript(text, api, operation);
  return client === "AWS CLI" && byCli(text, api, words.replaceAll(" ", "-"));
}

/** The command or the paginator: imported by its name, or of the package's namespace. */
function byJavaScript(text: string, { sdk }: Api, operation: string): boolean {
  const name = new RegExp(`\\b(${operation}Command|paginate${operation})\\b`);
  for (const [, clause = ""] of text.matchAll(new RegExp(`import ([^;]*?) from "@aws-sdk/${sdk}"`, "g"))) {
    const namespace = /\* as (\w+)/.exec(clause)?.[1];
    if (
      namespace === undefined ? name.test(clause) : new RegExp(`\\b${namespace}\\.${name.source}`).test(text)
    )
      return true;
  }
  return false;
}

/** A method of one of the service's clients (`logs`, or what `client("logs"` was called), or the name given to a paginator. */
function byBoto3(text: string, { model }: Api, snake: string): boolean {
  // The word is Python's own.
  const usual = model === "lambda" ? "lambda_" : model;
  const made = [...text.matchAll(new RegExp(`(\\w+) = (client|session)\\("${model}"`, "g"))].map(
    ([, name]) => name,
  );
  const imported = new RegExp(`^from .* import .*\\b${usual}\\b`, "m").test(text) ? [usual] : [];
  const clients = [...made, ...imported];
  if (clients.length === 0) return false;
  return new RegExp(`\\b(${clients.join("|")})\\.${snake}\\b|"${snake}"`).test(text);
}

/** `"logs", "tail"`, `"logs tail …"`, or the command alone where the file says its service once: `"lambda", ...args`. */
function byCli(text: string, { model }: Api, kebab: string): boolean {
  if (new RegExp(`"${model}",\\s+"${kebab}"|["'\`]${model} ${kebab}(?=["'\` \\n])`).test(text)) return true;
  return text.includes(`"${model}", ...args`) && text.includes(`"${kebab}"`);
}
