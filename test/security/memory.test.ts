// Goal: a function has the memory that it was given, by whatever way it takes it, and no more; who takes more is ended
// with AWS's words, and nobody else notices.
// Method: functions take memory as heap, as shared memory of three kinds, and as data that waits in sockets, until
// something gives.
import assert from "node:assert/strict";
import { test } from "node:test";
import { claims, useArena } from "./arena/arena.ts";

const arena = useArena();
const KILLED =
  /^\{"errorType":"Runtime.ExitError","errorMessage":"RequestId: \S+ Error: Runtime exited with error: signal: killed"\}$/;

/** Each takes memory in pieces of 16 MiB, for ever, and touches all of it. */
const BOMBS: Readonly<Record<string, string>> = {
  heap: `
kept = []
while True: kept.append(b"x" * (16 << 20))`,
  "System V shared memory": `
libc.shmat.restype = ctypes.c_void_p
while True:
    id = libc.shmget(0, 16 << 20, 0o1600)
    address = libc.shmat(id, None, 0)
    ctypes.memset(address, 1, 16 << 20)`,
  "anonymous files": `
kept = []
while True:
    file = os.memfd_create("bomb")
    kept.append(file)
    os.write(file, b"x" * (16 << 20))`,
  "files in /tmp": `
count = 0
while True:
    count += 1
    with open(f"/tmp/{count}", "wb") as file: file.write(b"x" * (16 << 20))`,
};

for (const [kind, code] of Object.entries(BOMBS)) {
  test(`a bomb of ${kind}`, async (t) => {
    if (!claims(t, arena().walls.memoryLimit)) return;
    const attacker = await arena().agent("python", { memoryMb: 192, timeoutS: 20 });
    const { functionError, payload, log } = await arena().during(() => attacker.invoke(code));
    assert.equal(functionError, "Unhandled", JSON.stringify(payload));
    // Where the kernel ends the largest process alone, the function may get an error of its own instead of being killed.
    assert.match(JSON.stringify(payload), kind === "heap" ? KILLED : /signal: killed|OSError|timed out/);
    const used = /Max Memory Used: (\d+) MB/.exec(log)?.[1];
    assert(Number(used) <= 192, `${used} MB`);
    assert.equal(await attacker.run(`result = "again"`), "again");
  });
}

/** Fills the buffers of as many connected pairs as there can be descriptors, and answers how many MB they took. */
const FILL = `
def fill(pair):
    total = 0
    for sender in pair:
        sender.setblocking(False)
        try:
            while True: total += sender.send(bytes(60000))
        except OSError: pass
    return total

def tcp(server=[]):
    if not server: server.append(socket.create_server(("127.0.0.1", 0)))
    client = socket.create_connection(server[0].getsockname())
    return client, server[0].accept()[0]

kept, total = [], 0
for n in range(400):
    kept.append({"tcp": tcp, "unix": socket.socketpair}[event["kind"]]())
    total += fill(kept[-1])
result = total >> 20`;

test("what waits in sockets is bounded by the function's memory", async (t) => {
  if (!claims(t, arena().walls.memoryLimit)) return;
  const attackers = await Promise.all(
    ["tcp", "unix"].map(async (kind) => ({
      kind,
      agent: await arena().agent("python", { memoryMb: 512 }),
    })),
  );
  const answers = await arena().during(() =>
    Promise.all(attackers.map(({ kind, agent }) => agent.invoke(FILL, { kind }))),
  );
  for (const { functionError, payload } of answers) {
    if (functionError !== undefined) assert.match(JSON.stringify(payload), KILLED);
    else assert(Number(payload) <= 512, `${String(payload)} MB`);
  }
});
