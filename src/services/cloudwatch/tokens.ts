/** NextToken: where a page ended, opaque to the caller. */
import { invalidNextToken } from "./errors.ts";

export function encodeToken(parts: readonly string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString("base64url");
}

/** Throws InvalidNextToken, or what the operation has in its place, for what encodeToken did not make of `length` parts. */
export function decodeToken(token: string, length: number, refusal = invalidNextToken): readonly string[] {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
  } catch {
    throw refusal();
  }
  if (!Array.isArray(parts) || parts.length !== length || !parts.every((part) => typeof part === "string"))
    throw refusal();
  return parts;
}
