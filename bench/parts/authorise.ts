/**
 * What it costs to ask whether a user may invoke a function, beside what the wire does with the same request anyhow: find its
 * operation, decode and validate its input. In this process, without sockets: both are pure computation.
 */
import { ACCOUNT_ID, REGION, addUser, allowing, denying, openAccount } from "../../src/iam/fixture.ts";
import type { Principal } from "../../src/iam/principal.ts";
import type { WireRequest } from "../../src/wire/protocol.ts";
import { createProtocols } from "../../src/wire/protocols.ts";
import type { RequestContext } from "../../src/wire/service.ts";
import type { Context } from "../support/context.ts";
import { interleave, summarise, summariseRatios } from "../support/statistics.ts";

const USER = "bench";
const FUNCTION_ARN = `arn:aws:lambda:${REGION}:${ACCOUNT_ID}:function:echo`;
const REQUEST: WireRequest = {
  method: "POST",
  path: "/2015-03-31/functions/echo/invocations",
  query: "",
  headers: { host: "127.0.0.1", "content-type": "application/json", "user-agent": "bench" },
  body: Buffer.from("{}"),
};

export async function benchAuthorise({ sizes, deadlineMs, row }: Context): Promise<void> {
  using account = await openAccount();
  const policies = {
    allow: allowing("lambda:InvokeFunction", FUNCTION_ARN),
    deny: denying("lambda:Delete*", "*"),
  };
  const { userId } = await addUser(account, USER, { inline: policies });
  const arn = `arn:aws:iam::${ACCOUNT_ID}:user/${USER}`;
  const principal: Principal = { kind: "user", arn, accountId: ACCOUNT_ID, userId };
  const context = requestContext(principal);
  const protocols = createProtocols(["lambda"]);
  const decoded = () => {
    const match = protocols.match(REQUEST, "lambda");
    if (!match) throw new Error("an Invoke is not found to be one");
    return { match, input: protocols.decode(match, REQUEST) };
  };
  const { match, input } = decoded();
  const authorise = () => account.access.authorize(principal, match, input, context);
  const calls = sizes.wireRequests;
  const turns = [authorise, decoded].map((subject) => async () => rateOf(subject, calls));
  for (const turn of turns) await turn();
  const [values = [], floors = []] = await interleave({ rounds: sizes.wireRounds, deadlineMs }, turns);
  row({
    id: "authorise",
    group: "signature and protocol, the handler echoes",
    what: "may this user invoke?",
    unit: "/s",
    value: summarise(values),
    floor: { what: "match and decode", value: summarise(floors) },
    ratio: summariseRatios(values, floors),
    note: `${microseconds(values)} µs with one policy that allows and one that denies something else; the floor takes ${microseconds(floors)} µs`,
  });
}

const microseconds = (rates: readonly number[]): string => (1e6 / summarise(rates).median).toFixed(1);

/** Calls a second. */
function rateOf(subject: () => unknown, calls: number): number {
  const startMs = performance.now();
  for (let call = 0; call < calls; call += 1) subject();
  return (calls * 1000) / (performance.now() - startMs);
}

function requestContext(principal: Principal): RequestContext {
  return {
    requestId: "00000000-0000-4000-8000-000000000000",
    principal,
    region: REGION,
    accountId: ACCOUNT_ID,
    sourceIp: "127.0.0.1",
    endpoint: "http://127.0.0.1",
    signal: new AbortController().signal,
    header: (name) => REQUEST.headers[name],
  };
}
