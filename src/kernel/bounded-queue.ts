import { assert } from "./assert.ts";

/** First in, first out, never longer than `capacity`: a full queue refuses, and its owner decides what that means. */
export class BoundedQueue<T> {
  readonly capacity: number;
  #items: (T | undefined)[];
  #head = 0;
  #size = 0;

  constructor(capacity: number) {
    assert(Number.isInteger(capacity) && capacity > 0, "a queue's capacity is a positive whole number");
    this.capacity = capacity;
    this.#items = [];
  }

  get size(): number {
    return this.#size;
  }

  /** False when the queue is full; the item was not taken. */
  push(item: T): boolean {
    if (this.#size === this.capacity) return false;
    this.#items[(this.#head + this.#size) % this.capacity] = item;
    this.#size += 1;
    return true;
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.capacity;
    this.#size -= 1;
    return item;
  }
}
