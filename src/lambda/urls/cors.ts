/** Cross-origin rules of a function URL: which headers an answer gets, and answers to preflight requests. */
import type { CorsRules } from "./function-url.ts";

type Headers = Readonly<Record<string, string | undefined>>;

/** A browser's question before it sends a request: answered by the rules, never by the function. */
export function isPreflight(method: string, headers: Headers): boolean {
  return (
    method === "OPTIONS" &&
    headers["origin"] !== undefined &&
    headers["access-control-request-method"] !== undefined
  );
}

/** Headers of the answer to a preflight request; none but Vary for an origin that is not allowed. */
export function preflightHeaders(rules: CorsRules, headers: Headers): Record<string, string> {
  const common = corsHeaders(rules, headers);
  if (common["access-control-allow-origin"] === undefined) return common;
  const { "access-control-expose-headers": _, ...answer } = common;
  const methods = allowed(rules.allowMethods, headers["access-control-request-method"]);
  if (methods !== undefined) answer["access-control-allow-methods"] = methods;
  const names = allowed(rules.allowHeaders, headers["access-control-request-headers"]);
  if (names !== undefined) answer["access-control-allow-headers"] = names;
  if (rules.maxAgeS !== undefined) answer["access-control-max-age"] = String(rules.maxAgeS);
  return answer;
}

/** Headers that are added to the function's answer. Without an Origin it is not asked for by a page: none. */
export function corsHeaders(rules: CorsRules, { origin }: Headers): Record<string, string> {
  if (origin === undefined) return {};
  // The answer differs from origin to origin: a cache must know.
  const answer: Record<string, string> = { vary: "Origin" };
  if (!allowsOrigin(rules, origin)) return answer;
  answer["access-control-allow-origin"] = origin;
  if (rules.allowCredentials === true) answer["access-control-allow-credentials"] = "true";
  if (rules.exposeHeaders && rules.exposeHeaders.length > 0)
    answer["access-control-expose-headers"] = rules.exposeHeaders.join(",");
  return answer;
}

function allowsOrigin({ allowOrigins = [] }: CorsRules, origin: string): boolean {
  return allowOrigins.some((one) => one === "*" || one.toLowerCase() === origin.toLowerCase());
}

/** The wildcard is told as what was asked for: browsers take `*` by its letter where credentials are sent. */
function allowed(list: readonly string[] | undefined, requested: string | undefined): string | undefined {
  if (!list || list.length === 0) return undefined;
  return list.includes("*") ? requested : list.join(",");
}
