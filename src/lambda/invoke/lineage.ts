/**
 * Recursive loops are recognised by the trace header, which AWS's SDKs pass on from an invocation to all that the function
 * calls: its field `Lineage=HASH:COUNT|HASH:COUNT|…` says how often each function was invoked again in this chain of requests.
 */
import { hash } from "node:crypto";

/** Lambda stops the next invocation after about so many of one function in a chain [docs: invocation-recursion]. */
export const LINEAGE_HOPS_MAX = 16;
/** Functions that a header remembers; the oldest go first. A longer circle is not recognised. Ours. */
const ENTRIES_MAX = 32;
const COUNT_MAX = 32_767;

const FIELD = /(?:^|;)\s*Lineage=([^;]*)/;
const ENTRY = /^([0-9a-f]{8}):(\d{1,5})$/;

/** How many invocations of the function came before this one in the chain, this one's own `withHop` included. */
export function hopsOf(traceHeader: string, functionArn: string): number {
  return entriesOf(traceHeader).get(hashOf(functionArn)) ?? 0;
}

/** The header for an invocation of `functionArn` (unqualified), which the caller's header led to. The first one counts 0. */
export function withHop(traceHeader: string, functionArn: string): string {
  const entries = entriesOf(traceHeader);
  const name = hashOf(functionArn);
  const count = entries.get(name);
  entries.set(name, count === undefined ? 0 : Math.min(count + 1, COUNT_MAX));
  const kept = [...entries].slice(-ENTRIES_MAX);
  const field = `Lineage=${kept.map(([key, value]) => `${key}:${value}`).join("|")}`;
  const rest = traceHeader.replace(FIELD, "");
  return rest === "" ? field : `${rest};${field}`;
}

/** Headers come from callers: what is not an entry is passed over. */
function entriesOf(traceHeader: string): Map<string, number> {
  const entries = new Map<string, number>();
  const [, field = ""] = FIELD.exec(traceHeader) ?? [];
  for (const text of field.split("|")) {
    const [, name, count] = ENTRY.exec(text) ?? [];
    if (name !== undefined) entries.set(name, Number(count));
  }
  return entries;
}

function hashOf(functionArn: string): string {
  return hash("sha256", functionArn, "hex").slice(0, 8);
}
