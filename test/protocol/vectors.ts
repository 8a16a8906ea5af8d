/** Smithy's protocol tests as data, and the conversions between their notation and the protocol layer's values. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { unreachable } from "../../src/kernel/assert.ts";
import type { ModelData } from "../../src/wire/models/data.ts";
import { ServiceModel, type Shape } from "../../src/wire/models/shapes.ts";
import type { Match, Protocols, WireRequest } from "../../src/wire/protocol.ts";
import { createProtocolsOf } from "../../src/wire/protocols.ts";

export interface RequestVector {
  readonly operation: string;
  readonly id: string;
  readonly method: string;
  readonly uri: string;
  readonly host?: string;
  /** The host after the client put its prefix or bucket in front. */
  readonly resolvedHost?: string;
  readonly queryParams?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly bodyMediaType?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly appliesTo?: "client" | "server";
}

export interface ResponseVector {
  readonly operation: string;
  /** The error that the vector is about; without it, it is the operation's output. */
  readonly error?: string;
  readonly id: string;
  readonly code: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly forbidHeaders?: readonly string[];
  readonly requireHeaders?: readonly string[];
  readonly body?: string;
  readonly bodyMediaType?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly appliesTo?: "client" | "server";
}

export interface MalformedVector {
  readonly operation: string;
  readonly id: string;
  readonly request: Omit<RequestVector, "operation" | "id" | "params">;
  readonly response: { readonly code: number; readonly headers?: Readonly<Record<string, string>> };
  /** Values for `$name:L` and `$name:S`: the vector stands for as many requests as each list is long. */
  readonly testParameters?: Readonly<Record<string, readonly string[]>>;
}

export interface VectorService {
  readonly name: string;
  readonly model: ServiceModel;
  readonly protocols: Protocols;
  readonly requests: readonly RequestVector[];
  readonly responses: readonly ResponseVector[];
  readonly malformed: readonly MalformedVector[];
}

export const PROTOCOLS = [
  "restJson1",
  "restXml",
  "awsJson1_0",
  "awsJson1_1",
  "awsQuery",
  "rpcv2Cbor",
] as const;
export type VectorProtocol = (typeof PROTOCOLS)[number];

export function loadVectors(protocol: VectorProtocol): VectorService[] {
  const text = readFileSync(new URL(`vectors/${protocol}.json`, import.meta.url), "utf8");
  const { services } = JSON.parse(text) as {
    services: (Omit<VectorService, "model"> & { model: ModelData })[];
  };
  return services.map((service) => {
    const model = new ServiceModel(service.name, service.model);
    return { ...service, model, protocols: createProtocolsOf([model]) };
  });
}

export function bytesOfBody(body: string | undefined, mediaType: string | undefined): Buffer {
  return Buffer.from(body ?? "", mediaType === "application/cbor" ? "base64" : "utf8");
}

/** The request as the listener would hand it over. */
export function wireRequest(vector: Omit<RequestVector, "operation" | "id">): WireRequest {
  const [path = "", fixedQuery = ""] = vector.uri.split("?");
  const headers: Record<string, string> = {};
  const host = vector.resolvedHost ?? vector.host;
  if (host !== undefined) headers["host"] = host;
  for (const [name, value] of Object.entries(vector.headers ?? {})) headers[name.toLowerCase()] = value;
  const query = [fixedQuery, ...(vector.queryParams ?? [])].filter((part) => part !== "").join("&");
  return {
    method: vector.method,
    path,
    query,
    headers,
    body: bytesOfBody(vector.body, vector.bodyMediaType),
  };
}

/** Some vectors leave out the header that names the operation, being about something else. */
export function withTarget(service: VectorService, operation: string, request: WireRequest): WireRequest {
  const { protocols, targetPrefix } = service.model.metadata;
  if (!protocols.includes("json") || request.headers["x-amz-target"] !== undefined) return request;
  return { ...request, headers: { ...request.headers, "x-amz-target": `${targetPrefix}.${operation}` } };
}

export function matchOf(service: VectorService, request: WireRequest): Match | undefined {
  const found = service.protocols.match(request, service.model.metadata.signingName);
  return found && service.protocols.resolve(found, request);
}

/** A vector's params as the protocol layer's values: Date, Buffer, numbers that are not finite. */
export function valueOf(shape: Shape, params: unknown): unknown {
  if (params === null || params === undefined) return params;
  switch (shape.type) {
    case "structure": {
      const result: Record<string, unknown> = {};
      for (const [name, item] of Object.entries(params)) {
        const member = shape.member(name);
        assert(member, `${shape.name} has the member ${name}`);
        if (item !== null) result[name] = valueOf(member.shape, item);
      }
      return result;
    }
    case "list":
      return (params as unknown[]).map((item) => valueOf(shape.element.shape, item));
    case "map":
      return Object.fromEntries(
        Object.entries(params).map(([key, item]) => [key, valueOf(shape.value.shape, item)]),
      );
    case "blob":
      return Buffer.from(params as string);
    case "timestamp":
      return new Date((params as number) * 1000);
    case "float":
    case "double":
      return Number(params);
    case "string":
    case "boolean":
    case "integer":
    case "long":
    case "document":
      return params;
    default:
      return unreachable(shape.type, "type of a shape");
  }
}
