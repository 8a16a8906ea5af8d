/**
 * docs/compat/operations.md: every operation of the APIs that are served, whether it is there, and the tests that call it with
 * AWS's own clients. Made from the service models, the handlers and the tests. `node test/style/operations-page.ts` writes it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { ACCOUNT_ID, openAccount } from "../../src/iam/fixture.ts";
import { systemClock } from "../../src/kernel/clock.ts";
import { createIam } from "../../src/services/iam/iam.ts";
import { createSts } from "../../src/services/sts/sts.ts";
import type { Service } from "../../src/wire/service.ts";
import { calls, CLIENTS, clientTests, sources, type Api, type Client } from "./client-calls.ts";

const ROOT = join(import.meta.dirname, "..", "..");
export const PAGE = join(ROOT, "docs", "compat", "operations.md");

interface ServedApi extends Api {
  readonly title: string;
  /** Where its handlers are. */
  readonly folder: string;
  /** What it differs in is told there. */
  readonly pages: readonly string[];
}

const APIS: readonly ServedApi[] = [
  {
    title: "Lambda",
    model: "lambda",
    sdk: "client-lambda",
    folder: "src/lambda",
    pages: ["functions.md", "invocation.md", "durable-executions.md", "code-signing.md", "function-urls.md"],
  },
  { title: "IAM", model: "iam", sdk: "client-iam", folder: "src/services/iam", pages: ["../iam.md"] },
  { title: "STS", model: "sts", sdk: "client-sts", folder: "src/services/sts", pages: ["../iam.md"] },
  {
    title: "CloudWatch",
    model: "cloudwatch",
    sdk: "client-cloudwatch",
    folder: "src/services/cloudwatch",
    pages: ["../cloudwatch.md"],
  },
  {
    title: "CloudWatch Logs",
    model: "logs",
    sdk: "client-cloudwatch-logs",
    folder: "src/services/logs",
    pages: ["../logs.md"],
  },
];

export interface OperationRow {
  readonly name: string;
  readonly isThere: boolean;
  /** Files that call it, by client; paths from the repository's root. */
  readonly tests: Readonly<Record<Client, readonly string[]>>;
}

export interface ApiRows {
  readonly api: ServedApi;
  readonly rows: readonly OperationRow[];
}

export async function operationRows(): Promise<ApiRows[]> {
  const tests = clientTests();
  const made = await builtNames();
  return APIS.map((api) => {
    const model = JSON.parse(
      readFileSync(join(ROOT, "models", "data", `${api.model}.json`), "utf8"),
    ) as Service & {
      operations: Record<string, unknown>;
    };
    const names = Object.keys(model.operations).sort();
    const there = made.get(api.model) ?? writtenNames(api.folder, names);
    const rows = names.map((name) => {
      const by = (client: Client) =>
        tests.filter((test) => calls(test, client, api, name)).map(({ path }) => path);
      const called = { JavaScript: by("JavaScript"), boto3: by("boto3"), "AWS CLI": by("AWS CLI") };
      return { name, isThere: there.has(name), tests: called };
    });
    return { api, rows };
  });
}

/** Operations of services whose tables are put together at run time: theirs are asked. */
async function builtNames(): Promise<Map<string, ReadonlySet<string>>> {
  using account = await openAccount();
  const sts = createSts({
    ...account,
    clock: systemClock,
    accountId: ACCOUNT_ID,
    keySets: { fetch: () => Promise.reject(new Error("nobody asks for keys here")) },
  });
  return new Map(
    [createIam(account), sts].map(({ model, operations }) => [model, new Set(Object.keys(operations))]),
  );
}

/** Operations whose handlers the sources name: a method or a property of that name in a table of operations. */
function writtenNames(folder: string, names: readonly string[]): ReadonlySet<string> {
  const texts = sources(folder, /(?<!\.test)\.ts$/).map(({ text }) => text);
  const isWritten = (name: string) => {
    const handler = new RegExp(`^ +(async )?${name}(\\(|:)|return \\{ ${name}:`, "m");
    return texts.some((text) => handler.test(text));
  };
  return new Set(names.filter(isWritten));
}

export function renderPage(apis: readonly ApiRows[]): string {
  const files = new Set(apis.flatMap(({ rows }) => rows.flatMap(({ tests }) => Object.values(tests).flat())));
  const links = [...files].sort().map((path) => `[${label(path)}]: ../../${path}`);
  return `# The operations of the APIs

Which operations are there, and which tests call them with AWS's own clients. An operation that is not there answers
UnsupportedOperation with status 501.

This page is made by \`node test/style/operations-page.ts\`; a test holds it against the code.

${apis.map(renderApi).join("\n")}
${links.join("\n")}
`;
}

function renderApi({ api, rows }: ApiRows): string {
  const there = rows.filter(({ isThere }) => isThere);
  const missing = rows.filter(({ isThere }) => !isThere).map(({ name }) => name);
  const lines = there.map(({ name, tests }) => {
    const cells = CLIENTS.map((client) => tests[client].map((path) => `[${label(path)}]`).join(", "));
    return `| ${name} | ${cells.join(" | ")} |`;
  });
  const pages = api.pages.map((page) => `[${basename(page)}](${page})`);
  return `## ${api.title}

Of ${rows.length} operations ${there.length} are there. What differs from AWS: ${pages.join(", ")}.

| operation | ${CLIENTS.join(" | ")} |
| --- | --- | --- | --- |
${lines.join("\n")}

Not there: ${missing.join(", ")}.
`;
}

/** A file's name as a link's: `boto3_iam`, `javascript-layers`, `iam` of src/services/iam with its folder. */
function label(path: string): string {
  const name = path.replace(/^test\/conformance\/|^src\//, "").replace(/\.test\.ts$|\.py$/, "");
  return name;
}

if (process.argv[1] === import.meta.filename) writeFileSync(PAGE, renderPage(await operationRows()));
