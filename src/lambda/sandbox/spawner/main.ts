/**
 * The spawner: the one process that makes namespaces, mounts, control groups and sandboxed processes, for one server.
 *
 * It is started by `unshare` as pid 1 of its own pid and mount namespaces, and enters its own network namespace. When
 * it ends, for whatever reason, the kernel ends every process, mount and interface in them. It ends when the server's
 * end of the IPC channel closes. It reads no configuration, listens to nobody else and does only what protocol.ts lists.
 */
import { failure, send, sendCreated } from "./channel.ts";
import { parseRequest, parseStart, requestNumber, type SpawnerRequest } from "./protocol.ts";
import type { Sandboxes } from "./sandboxes.ts";
import { setUp, type Spawner } from "./set-up.ts";

async function act(sandboxes: Sandboxes, command: Exclude<SpawnerRequest, { op: "create" }>): Promise<void> {
  switch (command.op) {
    case "ping":
      return;
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
    const { command } = parsed;
    if (command.op === "create") {
      const { created, descriptors } = await sandboxes.create(command);
      return sendCreated(request, command.id, created, descriptors);
    }
    await act(sandboxes, command);
    send({ type: "reply", request });
  } catch (error) {
    if (request === undefined) throw error;
    send({ type: "refusal", request, failure: failure(error) });
  }
}

async function serve(start: string): Promise<Spawner | undefined> {
  try {
    const spawner = await setUp(parseStart(JSON.parse(start)));
    process.on("message", (later) => void answer(spawner.sandboxes, later));
    send({ type: "started", started: spawner.started });
    return spawner;
  } catch (error) {
    send({ type: "failed", failure: failure(error) });
    process.disconnect();
    return undefined;
  }
}

/** Node tells of no `disconnect` when the channel closes while a descriptor is on its way: so it is looked at, too. */
const CHANNEL_CHECK_MS = 250;

process.title = "hornero-spawner";
const spawner = serve(process.argv[2] ?? "");
await new Promise<void>((resolve) => {
  process.once("disconnect", resolve);
  // Never cleared: without the channel nothing else keeps this process at work until all is taken back.
  setInterval(() => process.connected || resolve(), CHANNEL_CHECK_MS);
});
await (await spawner)?.close();
process.exit(0);
