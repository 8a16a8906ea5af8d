/** The spawner's end of the IPC channel to the server. */
import { Server, Socket } from "node:net";
import { coerceError } from "../../../kernel/deferred.ts";
import { SandboxError } from "../sandbox.ts";
import type { Failure, HandleKind, SpawnerMessage } from "./protocol.ts";

/** Sends in order. A server that is gone hears nothing: the `disconnect` that follows ends this process. */
export function send(message: SpawnerMessage): void {
  transmit(message);
}

/** Passes one end of a socket or pipe on; this process's copy is closed when it has arrived. */
export function sendDescriptor(kind: HandleKind, id: string, fd: number): void {
  // Not readable here: what comes before the handle arrives is for the server.
  const socket = new Socket({ fd, readable: false, writable: true });
  transmit({ type: "handle", kind, id }, socket);
}

/** Passes a listening socket on. Closed here when it has arrived: two who listen would share the connections. */
export function sendServer(kind: HandleKind, server: Server): void {
  transmit({ type: "handle", kind, id: "" }, server, () => server.close());
}

export function failure(error: unknown): Failure {
  const { message } = coerceError(error);
  if (!(error instanceof SandboxError)) return { step: "system-call", message };
  return { step: error.step, message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}

function transmit(message: SpawnerMessage, handle?: Socket | Server, onSent?: () => void): void {
  if (!process.connected || !process.send) return;
  process.send(message, handle, {}, (error) => {
    // The server has just died, and the end of the channel has not come through yet: that is the way to stop.
    if (error && process.connected) process.disconnect();
    onSent?.();
  });
}
