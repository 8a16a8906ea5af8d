/**
 * The spawner: the one process that makes namespaces, mounts, control groups and sandboxed processes, for one server.
 *
 * It is started by `unshare` as pid 1 of its own pid and mount namespaces, and enters its own network namespace. When
 * it ends, for whatever reason, the kernel ends every process, mount and interface in them. It ends when the server's
 * end of the IPC channel closes. It reads no configuration, listens to nobody else and does only what protocol.ts lists.
 */
import { failure, send } from "./channel.ts";
import {
  parseRequest,
  parseStart,
  requestNumber,
  type Created,
  type SpawnerRequest,
  type StartMessage,
} from "./protocol.ts";
import type { Sandboxes } from "./sandboxes.ts";
import { setUp, type Spawner } from "./set-up.ts";

async function act(sandboxes: Sandboxes, command: SpawnerRequest): Promise<Created | void> {
  switch (command.op) {
    case "ping":
      return;
    case "create":
      return await sandboxes.create(command);
    case "specialise":
      return await sandboxes.specialise(command);
    case "signal":
      return await sandboxes.signal(command.id, command.signal);
    case "limit-cpu":
      return sandboxes.limitCpu(command.id);
    case "freeze":
      return sandboxes.freeze(command.id);
    case "thaw":
      return sandboxes.thaw(command.id);
    case "destroy":
      return await sandboxes.destroy(command.id);
  }
}

async function answer(sandboxes: Sandboxes, message: unknown): Promise<void> {
  let request = requestNumber(message);
  try {
    const parsed = parseRequest(message);
    request = parsed.request;
    const result = await act(sandboxes, parsed.command);
    send({ type: "reply", request, ...(result ? { result } : {}) });
  } catch (error) {
    if (request === undefined) throw error;
    send({ type: "refusal", request, failure: failure(error) });
  }
}

async function serve(message: unknown): Promise<Spawner | undefined> {
  let start: StartMessage;
  try {
    start = parseStart(message);
    const spawner = await setUp(start);
    process.on("message", (later) => void answer(spawner.sandboxes, later));
    send({ type: "started", started: spawner.started });
    return spawner;
  } catch (error) {
    send({ type: "failed", failure: failure(error) });
    process.disconnect();
    return undefined;
  }
}

const BUSY_MS = 1000;

process.title = "hornero-spawner";
const spawner = new Promise<Spawner | undefined>((resolve, reject) => {
  process.once("message", (message) => void serve(message).then(resolve, reject));
  // A server that ends before it has said a word.
  process.once("disconnect", () => resolve(undefined));
});
process.once("disconnect", () => {
  void spawner.then(async (running) => {
    // Without the channel nothing else may keep this process at work until it is done.
    const busy = setInterval(() => undefined, BUSY_MS);
    await running?.close();
    clearInterval(busy);
    process.exit(0);
  });
});
