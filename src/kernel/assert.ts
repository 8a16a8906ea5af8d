/** A broken invariant of our own code: never caught to go on, only at the boundary of the smallest unit that can die. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** States an invariant. One condition a call, so that the message says which one broke. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Marks a branch that the types say cannot be reached. */
export function unreachable(value: never, what: string): never {
  throw new AssertionError(`unreachable ${what}: ${String(value)}`);
}
