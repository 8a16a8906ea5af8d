/** Items by the time at which they are due: a binary heap. Adding and taking cost O(log n). */
export class DeadlineQueue<T> {
  #heap: { readonly dueMs: number; readonly item: T }[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** When the first one is due; Infinity when there is none. */
  get firstDueMs(): number {
    return this.#heap[0]?.dueMs ?? Infinity;
  }

  push(dueMs: number, item: T): void {
    const heap = this.#heap;
    const entry = { dueMs, item };
    let at = heap.length;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt];
      if (!parent || parent.dueMs <= dueMs) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = entry;
  }

  /** Takes the first one when it is due at `nowMs`. */
  takeDue(nowMs: number): { readonly dueMs: number; readonly item: T } | undefined {
    const first = this.#heap[0];
    if (!first || first.dueMs > nowMs) return undefined;
    const last = this.#heap.pop();
    if (last && this.#heap.length > 0) this.#sink(last);
    return first;
  }

  /** Drops whatever `keeps` does not want. Costs O(n log n): for when most of it is in vain. */
  retain(keeps: (item: T, dueMs: number) => boolean): void {
    // What is in order is a heap.
    this.#heap = this.#heap.filter(({ item, dueMs }) => keeps(item, dueMs)).sort((a, b) => a.dueMs - b.dueMs);
  }

  /** Puts `entry` where it belongs, from the top, whose place is free. */
  #sink(entry: { readonly dueMs: number; readonly item: T }): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let childAt = 2 * at + 1;
      const [left, right] = [heap[childAt], heap[childAt + 1]];
      if (!left) break;
      const child = right && right.dueMs < left.dueMs ? right : left;
      if (child === right) childAt += 1;
      if (child.dueMs >= entry.dueMs) break;
      heap[at] = child;
      at = childAt;
    }
    heap[at] = entry;
  }
}
