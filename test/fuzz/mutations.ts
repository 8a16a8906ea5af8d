/** Requests that no client would send: broken bodies, odd paths, wrong signatures. Applied to what AWS's client has made. */
import type { Random } from "../../bench/trace/random.ts";

/** What is changed of a request on its way. */
export interface HttpParts {
  method: string;
  path: string;
  query: Record<string, string | string[] | null>;
  headers: Record<string, string>;
  body: Buffer | undefined;
}

export interface Mutation {
  readonly name: string;
  /** Before: the client signs what was changed. After: it does not know. */
  readonly when: "before signing" | "after signing";
  readonly apply: (parts: HttpParts, random: Random) => void;
}

const DEEP = 20_000;

const at = (random: Random, length: number) => Math.floor(random.next() * length);

const body = (name: string, change: (old: Buffer, random: Random) => Buffer): Mutation => ({
  name,
  when: "before signing",
  apply: (parts, random) => void (parts.body = change(parts.body ?? Buffer.alloc(0), random)),
});

const ODD_VALUES = [
  null,
  true,
  0,
  -1,
  1e308,
  2 ** 53,
  "",
  "\u0000",
  [],
  {},
  [[]],
  { a: { b: [] } },
  "x".repeat(100_000),
];

/** Another value in the place of one of a JSON document's, at any depth. */
function confused(text: string, random: Random): string {
  const root = { value: JSON.parse(text) as unknown };
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const visit = (holder: Record<string, unknown>, key: string): void => {
    places.push({ holder, key });
    const value = holder[key];
    if (typeof value !== "object" || value === null) return;
    for (const inner of Object.keys(value)) visit(value as Record<string, unknown>, inner);
  };
  visit(root, "value");
  const place = places[at(random, places.length)];
  if (place) place.holder[place.key] = ODD_VALUES[at(random, ODD_VALUES.length)];
  return JSON.stringify(root.value);
}

const wrongTypes = (old: Buffer, random: Random): Buffer => {
  const text = old.toString();
  if (text.startsWith("{")) return Buffer.from(confused(text, random));
  const form = text.split("&");
  const index = at(random, form.length);
  const [name = ""] = (form[index] ?? "").split("=");
  form[index] = [
    `${name}.member.1=x`,
    `${name}.99999999999.=x`,
    `${name}=%ZZ`,
    `${name}=%FF`,
    `${name}.entry.1.key=`,
  ][at(random, 5)] as string;
  return Buffer.from(form.join("&"));
};

const header = (name: string, value: string, when: Mutation["when"] = "before signing"): Mutation => ({
  name: `${name}: ${value.slice(0, 40)}`,
  when,
  apply: (parts) => void (parts.headers[name] = value),
});

export const MUTATIONS: readonly Mutation[] = [
  body("cut off", (old, random) => old.subarray(0, at(random, old.length))),
  body("no body", () => Buffer.alloc(0)),
  body("a flipped byte", (old, random) => {
    const copy = Buffer.from(old);
    if (copy.length > 0) copy[at(random, copy.length)] = at(random, 256);
    return copy;
  }),
  body("noise", (_, random) => Buffer.from(Array.from({ length: at(random, 300) }, () => at(random, 256)))),
  body("null", () => Buffer.from("null")),
  body("an array", () => Buffer.from("[]")),
  body("deep arrays", () => Buffer.from("[".repeat(DEEP))),
  body("deep objects", () => Buffer.from(`${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}`)),
  body("deep CBOR", () => Buffer.alloc(DEEP, 0x81)),
  body("CBOR of a length that is not there", () =>
    Buffer.from([0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  ),
  body("bad UTF-8", (old) =>
    Buffer.concat([old.subarray(0, 10), Buffer.from([0xff, 0xfe, 0xc0]), old.subarray(10)]),
  ),
  body("a member that nobody knows", (old) =>
    Buffer.from(old.toString().replace("{", '{"NoSuchMember":{"a":[1]},')),
  ),
  body("__proto__", (old) =>
    Buffer.from(old.toString().replace("{", '{"__proto__":{"FunctionName":"x"},"constructor":1,')),
  ),
  body("a member twice", (old) => Buffer.from(old.toString().replace(/\{("[^"]+":)/, "{$1null,$1"))),
  body("wrong types", wrongTypes),
  body("wrong types", wrongTypes),
  body("wrong types", wrongTypes),
  header("content-type", "text/plain"),
  header("content-type", "application/json; charset=utf-16"),
  header("accept", "application/cbor"),
  header("content-encoding", "gzip"),
  header("x-amz-target", "Logs_20140328.NoSuchOperation"),
  header("x-amz-date", "20010101T000000Z", "after signing"),
  header("x-amz-date", "never", "after signing"),
  header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
  header("x-amz-content-sha256", "UNSIGNED-PAYLOAD", "after signing"),
  header("x-amz-security-token", "no such session"),
  header("x-amz-client-context", "!!!", "before signing"),
  header("authorization", "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=, Signature=", "after signing"),
  header("authorization", "Bearer x", "after signing"),
  {
    name: "not signed",
    when: "after signing",
    apply: (parts) => void delete parts.headers["authorization"],
  },
  {
    name: "another signature",
    when: "after signing",
    apply: (parts) => {
      parts.headers["authorization"] = (parts.headers["authorization"] ?? "").replace(/.$/, "0");
    },
  },
  {
    name: "another method",
    when: "before signing",
    apply: (parts, random) => {
      parts.method = ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"][at(random, 6)] as string;
      if (parts.method === "HEAD" || parts.method === "GET") parts.body = undefined;
    },
  },
  ...["%00", "%2F%2F", "%ZZ", "%E0%A4%A", "//", "/../../etc/passwd", ";a=b", "%F0%9F%98%80"].map(
    (text): Mutation => ({
      name: `${text} in the path`,
      when: "before signing",
      apply: (parts, random) => {
        const index = 1 + at(random, parts.path.length);
        parts.path = `${parts.path.slice(0, index)}${text}${parts.path.slice(index)}`;
      },
    }),
  ),
  {
    name: "odd parameters",
    when: "before signing",
    apply: (parts) => {
      parts.query = { ...parts.query, MaxItems: ["1", "x"], Marker: "%", Qualifier: "", constructor: "1" };
    },
  },
];
