/** Goal: the store in memory keeps the port's contract. Method: the suite that every implementation passes. */
import { storeSuite } from "./conformance.ts";
import { MemoryStore } from "./memory.ts";

storeSuite(
  "the store in memory",
  async (clock) => {
    const store = new MemoryStore(clock);
    return { store, dispose: () => store.close() };
  },
  { durable: false },
);
