/**
 * Goal: what AWS's own signer signs is accepted, whatever its path, query, headers and body; what was changed afterwards
 * is not; and every refusal has the code and the words of the service that was meant.
 * Method: @smithy/signature-v4, the signer inside the AWS SDK, as oracle, driven by fast-check over odd texts; hand-made
 * requests for the rules that this signer never uses; a manual clock.
 */
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { SignatureV4 } from "@smithy/signature-v4";
import * as fc from "fast-check";
import type { Credential, CredentialFailure } from "../iam/credentials.ts";
import { AwsError } from "../errors.ts";
import { ManualClock } from "../kernel/clock.ts";
import { Sha256 } from "./fakes.ts";
import type { Match } from "./protocol.ts";
import { SignatureVerifier, type SignedHead } from "./sigv4.ts";
import { SignatureParts } from "./sigv4-parts.ts";

const NOW_MS = Date.UTC(2026, 10, 23, 12, 0, 0);
const ACCESS_KEY_ID = "AKIAAAAAAAAAAAAAAAAA";
const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const CREDENTIAL: Credential = {
  secretAccessKey: SECRET,
  principal: { kind: "root", arn: "arn:aws:iam::000000000000:root", accountId: "000000000000", userId: "0" },
};

interface Sent {
  method: string;
  path: string;
  query: [name: string, value: string][];
  headers: Record<string, string>;
  body: Buffer;
}

/** Every byte but the unreserved ones, as the SDK puts texts into paths and queries. */
const escapeUri = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

function signer(service: string, overrides: { secretAccessKey?: string; sessionToken?: string } = {}) {
  return new SignatureV4({
    service,
    region: "us-east-1",
    credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET, ...overrides },
    sha256: Sha256,
    uriEscapePath: service !== "s3",
    applyChecksum: service === "s3",
  });
}

function queryBag(pairs: Sent["query"]): Record<string, string | string[]> {
  const bag: Record<string, string | string[]> = {};
  for (const [name, value] of pairs) {
    const before = bag[name];
    bag[name] = before === undefined ? value : [before, value].flat();
  }
  return bag;
}

function asSmithy(sent: Sent) {
  return {
    method: sent.method,
    protocol: "http:",
    hostname: "localhost",
    path: sent.path,
    query: queryBag(sent.query),
    headers: { host: "localhost:4566", ...sent.headers },
    body: sent.body,
  };
}

/** What the server sees of a signed request. */
function received(signed: {
  method: string;
  path: string;
  headers: Record<string, string>;
  query?: unknown;
}): SignedHead {
  const parts: string[] = [];
  for (const [name, value] of Object.entries((signed.query ?? {}) as Record<string, string | string[]>)) {
    for (const one of [value].flat()) parts.push(`${escapeUri(name)}=${escapeUri(one)}`);
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(signed.headers)) headers[name.toLowerCase()] = value.trim();
  return { method: signed.method, path: signed.path, query: parts.join("&"), headers };
}

async function sign(service: string, sent: Sent, signingMs = NOW_MS): Promise<SignedHead> {
  const signed = await signer(service).sign(asSmithy(sent), { signingDate: new Date(signingMs) });
  return received(signed);
}

const match = (service: string, protocol: Match["protocol"] = "restJson1"): Match => ({
  service,
  protocol,
  operation: "Any",
  labels: {},
  bodyBytesMax: 1000,
});

function verify(
  head: SignedHead,
  body: Buffer,
  options: {
    match?: Match;
    lookup?: Credential | CredentialFailure;
    nowMs?: number;
    unsignedBody?: boolean;
  } = {},
): Credential {
  const verifier = new SignatureVerifier({
    clock: new ManualClock(options.nowMs ?? NOW_MS),
    credentials: { lookup: () => options.lookup ?? CREDENTIAL },
  });
  const parts = SignatureParts.find(head.headers, head.query);
  const signed = verifier.begin(parts, head, options.match ?? match("lambda"));
  signed.verify(body, options.unsignedBody ?? false);
  return signed.credential;
}

function refusal(act: () => unknown): AwsError {
  let refused: unknown;
  try {
    act();
  } catch (error) {
    refused = error;
  }
  assert(refused instanceof AwsError, `refused with ${String(refused)}`);
  return refused;
}

const INVOKE: Sent = {
  method: "POST",
  path: "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations",
  query: [["Qualifier", "$LATEST"]],
  headers: { "content-type": "application/json", "x-amz-invocation-type": "RequestResponse" },
  body: Buffer.from('{"a":1}'),
};

const anyText = fc.string({ unit: "binary", maxLength: 12 }).filter((text) => text.isWellFormed());
const anyPath = fc.array(
  anyText.filter((text) => text !== "" && text !== "." && text !== ".."),
  { maxLength: 5 },
);
const anyQuery = fc.array(fc.tuple(anyText, anyText), { maxLength: 5 });
/** Printable ASCII, blanks and tabs in any number. */
const anyHeader = fc.string({
  unit: fc.constantFrom(" ", "\t", "!", '"', ",", ";", ":", "=", "~", "a", "Z", "9"),
  maxLength: 20,
});
const anySent: fc.Arbitrary<Sent> = fc.record({
  method: fc.constantFrom("GET", "PUT", "POST", "DELETE", "HEAD"),
  path: anyPath.map((segments) => `/${segments.map(escapeUri).join("/")}`),
  query: anyQuery,
  headers: fc
    .dictionary(fc.stringMatching(/^x-amz-[a-z][a-z0-9-]{0,8}$/), anyHeader, { maxKeys: 4 })
    .map((headers) => {
      delete headers["x-amz-date"];
      return headers;
    }),
  body: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
});

describe("the AWS SDK's signer as oracle", () => {
  for (const service of ["lambda", "s3"]) {
    it(`accepts what it signs for ${service}, in the header`, async () => {
      await fc.assert(
        fc.asyncProperty(anySent, async (sent) => {
          const head = await sign(service, sent);
          assert.equal(verify(head, sent.body, { match: match(service) }), CREDENTIAL);
        }),
        { numRuns: 300 },
      );
    });

    it(`accepts what it presigns for ${service}`, async () => {
      await fc.assert(
        fc.asyncProperty(anySent, async (sent) => {
          const body = Buffer.alloc(0);
          const unsigned: Record<string, string> =
            service === "s3" ? { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" } : {};
          const plain = { ...sent, headers: { ...sent.headers, ...unsigned } };
          const request = { ...asSmithy(plain), body: undefined };
          const options = { signingDate: new Date(NOW_MS), expiresIn: 60 };
          const signed = await signer(service).presign(request, options);
          assert.equal(verify(received(signed), body, { match: match(service) }), CREDENTIAL);
        }),
        { numRuns: 200 },
      );
    });
  }

  it("refuses whatever was changed after signing", async () => {
    const changes = fc.constantFrom<(head: SignedHead) => SignedHead>(
      (head) => ({ ...head, method: head.method === "GET" ? "PUT" : "GET" }),
      (head) => ({ ...head, path: `${head.path}x` }),
      (head) => ({ ...head, query: head.query === "" ? "a=b" : `${head.query}&a=b` }),
      (head) => ({ ...head, headers: { ...head.headers, host: "elsewhere" } }),
      (head) => ({ ...head, headers: { ...head.headers, "x-amz-date": "20261123T120001Z" } }),
    );
    await fc.assert(
      fc.asyncProperty(anySent, changes, async (sent, change) => {
        const head = change(await sign("lambda", sent));
        assert.equal(refusal(() => verify(head, sent.body)).code, "InvalidSignatureException");
      }),
      { numRuns: 200 },
    );
  });

  it("refuses another body", async () => {
    const head = await sign("lambda", INVOKE);
    assert.equal(refusal(() => verify(head, Buffer.from('{"a":2}'))).code, "InvalidSignatureException");
    assert.equal(refusal(() => verify(head, Buffer.alloc(0))).code, "InvalidSignatureException");
  });
});

/** Signs by the letter of AWS's documentation, for forms that the SDK's signer never makes. */
function signByHand(canonical: string, signedHeaders: string, bytes: BufferEncoding = "utf8"): string {
  const digest = createHash("sha256").update(Buffer.from(canonical, bytes)).digest("hex");
  const scope = "20261123/us-east-1/lambda/aws4_request";
  let key: Buffer = Buffer.from(`AWS4${SECRET}`);
  for (const part of scope.split("/")) key = createHmac("sha256", key).update(part).digest();
  const text = `AWS4-HMAC-SHA256\n20261123T120000Z\n${scope}\n${digest}`;
  const signature = createHmac("sha256", key).update(text).digest("hex");
  return `AWS4-HMAC-SHA256 Credential=${ACCESS_KEY_ID}/${scope}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
}

const EMPTY_HASH = createHash("sha256").digest("hex");
const DATED = { host: "h", "x-amz-date": "20261123T120000Z" };
const DATED_LINES = "host:h\nx-amz-date:20261123T120000Z\n";

describe("forms that other signers use", () => {
  const accept = (head: Omit<SignedHead, "method">) => verify({ method: "GET", ...head }, Buffer.alloc(0));

  it("takes paths with redundant segments, normalised or not", () => {
    for (const canonical of ["/example/", "/example//../x/./../"]) {
      const authorization = signByHand(
        `GET\n${canonical}\n\n${DATED_LINES}\nhost;x-amz-date\n${EMPTY_HASH}`,
        "host;x-amz-date",
      );
      const headers = { ...DATED, authorization };
      const path = canonical === "/example/" ? "//example/x/.././" : canonical;
      assert.equal(accept({ path, query: "", headers }), CREDENTIAL);
    }
  });

  it("sorts repeated query keys by value, and by key before value", () => {
    const query = "a=1&a-=2&b=%7e&b&b=A&b=+";
    const canonical = "a=1&a-=2&b=&b=%20&b=A&b=~";
    const authorization = signByHand(
      `GET\n/\n${canonical}\n${DATED_LINES}\nhost;x-amz-date\n${EMPTY_HASH}`,
      "host;x-amz-date",
    );
    assert.equal(accept({ path: "/", query, headers: { ...DATED, authorization } }), CREDENTIAL);
  });

  it("joins repeated headers with a comma", () => {
    const names = "host;my-header;x-amz-date";
    const lines = "host:h\nmy-header:b,a\nx-amz-date:20261123T120000Z\n";
    const authorization = signByHand(`GET\n/\n\n${lines}\n${names}\n${EMPTY_HASH}`, names);
    const headers = { ...DATED, "my-header": "b, a", authorization };
    const rawHeaders = ["Host", "h", "My-Header", "b", "my-header", "a"];
    assert.equal(accept({ path: "/", query: "", headers, rawHeaders }), CREDENTIAL);
    assert.equal(refusal(() => accept({ path: "/", query: "", headers })).code, "InvalidSignatureException");
  });

  it("takes header bytes as UTF-8, which node:http shows as Latin-1", () => {
    const names = "host;x-amz-date;x-amz-meta";
    const lines = `${DATED_LINES}x-amz-meta:`;
    const authorization = signByHand(`GET\n/\n\n${lines}à\u0102\n\n${names}\n${EMPTY_HASH}`, names);
    const shown = Buffer.from("à\u0102").toString("latin1");
    assert.equal(
      accept({ path: "/", query: "", headers: { ...DATED, "x-amz-meta": shown, authorization } }),
      CREDENTIAL,
    );
  });

  it("takes the Date header when there is no X-Amz-Date", () => {
    const authorization = signByHand(
      `GET\n/\n\ndate:Mon, 23 Nov 2026 12:00:00 GMT\nhost:h\n\ndate;host\n${EMPTY_HASH}`,
      "date;host",
    );
    const headers = { host: "h", date: "Mon, 23 Nov 2026 12:00:00 GMT", authorization };
    assert.equal(accept({ path: "/", query: "", headers }), CREDENTIAL);
  });
});

describe("time", () => {
  const MINUTE_MS = 60_000;

  it("accepts a header's signature within five minutes, fifteen for S3, and says how far it was off", async () => {
    const head = await sign("lambda", INVOKE);
    for (const nowMs of [NOW_MS - 5 * MINUTE_MS, NOW_MS + 5 * MINUTE_MS])
      verify(head, INVOKE.body, { nowMs });
    const late = refusal(() => verify(head, INVOKE.body, { nowMs: NOW_MS + 6 * MINUTE_MS }));
    assert.equal(late.code, "InvalidSignatureException");
    assert.equal(
      late.message,
      "Signature expired: 20261123T120000Z is now earlier than 20261123T120100Z (20261123T120600Z - 5 min.)",
    );
    const early = refusal(() => verify(head, INVOKE.body, { nowMs: NOW_MS - 6 * MINUTE_MS }));
    assert.equal(
      early.message,
      "Signature not yet current: 20261123T120000Z is still later than 20261123T115900Z (20261123T115400Z + 5 min.)",
    );
    const s3 = await sign("s3", INVOKE);
    verify(s3, INVOKE.body, { nowMs: NOW_MS + 14 * MINUTE_MS, match: match("s3", "restXml") });
    const skewed = refusal(() =>
      verify(s3, INVOKE.body, { nowMs: NOW_MS + 16 * MINUTE_MS, match: match("s3", "restXml") }),
    );
    assert.equal(skewed.code, "RequestTimeTooSkewed");
  });

  it("accepts a presigned request exactly as long as it says", async () => {
    const options = { signingDate: new Date(NOW_MS), expiresIn: 3600 };
    const signed = received(await signer("sts").presign({ ...asSmithy(INVOKE), body: undefined }, options));
    const body = Buffer.alloc(0);
    verify(signed, body, { nowMs: NOW_MS + 3600_000 });
    assert.equal(
      refusal(() => verify(signed, body, { nowMs: NOW_MS + 3600_001 })).code,
      "InvalidSignatureException",
    );
    const s3 = { match: match("s3", "restXml"), nowMs: NOW_MS + 3600_001 };
    assert.deepEqual(
      [refusal(() => verify(signed, body, s3))].map(({ code, status, message }) => [code, status, message]),
      [["AccessDenied", 403, "Request has expired"]],
    );
  });
});

describe("refusals", () => {
  it("speaks each service's dialect", async () => {
    const head = await sign("lambda", INVOKE);
    const answers = (["unknown", "invalid-token", "expired"] as const).map((lookup) =>
      [match("lambda"), match("logs", "awsJson1_1"), match("sts", "awsQuery"), match("s3", "restXml")].map(
        (meant) => {
          const { code, status } = refusal(() => verify(head, INVOKE.body, { lookup, match: meant }));
          return `${code} ${status}`;
        },
      ),
    );
    assert.deepEqual(answers, [
      [
        "UnrecognizedClientException 403",
        "UnrecognizedClientException 400",
        "InvalidClientTokenId 403",
        "InvalidAccessKeyId 403",
      ],
      [
        "UnrecognizedClientException 403",
        "UnrecognizedClientException 400",
        "InvalidClientTokenId 403",
        "InvalidToken 400",
      ],
      ["ExpiredTokenException 403", "ExpiredTokenException 400", "ExpiredToken 403", "ExpiredToken 400"],
    ]);
  });

  it("asks for a signature when there is none", () => {
    const head = { method: "GET", path: "/", query: "", headers: { host: "h" } };
    const { code, status, message } = refusal(() => verify(head, Buffer.alloc(0)));
    assert.deepEqual(
      [code, status, message],
      ["MissingAuthenticationTokenException", 403, "Missing Authentication Token"],
    );
    const query = refusal(() => verify(head, Buffer.alloc(0), { match: match("sts", "awsQuery") }));
    assert.deepEqual(
      [query.code, query.message],
      ["MissingAuthenticationToken", "Request is missing Authentication Token"],
    );
  });

  it("names what an incomplete signature lacks, and never repeats the header", () => {
    const head = {
      method: "GET",
      path: "/",
      query: "",
      headers: { host: "h", authorization: "Bearer secret" },
    };
    const { code, message } = refusal(() => verify(head, Buffer.alloc(0)));
    assert.equal(code, "IncompleteSignatureException");
    assert.match(
      message,
      /^Authorization header requires 'Credential' parameter\. .*'Signature'.*'SignedHeaders'.*'X-Amz-Date'/,
    );
    assert.doesNotMatch(message, /secret/);
    const presigned = { ...head, query: "X-Amz-Algorithm=AWS4-HMAC-SHA256", headers: { host: "h" } };
    assert.match(
      refusal(() => verify(presigned, Buffer.alloc(0))).message,
      /^AWS query-string parameters must include 'X-Amz-Credential'\. .*Re-examine the query-string parameters\.$/,
    );
    const both = { ...head, query: "X-Amz-Algorithm=AWS4-HMAC-SHA256" };
    assert.equal(refusal(() => verify(both, Buffer.alloc(0))).code, "InvalidSignatureException");
  });

  it("wants the host signed, one algorithm, five elements, the terminator and the day", () => {
    const authorization = signByHand("", "x-amz-date");
    const attempt = (changed: string, headers = DATED) =>
      refusal(() =>
        verify(
          { method: "GET", path: "/", query: "", headers: { ...headers, authorization: changed } },
          Buffer.alloc(0),
        ),
      );
    assert.match(attempt(authorization).message, /^'Host' or ':authority' must be a 'SignedHeader'/);
    const hosted = signByHand("", "host");
    assert.match(
      attempt(hosted.replace("SHA256", "SHA512")).message,
      /^Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512'/,
    );
    assert.match(
      attempt(hosted.replace("/us-east-1", "")).message,
      /^Credential must have exactly 5 slash-delimited elements/,
    );
    assert.match(
      attempt(hosted.replace("aws4_request", "aws5")).message,
      /terminator: 'aws4_request', not 'aws5'/,
    );
    assert.match(
      attempt(hosted.replace("20261123", "20261122")).message,
      /'20261122' != '20261123', from '20261123T120000Z'/,
    );
    assert.match(attempt(hosted, { ...DATED, "x-amz-date": "201" }).message, /basic format'\. Got '201'/);
    assert.equal(
      attempt(hosted.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))).code,
      "InvalidSignatureException",
    );
  });

  it("leaves a body unsigned only where the service allows it", async () => {
    const sent = { ...INVOKE, headers: { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" } };
    const s3 = await sign("s3", sent);
    verify(s3, Buffer.from("anything"), { match: match("s3", "restXml") });
    const lambda = await sign("lambda", sent);
    assert.equal(refusal(() => verify(lambda, sent.body)).code, "InvalidSignatureException");
    verify(lambda, sent.body, { unsignedBody: true });
  });

  it("tells S3 callers about another body and about headers that are not signed", async () => {
    const head = await sign("s3", INVOKE);
    const s3 = { match: match("s3", "restXml") };
    assert.equal(refusal(() => verify(head, Buffer.from("x"), s3)).code, "XAmzContentSHA256Mismatch");
    const added = { ...head, headers: { ...head.headers, "x-amz-acl": "public-read" } };
    assert.equal(refusal(() => verify(added, INVOKE.body, s3)).code, "AccessDenied");
  });

  it("knows nothing about a secret that was replaced", async () => {
    const clock = new ManualClock(NOW_MS);
    let credential = CREDENTIAL;
    const verifier = new SignatureVerifier({ clock, credentials: { lookup: () => credential } });
    const head = await sign("lambda", INVOKE);
    const attempt = () => {
      const signed = verifier.begin(SignatureParts.find(head.headers, head.query), head, match("lambda"));
      signed.verify(INVOKE.body, false);
    };
    attempt();
    attempt();
    credential = { ...CREDENTIAL, secretAccessKey: "another" };
    assert.equal(refusal(attempt).code, "InvalidSignatureException");
  });
});
