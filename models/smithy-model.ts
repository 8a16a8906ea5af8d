/** Smithy's JSON AST turned into the form of models/data, for the protocol tests: the tests' services are Smithy models only. */
import type {
  MemberData,
  MemberLocation,
  ModelData,
  OperationData,
  ServiceMetadata,
  ShapeData,
  ShapeType,
  TimestampFormat,
  XmlNamespace,
} from "../src/wire/models/data.ts";

export type Traits = Readonly<Record<string, unknown>>;

export interface AstShape {
  readonly type: string;
  readonly traits?: Traits;
  readonly members?: Readonly<Record<string, AstMember>>;
  readonly member?: AstMember;
  readonly key?: AstMember;
  readonly value?: AstMember;
  readonly input?: { readonly target: string };
  readonly output?: { readonly target: string };
  readonly errors?: readonly { readonly target: string }[];
  readonly operations?: readonly { readonly target: string }[];
  readonly resources?: readonly { readonly target: string }[];
  readonly version?: string;
}

interface AstMember {
  readonly target: string;
  readonly traits?: Traits;
}

export type Ast = Readonly<Record<string, AstShape>>;

/** The id of a protocol's trait, and botocore's name of the protocol. */
export const PROTOCOLS: Readonly<
  Record<string, { readonly botocore: string; readonly jsonVersion?: "1.0" | "1.1" }>
> = {
  "aws.protocols#restJson1": { botocore: "rest-json" },
  "aws.protocols#restXml": { botocore: "rest-xml" },
  "aws.protocols#awsJson1_0": { botocore: "json", jsonVersion: "1.0" },
  "aws.protocols#awsJson1_1": { botocore: "json", jsonVersion: "1.1" },
  "aws.protocols#awsQuery": { botocore: "query" },
  "smithy.protocols#rpcv2Cbor": { botocore: "smithy-rpc-v2-cbor" },
};

const UNIT = "smithy.api#Unit";

const TYPES: Readonly<Record<string, ShapeType>> = {
  structure: "structure",
  union: "structure",
  list: "list",
  set: "list",
  map: "map",
  string: "string",
  enum: "string",
  blob: "blob",
  boolean: "boolean",
  byte: "integer",
  short: "integer",
  integer: "integer",
  intEnum: "integer",
  long: "long",
  bigInteger: "long",
  float: "float",
  double: "double",
  bigDecimal: "double",
  timestamp: "timestamp",
  document: "document",
};

const CONSTRAINTS = new Set(["length", "range", "pattern"]);

const TIMESTAMP_FORMATS: Readonly<Record<string, TimestampFormat>> = {
  "date-time": "iso8601",
  "http-date": "rfc822",
  "epoch-seconds": "unixTimestamp",
};

export const localName = (id: string): string => id.slice(id.indexOf("#") + 1);

const api = (traits: Traits | undefined, name: string): unknown => traits?.[`smithy.api#${name}`];

/** Of an enum, or of a string with the older trait. */
function enumValues(shape: AstShape): string[] | undefined {
  const trait = api(shape.traits, "enum") as { value: string }[] | undefined;
  if (shape.type !== "enum") return trait?.map(({ value }) => value);
  return Object.entries(shape.members ?? {}).map(([name, member]) => {
    const value = api(member.traits, "enumValue");
    return typeof value === "string" ? value : name;
  });
}

type Possible<T> = { readonly [Key in keyof T]: T[Key] | undefined };

/** Leaves out what is undefined, as `exactOptionalPropertyTypes` wants it. */
function compact<T extends object>(entries: Possible<T>): T {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined)) as T;
}

const flag = (value: unknown): true | undefined => (value === undefined ? undefined : true);

function locationOf(traits: Traits | undefined): { location?: MemberLocation; locationName?: string } {
  const named: [trait: string, location: MemberLocation][] = [
    ["httpQuery", "querystring"],
    ["httpHeader", "header"],
    ["httpPrefixHeaders", "headers"],
  ];
  for (const [trait, location] of named) {
    const name = api(traits, trait);
    if (typeof name === "string") return { location, locationName: name };
  }
  if (api(traits, "httpLabel") !== undefined) return { location: "uri" };
  if (api(traits, "httpQueryParams") !== undefined) return { location: "querystring" };
  if (api(traits, "httpResponseCode") !== undefined) return { location: "statusCode" };
  return {};
}

class Converter {
  readonly #ast: Ast;
  readonly #protocol: string;
  readonly shapes: Record<string, ShapeData> = {};
  readonly #names = new Map<string, string>();

  constructor(ast: Ast, protocol: string) {
    this.#ast = ast;
    this.#protocol = protocol;
  }

  #definition(id: string): AstShape {
    const shape = this.#ast[id];
    if (shape !== undefined) return shape;
    if (id === UNIT) return { type: "structure" };
    // The prelude is not part of the syntax tree: smithy.api#String, smithy.api#PrimitiveInteger, …
    const type = localName(id).replace("Primitive", "");
    return { type: type.charAt(0).toLowerCase() + type.slice(1) };
  }

  /** Adds a shape with everything that it reaches; answers the name that it has in the model. */
  add(id: string): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    // Two namespaces may have a name in common: the second one keeps its namespace.
    const name = [...this.#names.values()].includes(localName(id)) ? id : localName(id);
    this.#names.set(id, name);
    this.shapes[name] = this.#shape(this.#definition(id));
    return name;
  }

  #shape(shape: AstShape): ShapeData {
    const { traits } = shape;
    const type = TYPES[shape.type];
    if (type === undefined) throw new Error(`no shape type ${shape.type}`);
    const members = Object.entries(shape.members ?? {});
    const isStructure = type === "structure";
    const length = api(traits, "length") as { min?: number; max?: number } | undefined;
    const range = api(traits, "range") as { min?: number; max?: number } | undefined;
    const required = members
      .filter(([, member]) => api(member.traits, "required") !== undefined)
      .map(([name]) => name);
    const payload = members.find(([, member]) => api(member.traits, "httpPayload") !== undefined)?.[0];
    const isUnion = shape.type === "union";
    return compact({
      type,
      members: isStructure
        ? Object.fromEntries(members.map(([name, member]) => [name, this.#member(member)]))
        : undefined,
      required: isStructure && required.length > 0 ? required : undefined,
      payload,
      union: isUnion && api(traits, "streaming") === undefined ? (true as const) : undefined,
      eventstream: isUnion ? flag(api(traits, "streaming")) : undefined,
      ...this.#error(traits),
      locationName: isStructure
        ? this.#usesXml()
          ? (api(traits, "xmlName") as string | undefined)
          : undefined
        : undefined,
      xmlNamespace: isStructure ? (api(traits, "xmlNamespace") as XmlNamespace | undefined) : undefined,
      member: shape.member && this.#member(shape.member),
      key: shape.key && this.#member(shape.key),
      value: shape.value && this.#member(shape.value),
      streaming: type === "blob" ? flag(api(traits, "streaming")) : undefined,
      timestampFormat: this.#timestampFormat(traits),
      min: length?.min ?? range?.min,
      max: length?.max ?? range?.max,
      pattern: api(traits, "pattern") as string | undefined,
      enum: enumValues(shape),
      sensitive: flag(api(traits, "sensitive")),
    });
  }

  #error(traits: Traits | undefined): Pick<ShapeData, "exception" | "error" | "fault"> {
    const fault = api(traits, "error");
    if (fault === undefined) return {};
    const query = traits?.["aws.protocols#awsQueryError"] as
      | { code: string; httpResponseCode: number }
      | undefined;
    const status = query?.httpResponseCode ?? (api(traits, "httpError") as number | undefined);
    const error = compact({ code: query?.code, httpStatusCode: status ?? (fault === "server" ? 500 : 400) });
    return { exception: true, error, ...(fault === "server" ? { fault: true } : {}) };
  }

  #usesXml(): boolean {
    return this.#protocol === "aws.protocols#restXml" || this.#protocol === "aws.protocols#awsQuery";
  }

  #timestampFormat(traits: Traits | undefined): TimestampFormat | undefined {
    const format = api(traits, "timestampFormat");
    return typeof format === "string" ? TIMESTAMP_FORMATS[format] : undefined;
  }

  #member(member: AstMember): MemberData {
    const { traits } = member;
    const target = this.#definition(member.target);
    const location = locationOf(traits);
    const name = this.#usesXml()
      ? api(traits, "xmlName")
      : this.#protocol === "aws.protocols#restJson1"
        ? api(traits, "jsonName")
        : undefined;
    return compact({
      shape: this.#constrained(member, target) ?? this.add(member.target),
      ...(location.location === undefined ? { locationName: name as string | undefined } : location),
      timestampFormat: this.#timestampFormat(traits),
      flattened: flag(api(traits, "xmlFlattened")),
      xmlAttribute: flag(api(traits, "xmlAttribute")),
      xmlNamespace: (api(traits, "xmlNamespace") ?? this.#targetNamespace(target)) as
        | XmlNamespace
        | undefined,
      // A string with a media type travels in a header as base64.
      jsonvalue: location.location === "header" ? flag(api(target.traits, "mediaType")) : undefined,
      hostLabel: flag(api(traits, "hostLabel")),
      idempotencyToken: flag(api(traits, "idempotencyToken")),
      eventpayload: flag(api(traits, "eventPayload")),
      eventheader: flag(api(traits, "eventHeader")),
    });
  }

  /** A member's own constraints make a shape of its own, as they do in botocore's models. */
  #constrained(member: AstMember, target: AstShape): string | undefined {
    const constraints = Object.entries(member.traits ?? {}).filter(([trait]) =>
      CONSTRAINTS.has(localName(trait)),
    );
    if (constraints.length === 0) return undefined;
    const name = `${localName(member.target)}Constrained${Object.keys(this.shapes).length}`;
    this.shapes[name] = this.#shape({
      ...target,
      traits: { ...target.traits, ...Object.fromEntries(constraints) },
    });
    return name;
  }

  /** Structures carry their namespace themselves. */
  #targetNamespace(target: AstShape): unknown {
    return target.type === "structure" || target.type === "union"
      ? undefined
      : api(target.traits, "xmlNamespace");
  }

  operation(id: string): OperationData {
    const operation = this.#definition(id);
    const http = api(operation.traits, "http") as { method: string; uri: string; code?: number } | undefined;
    const isRest = this.#protocol === "aws.protocols#restJson1" || this.#protocol === "aws.protocols#restXml";
    const endpoint = api(operation.traits, "endpoint") as { hostPrefix: string } | undefined;
    const structure = (target: string | undefined) =>
      target === undefined || target === UNIT ? undefined : { shape: this.add(target) };
    return compact({
      http:
        isRest && http
          ? { method: http.method, requestUri: http.uri, responseCode: http.code ?? 200 }
          : { method: "POST", requestUri: "/" },
      input: structure(operation.input?.target),
      output: structure(operation.output?.target),
      errors: operation.errors?.map(({ target }) => this.add(target)),
      requestCompression: flag(api(operation.traits, "requestCompression")),
      hostPrefix: endpoint?.hostPrefix,
    });
  }
}

/** The service's operations with the names that they have in the model. */
export function operationsOf(ast: Ast, service: string): string[] {
  const found: string[] = [];
  const visit = (shape: AstShape | undefined) => {
    for (const { target } of shape?.operations ?? []) found.push(target);
    for (const { target } of shape?.resources ?? []) visit(ast[target]);
  };
  visit(ast[service]);
  return found;
}

export function convertService(ast: Ast, service: string, protocol: string): ModelData {
  const shape = ast[service];
  const description = PROTOCOLS[protocol];
  if (shape === undefined || description === undefined)
    throw new Error(`no service ${service} in ${protocol}`);
  const converter = new Converter(ast, protocol);
  const operations: Record<string, OperationData> = {};
  for (const id of operationsOf(ast, service)) operations[localName(id)] = converter.operation(id);
  for (const { target } of shape.errors ?? []) converter.add(target);
  const aws = shape.traits?.["aws.api#service"] as { sdkId?: string } | undefined;
  const signature = shape.traits?.["aws.auth#sigv4"] as { name?: string } | undefined;
  const metadata: ServiceMetadata = compact({
    apiVersion: shape.version ?? "",
    serviceId: aws?.sdkId ?? localName(service),
    endpointPrefix: localName(service),
    signingName: signature?.name ?? localName(service),
    protocols: [description.botocore],
    targetPrefix: localName(service),
    jsonVersion: description.jsonVersion,
    xmlNamespace: api(shape.traits, "xmlNamespace") as XmlNamespace | undefined,
    namespace: service.slice(0, service.indexOf("#")),
    awsQueryCompatible: flag(shape.traits?.["aws.protocols#awsQueryCompatible"]),
  });
  return { metadata, operations, shapes: converter.shapes };
}
