import type { TestContext } from "node:test";

/** Registers one test of the suite; `title` is what a skip list names. */
export type Define = (title: string, body: (t: TestContext) => Promise<void>) => void;
