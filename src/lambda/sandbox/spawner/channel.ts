/** The spawner's end of the IPC channel to the server. */
import { Server, Socket } from "node:net";
import { coerceError } from "../../../kernel/deferred.ts";
import { SandboxError } from "../sandbox.ts";
import type { Created, Failure, HandleKind, SpawnerMessage } from "./protocol.ts";

/** Sends in order. A server that is gone hears nothing: the `disconnect` that follows ends this process. */
export function send(message: SpawnerMessage): void {
  transmit(message);
}

/** Descriptors of a new sandbox; this process's copies are closed when they have arrived. */
export interface SandboxDescriptors {
  readonly output: number;
  readonly link: number | undefined;
}

/** Answers a `create`, and passes on what belongs to the sandbox. */
export function sendCreated(request: number, id: string, result: Created, fds: SandboxDescriptors): void {
  const reply = (kind: "link" | "output"): SpawnerMessage => ({
    ...{ type: "reply", request, result },
    handle: { kind, id },
  });
  const output = endOf(fds.output);
  if (fds.link === undefined) return transmit(reply("output"), output);
  transmit({ type: "handle", kind: "output", id }, output);
  transmit(reply("link"), endOf(fds.link));
}

/** Not readable here: what comes before it arrives is for the server. */
function endOf(fd: number): Socket {
  return new Socket({ fd, readable: false, writable: true });
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
