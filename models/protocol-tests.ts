/**
 * Writes test/protocol/vectors from Smithy's protocol tests: `node models/protocol-tests.ts`. Needs Maven and Java, here only.
 *
 * The tests are traits on Smithy models. Smithy's own command line prints the models as a JSON syntax tree; the services and
 * their vectors are taken out of it and written in the form that test/protocol reads.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Ast, convertService, localName, operationsOf, PROTOCOLS, type Traits } from "./smithy-model.ts";

const SMITHY_VERSION = "1.54.0";

/** Those whose models hold the tests and the traits that these use. */
const MODEL_ARTIFACTS = [
  "smithy-aws-protocol-tests",
  "smithy-protocol-tests",
  "smithy-aws-traits",
  "smithy-protocol-test-traits",
  "smithy-protocol-traits",
  "smithy-validation-model",
];

const ROOT = join(import.meta.dirname, "..");
const CACHE = join(ROOT, ".cache", "smithy", SMITHY_VERSION);
const JARS = join(CACHE, "lib");
const VECTORS = join(ROOT, "test", "protocol", "vectors");

function run(command: string, args: readonly string[]): string {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (result.status !== 0)
    throw new Error(`${command} failed: ${result.stderr}${result.stdout.slice(0, 2000)}`);
  return result.stdout;
}

function fetchJars(): void {
  const dependency = (artifact: string) =>
    `<dependency><groupId>software.amazon.smithy</groupId><artifactId>${artifact}</artifactId><version>${SMITHY_VERSION}</version></dependency>`;
  const pom =
    `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>` +
    `<groupId>hornero</groupId><artifactId>protocol-tests</artifactId><version>1</version>` +
    `<dependencies>${[...MODEL_ARTIFACTS, "smithy-cli"].map(dependency).join("")}</dependencies></project>`;
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(join(CACHE, "pom.xml"), pom);
  run("mvn", [
    "-q",
    "-B",
    "-f",
    join(CACHE, "pom.xml"),
    "dependency:copy-dependencies",
    `-DoutputDirectory=${JARS}`,
  ]);
}

function readAst(): Ast {
  fetchJars();
  const classPath = readdirSync(JARS)
    .map((jar) => join(JARS, jar))
    .join(":");
  const models = MODEL_ARTIFACTS.map((artifact) => join(JARS, `${artifact}-${SMITHY_VERSION}.jar`));
  const args = [
    "-cp",
    classPath,
    "software.amazon.smithy.cli.SmithyCli",
    "ast",
    "--flatten",
    "--allow-unknown-traits",
    ...models,
  ];
  return (JSON.parse(run("java", args)) as { shapes: Ast }).shapes;
}

interface Vector {
  readonly protocol: string;
  readonly documentation?: string;
  readonly tags?: unknown;
}

/** The vectors of one trait for one protocol, each with the operation (and the error) that it is about. */
function vectorsOf(traits: Traits | undefined, trait: string, protocol: string, about: object): object[] {
  const vectors = (traits?.[`smithy.test#${trait}`] ?? []) as Vector[];
  return vectors
    .filter((vector) => vector.protocol === protocol)
    .map(({ protocol: _protocol, documentation: _documentation, tags: _tags, ...vector }) => ({
      ...about,
      ...vector,
    }));
}

function serviceVectors(ast: Ast, service: string, protocol: string) {
  const requests: object[] = [];
  const responses: object[] = [];
  const malformed: object[] = [];
  const errors = new Map<string, string>();
  for (const id of operationsOf(ast, service)) {
    const shape = ast[id];
    const operation = localName(id);
    requests.push(...vectorsOf(shape?.traits, "httpRequestTests", protocol, { operation }));
    responses.push(...vectorsOf(shape?.traits, "httpResponseTests", protocol, { operation }));
    malformed.push(...vectorsOf(shape?.traits, "httpMalformedRequestTests", protocol, { operation }));
    for (const { target } of shape?.errors ?? []) if (!errors.has(target)) errors.set(target, operation);
  }
  for (const [target, operation] of errors) {
    const about = { operation, error: localName(target) };
    responses.push(...vectorsOf(ast[target]?.traits, "httpResponseTests", protocol, about));
  }
  return { requests, responses, malformed };
}

function main(): void {
  const ast = readAst();
  mkdirSync(VECTORS, { recursive: true });
  for (const protocol of Object.keys(PROTOCOLS)) {
    const services = Object.entries(ast)
      .filter(([, shape]) => shape.type === "service" && shape.traits?.[protocol] !== undefined)
      .map(([id]) => {
        const model = convertService(ast, id, protocol);
        return JSON.stringify({ name: localName(id), model, ...serviceVectors(ast, id, protocol) });
      });
    const text = `{"source":"software.amazon.smithy protocol tests ${SMITHY_VERSION}","services":[\n${services.join(",\n")}\n]}\n`;
    writeFileSync(join(VECTORS, `${localName(protocol)}.json`), text);
    process.stdout.write(`${localName(protocol)}: ${services.length} services, ${text.length} bytes\n`);
  }
}

main();
