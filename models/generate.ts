/**
 * Writes models/data from botocore's service models: `node models/generate.ts`. With `--check` nothing is written, and the
 * exit status says whether the committed files are what the generator would write.
 *
 * botocore is fetched with `pip download` into .cache/ (once) and read without being installed.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { unzipSync } from "fflate";
import { applyS3Overlay } from "./s3-overlay.ts";
import { applySqsOverlay } from "./sqs-overlay.ts";
import type {
  MemberData,
  ModelData,
  OperationData,
  ServiceMetadata,
  ShapeData,
  XmlNamespace,
} from "../src/wire/models/data.ts";
import { compilePattern } from "../src/wire/models/pattern.ts";

const BOTOCORE_VERSION = "1.43.107";

/** Folder names of botocore/data. */
const SERVICES = [
  "lambda",
  "logs",
  "sts",
  "iam",
  "sqs",
  "sns",
  "s3",
  "dynamodb",
  "dynamodbstreams",
  "kinesis",
  "events",
  "scheduler",
  "apigateway",
  "apigatewayv2",
  "cloudwatch",
  "iot-data",
];

/** Of the services whose errors are named with it on the wire; botocore's models have no namespaces. */
const SHAPE_NAMESPACES: Readonly<Record<string, string>> = {
  dynamodb: "com.amazonaws.dynamodb.v20120810",
  dynamodbstreams: "com.amazonaws.dynamodb.v20120810",
  sqs: "com.amazonaws.sqs",
  cloudwatch: "com.amazonaws.cloudwatch",
};

const ROOT = join(import.meta.dirname, "..");
const DATA = join(ROOT, "models", "data");

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

/** What of a shape's and a member's entries is kept; the rest is documentation or for clients only. */
const MEMBER_KEYS = [
  "shape",
  "location",
  "locationName",
  "queryName",
  "timestampFormat",
  "flattened",
  "xmlAttribute",
  "jsonvalue",
  "hostLabel",
  "idempotencyToken",
  "eventpayload",
  "eventheader",
];
const SHAPE_KEYS = [
  "type",
  "required",
  "payload",
  "union",
  "eventstream",
  "event",
  "exception",
  "error",
  "fault",
  "locationName",
  "flattened",
  "streaming",
  "timestampFormat",
  "min",
  "max",
  "pattern",
  "enum",
  "sensitive",
];

function object(value: Json | undefined, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${what} is not an object`);
  return value;
}

function text(value: Json | undefined): string {
  if (typeof value !== "string") throw new Error(`${JSON.stringify(value)} is not a string`);
  return value;
}

function pick(from: JsonObject, keys: readonly string[]): JsonObject {
  const kept: JsonObject = {};
  for (const key of keys) {
    const value = from[key];
    if (value !== undefined && value !== false) kept[key] = value;
  }
  return kept;
}

/** botocore writes a namespace as a string or as `{ uri, prefix }`. */
function namespaceOf(value: Json | undefined): { xmlNamespace?: XmlNamespace } {
  if (value === undefined) return {};
  if (typeof value === "string") return { xmlNamespace: { uri: value } };
  return { xmlNamespace: object(value, "xmlNamespace") as unknown as XmlNamespace };
}

function memberData(member: JsonObject, shapes: JsonObject): MemberData {
  const shape = object(shapes[text(member["shape"])], text(member["shape"]));
  const data: JsonObject = {
    ...pick(member, MEMBER_KEYS),
    ...namespaceOf(member["xmlNamespace"]),
  } as JsonObject;
  if (shape["type"] !== "list" && shape["type"] !== "map") return data as unknown as MemberData;
  // Flatness and the element's name are the member's own business to every codec: said once, here.
  if (shape["flattened"] === true) data["flattened"] = true;
  if (data["flattened"] === true && shape["type"] === "list") {
    const element = object(shape["member"], "member")["locationName"];
    if (element !== undefined) data["locationName"] = element;
  }
  return data as unknown as MemberData;
}

function shapeData(shape: JsonObject, shapes: JsonObject): ShapeData {
  const data: JsonObject = {
    ...pick(shape, SHAPE_KEYS),
    ...namespaceOf(shape["xmlNamespace"]),
  } as JsonObject;
  const type = text(shape["type"]);
  if (type === "character") data["type"] = "string";
  if (shape["document"] === true) data["type"] = "document";
  if (type === "structure") {
    const members: Record<string, MemberData> = {};
    for (const [name, member] of Object.entries(object(shape["members"], "members"))) {
      members[name] = memberData(object(member, name), shapes);
    }
    data["members"] = members as unknown as JsonObject;
  }
  for (const part of ["member", "key", "value"]) {
    if (shape[part] === undefined) continue;
    data[part] = memberData(object(shape[part], part), shapes) as unknown as JsonObject;
  }
  return data as unknown as ShapeData;
}

function operationData(operation: JsonObject): OperationData {
  const data: JsonObject = {
    http: pick(object(operation["http"], "http"), ["method", "requestUri", "responseCode"]),
  };
  if (operation["input"] !== undefined) {
    const input = object(operation["input"], "input");
    data["input"] = {
      ...pick(input, ["shape", "locationName"]),
      ...namespaceOf(input["xmlNamespace"]),
    } as JsonObject;
  }
  if (operation["output"] !== undefined) {
    data["output"] = pick(object(operation["output"], "output"), ["shape", "resultWrapper"]);
  }
  const errors = operation["errors"];
  if (Array.isArray(errors)) data["errors"] = errors.map((error) => object(error, "error")["shape"] ?? null);
  const auth = operation["auth"];
  if (operation["authtype"] === "none" || (Array.isArray(auth) && auth.includes("smithy.api#noAuth"))) {
    data["auth"] = "none";
  } else if (operation["unsignedPayload"] === true || operation["authtype"] === "v4-unsigned-body") {
    data["auth"] = "unsigned-body";
  }
  if (operation["requestcompression"] !== undefined) data["requestCompression"] = true;
  if (operation["endpoint"] !== undefined) {
    data["hostPrefix"] = object(operation["endpoint"], "endpoint")["hostPrefix"] ?? "";
  }
  return data as unknown as OperationData;
}

function metadataOf(metadata: JsonObject): ServiceMetadata {
  return {
    ...pick(metadata, ["apiVersion", "serviceId", "endpointPrefix"]),
    signingName: metadata["signingName"] ?? metadata["endpointPrefix"],
    protocols: metadata["protocols"] ?? [metadata["protocol"] ?? ""],
    ...pick(metadata, ["targetPrefix", "jsonVersion"]),
    ...namespaceOf(metadata["xmlNamespace"]),
    ...(metadata["awsQueryCompatible"] === undefined ? {} : { awsQueryCompatible: true }),
  } as unknown as ServiceMetadata;
}

function modelData(model: JsonObject): ModelData {
  const shapes = object(model["shapes"], "shapes");
  const operations: Record<string, OperationData> = {};
  for (const [name, operation] of Object.entries(object(model["operations"], "operations"))) {
    operations[name] = operationData(object(operation, name));
  }
  const data: Record<string, ShapeData> = {};
  for (const [name, shape] of Object.entries(shapes)) data[name] = shapeData(object(shape, name), shapes);
  return { metadata: metadataOf(object(model["metadata"], "metadata")), operations, shapes: data };
}

/** A pattern that no engine of ours takes would fail at the first request: it fails here instead. */
function checkPatterns(service: string, model: ModelData): void {
  for (const [name, shape] of Object.entries(model.shapes)) {
    if (shape.pattern === undefined) continue;
    try {
      compilePattern(shape.pattern);
    } catch (error) {
      throw new Error(`${service} ${name}: no regular expression: ${shape.pattern}`, { cause: error });
    }
  }
}

/** JSON with one operation and one shape a line, so that a new release of the model reads as a diff. */
function serialize(model: ModelData): string {
  const lines = (entries: object) =>
    Object.entries(entries)
      .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
      .join(",\n");
  return `{"metadata":${JSON.stringify(model.metadata)},\n"operations":{\n${lines(model.operations)}\n},\n"shapes":{\n${lines(model.shapes)}\n}}\n`;
}

function botocoreFiles(): Record<string, Uint8Array> {
  const cache = join(ROOT, ".cache", "botocore");
  const wheel = join(cache, `botocore-${BOTOCORE_VERSION}-py3-none-any.whl`);
  if (!existsSync(wheel)) {
    mkdirSync(cache, { recursive: true });
    const pip = spawnSync(
      "pip",
      ["download", "-q", `botocore==${BOTOCORE_VERSION}`, "--no-deps", "-d", cache],
      {
        stdio: "inherit",
      },
    );
    if (pip.status !== 0) throw new Error("pip could not download botocore");
  }
  return unzipSync(readFileSync(wheel), { filter: (file) => file.name.endsWith("/service-2.json.gz") });
}

function newestModel(files: Record<string, Uint8Array>, service: string): JsonObject {
  const newest = Object.keys(files)
    .filter((name) => name.startsWith(`botocore/data/${service}/`))
    .sort()
    .at(-1);
  const bytes = newest === undefined ? undefined : files[newest];
  if (bytes === undefined) throw new Error(`botocore has no model of ${service}`);
  return object(JSON.parse(gunzipSync(bytes).toString("utf8")) as Json, service);
}

function main(): void {
  const check = process.argv.includes("--check");
  const files = botocoreFiles();
  const written: Record<string, string> = {};
  const index: Record<string, ServiceMetadata> = {};
  for (const service of SERVICES) {
    let model = modelData(newestModel(files, service));
    if (service === "sqs") model = applySqsOverlay(model);
    if (service === "s3") model = applyS3Overlay(model);
    const namespace = SHAPE_NAMESPACES[service];
    if (namespace !== undefined) model = { ...model, metadata: { ...model.metadata, namespace } };
    checkPatterns(service, model);
    written[`${service}.json`] = serialize(model);
    index[service] = model.metadata;
  }
  const lines = Object.entries(index).map(
    ([name, metadata]) => `${JSON.stringify(name)}:${JSON.stringify(metadata)}`,
  );
  written["index.json"] = `{\n${lines.join(",\n")}\n}\n`;

  const stale = Object.entries(written).filter(([name, text]) => {
    const path = join(DATA, name);
    return !existsSync(path) || readFileSync(path, "utf8") !== text;
  });
  if (check) {
    for (const [name] of stale)
      process.stderr.write(`models/data/${name} is stale: run node models/generate.ts\n`);
    process.exitCode = stale.length === 0 ? 0 : 1;
    return;
  }
  mkdirSync(DATA, { recursive: true });
  for (const [name, text] of stale) writeFileSync(join(DATA, name), text);
  process.stdout.write(`models/data: ${stale.length} of ${Object.keys(written).length} files changed\n`);
}

main();
