/**
 * AWS's protocols over the generated models: which operation a request means, its validated input, and the answer's bytes.
 * Models are loaded, and codecs and checks compiled, when the first request needs them.
 */
import { gunzipSync } from "node:zlib";
import type { AwsError } from "../errors.ts";
import { assert } from "../kernel/assert.ts";
import { bodyBytesMax } from "./body-limits.ts";
import { awsJson } from "./codecs/aws-json.ts";
import { awsQuery } from "./codecs/aws-query.ts";
import type { OperationCodec, ProtocolCodec } from "./codecs/codec.ts";
import { parseQuery } from "./codecs/rest-bindings.ts";
import { restJson } from "./codecs/rest-json.ts";
import { restXml } from "./codecs/rest-xml.ts";
import { rpcV2Cbor } from "./codecs/rpc-v2-cbor.ts";
import { serializationError } from "./codecs/scalars.ts";
import type { ServiceMetadata } from "./models/data.ts";
import { loadModel, serviceMetadata } from "./models/load.ts";
import type { ServiceModel } from "./models/shapes.ts";
import type { Match, ProtocolName, Protocols, WireRequest, WireResponse } from "./protocol.ts";
import { Router } from "./router.ts";
import { compileValidation, type Validate } from "./validate.ts";

const CODECS: Readonly<Record<Exclude<ProtocolName, "ec2Query">, ProtocolCodec>> = {
  restJson1: restJson,
  restXml,
  awsJson1_0: awsJson("1.0"),
  awsJson1_1: awsJson("1.1"),
  awsQuery,
  rpcv2Cbor: rpcV2Cbor,
};

const FORM = "application/x-www-form-urlencoded";
const RPC_V2_PATH = /\/service\/([^/]+)\/operation\/([^/]+)$/;
/** `bucket.s3.us-east-1.amazonaws.com`, `bucket.s3-accelerate.…`, and what SDKs make of `localhost:4566`: `bucket.localhost:4566`. */
const S3_VIRTUAL_HOST = /^(.+)\.(?:s3[.-].*|localhost(?::\d+)?)$/;

type RequestHead = Omit<WireRequest, "body">;

interface Compiled {
  readonly codec: OperationCodec;
  readonly validate: Validate;
  /** Clients may compress the operation's requests. */
  readonly inflates: boolean;
}

/** A service that is switched on. */
class Service {
  readonly name: string;
  readonly metadata: ServiceMetadata;
  readonly #load: () => ServiceModel;
  readonly #compiled = new Map<string, Compiled>();
  #model: ServiceModel | undefined;
  #router: Router | undefined;

  constructor(name: string, metadata: ServiceMetadata, load: () => ServiceModel) {
    this.name = name;
    this.metadata = metadata;
    this.#load = load;
  }

  get model(): ServiceModel {
    return (this.#model ??= this.#load());
  }

  get router(): Router {
    return (this.#router ??= new Router(this.model));
  }

  speaks(protocol: string): boolean {
    return this.metadata.protocols.includes(protocol);
  }

  get isRest(): boolean {
    return this.speaks("rest-json") || this.speaks("rest-xml");
  }

  compiled(protocol: ProtocolName, operationName: string): Compiled {
    const key = `${operationName} ${protocol}`;
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      const operation = this.model.operation(operationName);
      assert(operation, `${this.name} has the operation ${operationName}`);
      compiled = {
        codec: codecOf(protocol).compile(operation),
        validate: compileValidation(operation),
        inflates: operation.data.requestCompression === true,
      };
      this.#compiled.set(key, compiled);
    }
    return compiled;
  }

  /** Undefined when the service has no such operation. */
  match(protocol: ProtocolName, operation: string, labels: Match["labels"] = {}): Match | undefined {
    const data = this.model.operationData(operation);
    if (data === undefined) return undefined;
    return {
      service: this.name,
      operation,
      protocol,
      labels,
      bodyBytesMax: bodyBytesMax(this.name, operation),
      ...(data.auth === undefined ? {} : { auth: data.auth }),
    };
  }
}

function codecOf(protocol: ProtocolName): ProtocolCodec {
  assert(protocol !== "ec2Query", "no service of ours speaks ec2Query");
  return CODECS[protocol];
}

class ModelProtocols implements Protocols {
  readonly #services: ReadonlyMap<string, Service>;
  readonly #bySigningName = new Map<string, Service[]>();
  readonly #byTarget = new Map<string, Service>();

  constructor(services: readonly Service[]) {
    this.#services = new Map(services.map((service) => [service.name, service]));
    for (const service of services) {
      const { signingName, targetPrefix } = service.metadata;
      this.#bySigningName.set(signingName, [...(this.#bySigningName.get(signingName) ?? []), service]);
      if (targetPrefix !== undefined) this.#byTarget.set(targetPrefix, service);
    }
  }

  match(head: RequestHead, signingName: string | undefined): Match | undefined {
    const target = head.headers["x-amz-target"];
    if (target !== undefined) return this.#matchTarget(head, target);
    if (head.headers["smithy-protocol"] === "rpc-v2-cbor") return this.#matchRpcV2(head);
    if (signingName !== undefined) {
      const services = this.#bySigningName.get(signingName) ?? [];
      return this.#matchRest(head, services) ?? this.#matchQuery(head, services);
    }
    // Unsigned: S3's routes take nearly every path, so it comes after those that are sure.
    const services = [...this.#services.values()];
    const isS3 = (service: Service) => service.metadata.serviceId === "S3";
    return (
      this.#matchRest(
        head,
        services.filter((service) => !isS3(service)),
      ) ??
      this.#matchQuery(head, services) ??
      this.#matchRest(head, services.filter(isS3))
    );
  }

  #matchTarget(head: RequestHead, target: string): Match | undefined {
    const dot = target.lastIndexOf(".");
    const service = this.#byTarget.get(target.slice(0, dot));
    if (service === undefined || !service.speaks("json")) return undefined;
    const version = head.headers["content-type"]?.match(/^application\/x-amz-json-(1\.[01])/)?.[1];
    const is10 = (version ?? service.metadata.jsonVersion) === "1.0";
    return service.match(is10 ? "awsJson1_0" : "awsJson1_1", target.slice(dot + 1));
  }

  #matchRpcV2(head: RequestHead): Match | undefined {
    const [, serviceName = "", operation = ""] = RPC_V2_PATH.exec(head.path) ?? [];
    const service = this.#byTarget.get(serviceName);
    if (service === undefined || !service.speaks("smithy-rpc-v2-cbor")) return undefined;
    return service.match("rpcv2Cbor", operation);
  }

  #matchRest(head: RequestHead, services: readonly Service[]): Match | undefined {
    for (const service of services) {
      if (!service.isRest) continue;
      const route = service.router.find(head, restPath(service, head));
      if (route === undefined) continue;
      return service.match(
        service.speaks("rest-xml") ? "restXml" : "restJson1",
        route.operation,
        route.labels,
      );
    }
    return undefined;
  }

  #matchQuery(head: RequestHead, services: readonly Service[]): Match | undefined {
    const speakers = services.filter((service) => service.speaks("query"));
    if (speakers.length === 0) return undefined;
    if (head.query.includes("Action=")) return matchForm(head.query, speakers);
    if (head.method !== "POST" || head.headers["content-type"]?.startsWith(FORM) !== true) return undefined;
    const name = speakers.length === 1 ? (speakers[0]?.name ?? "") : "";
    return {
      service: name,
      operation: "",
      protocol: "awsQuery",
      labels: {},
      bodyBytesMax: bodyBytesMax(name, ""),
    };
  }

  resolve(match: Match, request: WireRequest): Match | undefined {
    if (match.operation !== "") return match;
    const speakers = [...this.#services.values()].filter(
      (service) => service.speaks("query") && (match.service === "" || match.service === service.name),
    );
    return matchForm(inflated(request, match.bodyBytesMax).body.toString("utf8"), speakers);
  }

  decode(match: Match, request: WireRequest): Record<string, unknown> {
    const { codec, validate, inflates } = this.#compiled(match);
    const plain = inflates ? inflated(request, match.bodyBytesMax) : request;
    try {
      const input = codec.decode(plain, match.labels);
      validate(input);
      return input;
    } catch (error) {
      // A body that is nested deeper than the stack reaches: the caller's doing, and harmless.
      if (error instanceof RangeError) throw serializationError("The request is nested too deeply");
      throw error;
    }
  }

  encode(match: Match, output: Record<string, unknown>, requestId: string): WireResponse {
    return this.#compiled(match).codec.encode(output, requestId);
  }

  encodeError(match: Match | undefined, error: AwsError, requestId: string): WireResponse {
    if (match === undefined) return restJson.encodeError(undefined, error, requestId);
    const model = match.service === "" ? undefined : this.#service(match.service).model;
    return codecOf(match.protocol).encodeError(model, error, requestId);
  }

  #service(name: string): Service {
    const service = this.#services.get(name);
    assert(service, `the service ${name} is switched on`);
    return service;
  }

  #compiled(match: Match): Compiled {
    return this.#service(match.service).compiled(match.protocol, match.operation);
  }
}

/** The path with the bucket in front where the host's name holds it. */
function restPath(service: Service, head: RequestHead): string {
  if (service.metadata.serviceId !== "S3") return head.path;
  const bucket = S3_VIRTUAL_HOST.exec(head.headers["host"] ?? "")?.[1];
  return bucket === undefined || bucket === "s3" ? head.path : `/${bucket}${head.path}`;
}

function matchForm(form: string, services: readonly Service[]): Match | undefined {
  let action = "";
  let version: string | undefined;
  for (const [name, value] of parseQuery(form)) {
    if (name === "Action") action = value;
    if (name === "Version") version = value;
  }
  for (const service of services) {
    if (version !== undefined && version !== service.metadata.apiVersion) continue;
    const match = service.match("awsQuery", action);
    if (match) return match;
  }
  return undefined;
}

/** The request with its body as it was before the client compressed it. */
function inflated(request: WireRequest, bodyBytesMax: number): WireRequest {
  if (request.headers["content-encoding"] !== "gzip") return request;
  try {
    return { ...request, body: gunzipSync(request.body, { maxOutputLength: bodyBytesMax }) };
  } catch (error) {
    throw serializationError(`Could not decompress the request body: ${(error as Error).message}`);
  }
}

/** Protocols over models that the caller has: for tests with models of their own. */
export function createProtocolsOf(models: readonly ServiceModel[]): Protocols {
  return new ModelProtocols(models.map((model) => new Service(model.name, model.metadata, () => model)));
}

/** Protocols of the services that are switched on, by the folder names of their models. */
export function createProtocols(services: readonly string[]): Protocols {
  return new ModelProtocols(
    services.map((name) => new Service(name, serviceMetadata(name), () => loadModel(name))),
  );
}
