/**
 * Bytes that arrive in pieces, kept in one block that doubles. What they cost in memory is at most four times what they
 * are, however small the pieces: a list of one-byte buffers would cost a hundred times as much, and a list of views
 * would hold every buffer that they look into.
 */
const EMPTY = Buffer.alloc(0);
const BLOCK_BYTES_MIN = 256;

export class ByteCollector {
  #block: Buffer = EMPTY;
  #length = 0;

  /** Bytes collected so far. */
  get length(): number {
    return this.#length;
  }

  /** Adds a piece; the caller bounds the sum. `expectedBytes`: how many there will be in all, where that is known. */
  append(piece: Buffer, expectedBytes = 0): void {
    const length = this.#length + piece.length;
    // The one piece of a whole is not copied, unless it is a small part of something large.
    if (this.#length === 0 && length * 2 >= piece.buffer.byteLength && length >= expectedBytes) {
      this.#block = piece;
    } else {
      if (length > this.#block.length) this.#grow(Math.max(length, expectedBytes));
      piece.copy(this.#block, this.#length);
    }
    this.#length = length;
  }

  /** What was collected; the collector is empty then. */
  take(): Buffer {
    const bytes = this.#block.subarray(0, this.#length);
    this.clear();
    return bytes;
  }

  clear(): void {
    this.#block = EMPTY;
    this.#length = 0;
  }

  #grow(bytesMin: number): void {
    const block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES_MIN, bytesMin, 2 * this.#length));
    this.#block.copy(block, 0, 0, this.#length);
    this.#block = block;
  }
}
