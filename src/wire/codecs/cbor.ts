/** CBOR in and out, on cborg: with maps for objects, tag 1 for time stamps, and strings of indefinite length. */
import { decode, encode, Tagged, Token, Tokenizer, Type } from "cborg";
import { AwsError } from "../../errors.ts";
import { bytesOf, dateOf, dateOfEpoch, serializationError } from "./scalars.ts";

/** Seconds since the epoch. */
const EPOCH_TAG = 1;

const INDEFINITE_BYTES = 0x5f;
const INDEFINITE_TEXT = 0x7f;
const BREAK = 0xff;

/** cborg knows no strings in chunks; Jackson, which AWS's Java SDK writes with, sends long ones so. */
class ChunkTokenizer extends Tokenizer {
  override next(): Token {
    const first = this.data[this._pos];
    if (first !== INDEFINITE_BYTES && first !== INDEFINITE_TEXT) return super.next();
    const type = first === INDEFINITE_BYTES ? Type.bytes : Type.string;
    const start = this._pos;
    const chunks: Buffer[] = [];
    this._pos += 1;
    while (this.data[this._pos] !== BREAK) {
      if (this.done()) throw new Error("a string in chunks has no end");
      const at = this.data[this._pos] ?? 0;
      if (at === INDEFINITE_BYTES || at === INDEFINITE_TEXT) throw new Error("chunks do not nest");
      const chunk = super.next();
      if (!Type.equals(chunk.type, type)) throw new Error("a string has a chunk of another type");
      chunks.push(bytesOf(chunk.value as string | Uint8Array));
    }
    this._pos += 1;
    const bytes = Buffer.concat(chunks);
    return new Token(type, type === Type.bytes ? bytes : bytes.toString("utf8"), this._pos - start);
  }
}

/** Maps, not objects: a client chooses the keys. Throws SerializationException. */
export function decodeCbor(body: Buffer): unknown {
  try {
    return decode(body, {
      tokenizer: new ChunkTokenizer(body),
      useMaps: true,
      tags: { [EPOCH_TAG]: (content) => dateOfEpoch(Number(content())) },
    });
  } catch (error) {
    if (error instanceof AwsError || error instanceof RangeError) throw error;
    throw serializationError(`Could not parse request body into cbor: ${(error as Error).message}`);
  }
}

/** A time stamp as `encodeCbor` takes it. */
export function cborTimestamp(value: unknown): Tagged {
  return new Tagged(EPOCH_TAG, dateOf(value).getTime() / 1000);
}

/**
 * A number as a float, whole or not: as AWS sends what its models call a double, so that Python shows 10.0 and not 10.
 * cborg takes encoders for types that it knows only; no shape has this one.
 */
export function cborFloat(value: unknown): Float64Array {
  return Float64Array.of(Number(value));
}

const TYPE_ENCODERS = { Float64Array: ([value]: Float64Array) => new Token(Type.float, value) };

export function encodeCbor(value: unknown): Buffer {
  return bytesOf(encode(value, { typeEncoders: TYPE_ENCODERS }));
}
