/** What a function URL is, and how its host name reads. Types and pure functions: control implements the directory. */
import { randomBytes } from "node:crypto";
import { isIP } from "node:net";

export interface FunctionUrl {
  /** 32 lower-case letters and digits: the first label of its host name. */
  readonly id: string;
  readonly functionName: string;
  /** The alias that it invokes; undefined: $LATEST. */
  readonly qualifier: string | undefined;
  /** Of the function, or of the alias. */
  readonly functionArn: string;
  readonly authType: "NONE" | "AWS_IAM";
  readonly invokeMode: "BUFFERED" | "RESPONSE_STREAM";
  /** Undefined: the function answers preflight requests itself, and sets its own headers. */
  readonly cors: CorsRules | undefined;
}

export interface CorsRules {
  readonly allowCredentials?: boolean;
  readonly allowHeaders?: readonly string[];
  readonly allowMethods?: readonly string[];
  readonly allowOrigins?: readonly string[];
  readonly exposeHeaders?: readonly string[];
  readonly maxAgeS?: number;
}

export interface FunctionUrlDirectory {
  /** The URL of that id as it is now, from memory. */
  find(id: string): FunctionUrl | undefined;
}

const ID_CHARS = 32;
const ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
const HOST = /^([a-z0-9]{32})\.lambda-url\.[a-z0-9-]+\.[^:]+(?::\d+)?$/i;

/** 160 random bits, so that a URL cannot be guessed. */
export function newUrlId(): string {
  let id = "";
  for (const byte of randomBytes(ID_CHARS)) id += ID_ALPHABET[byte % ID_ALPHABET.length];
  return id;
}

/** The id in a Host header `ID.lambda-url.REGION.NAME[:PORT]`; undefined for every other host. Names know no case. */
export function urlIdOf(host: string): string | undefined {
  return host.length > ID_CHARS && host[ID_CHARS] === "." ? HOST.exec(host)?.[1]?.toLowerCase() : undefined;
}

/**
 * `http://ID.lambda-url.REGION.HOST:PORT/` below the host by which the client reached `endpoint`. An address has no names
 * below it: `localhost` takes its place, whose subdomains resolvers keep on the machine [RFC 6761].
 */
export function formatUrl(id: string, region: string, endpoint: string): string {
  const { protocol, hostname, port } = parseEndpoint(endpoint);
  const address = hostname.replace(/^\[(.*)\]$/, "$1");
  const name = isIP(address) ? "localhost" : hostname;
  return `${protocol}//${id}.lambda-url.${region}.${name}${port === "" ? "" : `:${port}`}/`;
}

/** The host in an endpoint is what a client claims: when it makes no URL, it is taken for localhost. */
export function parseEndpoint(endpoint: string): Pick<URL, "protocol" | "hostname" | "port"> {
  return URL.canParse(endpoint) ? new URL(endpoint) : new URL("http://localhost");
}
