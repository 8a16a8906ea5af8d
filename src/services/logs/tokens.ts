/**
 * The opaque strings of the API. A position is 56 digits, as AWS's event ids and tokens are: 16 of the time stamp
 * and 40 of the sequence (plus one, so that the position before all events has one too).
 */
import { invalidNextToken } from "./errors.ts";
import type { Position } from "./page.ts";

const TIME_DIGITS = 16;
const SEQUENCE_DIGITS = 40;
const DIGITS = /^\d{56}$/;

export function encodePosition(position: Position): string {
  const time = String(position.timestampMs).padStart(TIME_DIGITS, "0");
  return time + String(BigInt(position.sequence) + 1n).padStart(SEQUENCE_DIGITS, "0");
}

/** Throws InvalidParameterException. */
export function decodePosition(digits: string): Position {
  if (!DIGITS.test(digits)) throw invalidNextToken();
  const timestampMs = Number(digits.slice(0, TIME_DIGITS));
  const sequence = Number(BigInt(digits.slice(TIME_DIGITS)) - 1n);
  if (!Number.isSafeInteger(timestampMs) || !Number.isSafeInteger(sequence)) throw invalidNextToken();
  return { timestampMs, sequence };
}

/** Where a Describe or List page ended. */
export function encodeCursor(cursor: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(cursor)).toString("base64url");
}

/** Throws InvalidParameterException. */
export function decodeCursor(token: string): readonly unknown[] {
  let cursor: unknown;
  try {
    cursor = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
  } catch {
    throw invalidNextToken();
  }
  if (!Array.isArray(cursor)) throw invalidNextToken();
  return cursor;
}
