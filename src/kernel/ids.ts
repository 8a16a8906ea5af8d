import { randomBytes, randomUUID } from "node:crypto";

/** Request ids, revision ids and the like: a version 4 UUID in lower case, as AWS's are. */
export function newUuid(): string {
  return randomUUID();
}

/** `bytes` random bytes in lower-case hexadecimal. */
export function newHexId(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}

const KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/**
 * An IAM unique id: the four-letter prefix says what it names (AKIA access key, ASIA temporary key, AROA role, AIDA user,
 * AGPA group, ANPA managed policy, AIPA instance profile).
 */
export function newIamId(prefix: "AKIA" | "ASIA" | "AROA" | "AIDA" | "AGPA" | "ANPA" | "AIPA"): string {
  let id: string = prefix;
  for (const byte of randomBytes(16)) id += KEY_ALPHABET[byte % 32];
  return id;
}
