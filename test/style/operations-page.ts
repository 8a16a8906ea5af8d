/**
 * docs/compat/operations.md: every operation of Lambda's API, whether it is there, and the tests that call it with AWS's own
 * clients. Made from the service model, the handlers and the tests. `node test/style/operations-page.ts` writes it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");
export const PAGE = join(ROOT, "docs", "compat", "operations.md");

export interface OperationRow {
  readonly name: string;
  readonly isThere: boolean;
  /** Files below test/conformance/ that call it with an SDK or the AWS CLI. */
  readonly tests: readonly string[];
}

export function operationRows(): OperationRow[] {
  const model = JSON.parse(readFileSync(join(ROOT, "models", "data", "lambda.json"), "utf8")) as {
    operations: Record<string, unknown>;
  };
  const handlers = sources("src/lambda", (name) => name.endsWith(".ts") && !name.endsWith(".test.ts"));
  const tests = sources("test/conformance", (name) => /\.(ts|py)$/.test(name));
  return Object.keys(model.operations)
    .sort()
    .map((name) => ({
      name,
      // A handler is a method or a property of that name in a table of operations.
      isThere: handlers.some(({ text }) =>
        new RegExp(`^ +(async )?${name}(\\(|:)|return \\{ ${name}:`, "m").test(text),
      ),
      tests: tests.filter(({ text }) => calls(text, name)).map((source) => source.name),
    }));
}

export function renderPage(rows: readonly OperationRow[]): string {
  const there = rows.filter(({ isThere }) => isThere);
  const lines = rows.map(({ name, isThere, tests }) => {
    const links = tests.map((test) => `[${test}](../../test/conformance/${test})`);
    return `| ${name} | ${isThere ? "yes" : "**no**"} | ${links.join(", ")} |`;
  });
  return `# The operations of Lambda's API

Of ${rows.length} operations ${there.length} are there. The others answer UnsupportedOperation with status 501. What differs from AWS is in
[functions.md](functions.md), [invocation.md](invocation.md) and [durable-executions.md](durable-executions.md).

This page is made by \`node test/style/operations-page.ts\`; a test holds it against the code.

| operation | there | called with AWS's own clients in |
| --- | --- | --- |
${lines.join("\n")}
`;
}

function sources(folder: string, wanted: (name: string) => boolean): { name: string; text: string }[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter(wanted)
    .sort()
    .map((name) => ({ name, text: readFileSync(join(ROOT, folder, name), "utf8") }));
}

/** JavaScript's command or paginator, the CLI's words, boto3's method. */
function calls(text: string, operation: string): boolean {
  const words = operation.replaceAll(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
  const kebab = words.replaceAll(" ", "-");
  const snake = words.replaceAll(" ", "_");
  return (
    new RegExp(`\\b(${operation}Command|paginate${operation})\\b`).test(text) ||
    text.includes(`"lambda", "${kebab}"`) ||
    text.includes(`"${kebab}"`) ||
    new RegExp(`\\.${snake}\\(`).test(text)
  );
}

if (process.argv[1] === import.meta.filename) writeFileSync(PAGE, renderPage(operationRows()));
