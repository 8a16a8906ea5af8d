/**
 * Keeps one environment from holding all of the server's descriptors: each address of the environments' network may have
 * so many connections at a time, and those beyond are closed at once.
 */
import type { Socket } from "node:net";

export class AddressQuota {
  readonly #connectionsMax: number;
  /** Open connections by address; addresses without any are not in it. */
  readonly #open = new Map<string, number>();

  constructor(connectionsMax: number) {
    this.#connectionsMax = connectionsMax;
  }

  /** Counts the connection until it closes; false when it was one too many, and is gone. */
  admit(socket: Socket): boolean {
    const address = socket.remoteAddress ?? "";
    const open = this.#open.get(address) ?? 0;
    if (open >= this.#connectionsMax) {
      // Without a farewell: a closing connection would go on costing memory.
      socket.resetAndDestroy();
      return false;
    }
    this.#open.set(address, open + 1);
    socket.once("close", () => {
      const left = (this.#open.get(address) ?? 1) - 1;
      if (left > 0) this.#open.set(address, left);
      else this.#open.delete(address);
    });
    return true;
  }
}
