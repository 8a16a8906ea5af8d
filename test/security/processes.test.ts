// Goal: whatever a function's processes do to each other or try to do to others, they stay inside, within their number,
// and die with their environment; its caller gets AWS's words.
// Method: functions that kill, fork, linger, ignore signals and stop themselves; the test looks for their processes from
// outside by a marker in their command line.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { newHexId } from "../../src/kernel/ids.ts";
import { tolerate } from "../../src/lambda/sandbox/cgroups/files.ts";
import { claims, useArena } from "./arena/arena.ts";

const arena = useArena();

/** Processes of this machine, in whatever namespace, with the marker in their command line. */
function marked(marker: string): number {
  let count = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    tolerate(["ENOENT", "ESRCH"], () => {
      if (readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(marker)) count += 1;
    });
  }
  return count;
}

async function none(marker: string): Promise<void> {
  while (marked(marker) > 0) await nextTurn();
}

const LINGER = `
import subprocess
def linger(marker):
    # Away from the session and the parent, deaf to what can be ignored.
    ignore = "import signal,time;[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)];time.sleep(1000)"
    subprocess.run([sys.executable, "-c", f"import subprocess,sys;subprocess.Popen([sys.executable,'-c',{ignore!r},'{marker}'],start_new_session=True)"], check=True)
`;

test("processes of others are neither seen nor reached", async (t) => {
  if (!claims(t, arena().walls.processes)) return;
  const attacker = await arena().agent("python");
  const answers = await arena().during(() =>
    attacker.run(
      `
seen = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
result = {
    "seen": seen,
    "host's": [attempt(os.kill, event["pid"], s) for s in (0, 9)],
    "beyond": [attempt(os.kill, pid, 0) for pid in range(3, 40) if pid not in seen and attempt(os.kill, pid, 0) is None],
    "renamed": attempt(socket.sethostname, "owned"),
    "clock": attempt(time.clock_settime, time.CLOCK_REALTIME, 0),
}`,
      { pid: arena().pid },
    ),
  );
  assert.deepEqual(answers, {
    seen: [1, 2],
    "host's": ["ESRCH", "ESRCH"],
    beyond: [],
    renamed: "EPERM",
    clock: "EPERM",
  });
  assert.notEqual(hostname(), "owned");
});

test("killing pid 1 has no effect, killing everything ends the environment alone", async (t) => {
  if (!claims(t, arena().walls.processes)) return;
  const attacker = await arena().agent("python");
  const answers = await arena().during(() =>
    attacker.run(`
result = [attempt(os.kill, 1, s) for s in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP)] + [get("/proc/1/comm").strip()]`),
  );
  assert.deepEqual(answers, [null, null, null, "init"]);
  const end = await arena().during(() => attacker.invoke(`os.kill(os.getpid(), 9)`));
  assert.equal(end.functionError, "Unhandled");
  assert.match(
    JSON.stringify(end.payload),
    /^\{"errorType":"Runtime.ExitError","errorMessage":"RequestId: \S+ Error: Runtime exited with error: signal: killed"\}$/,
  );
  assert.equal(await attacker.run(`result = "again"`), "again");
});

test("processes that outlive their invocation die with the environment", async (t) => {
  if (!claims(t, arena().walls.processes)) return;
  const marker = `lingering-${newHexId(8)}`;
  const attacker = await arena().agent("python");
  await arena().during(async () => {
    await attacker.run(`${LINGER}\nlinger(event["marker"])`, { marker });
    while (marked(marker) === 0) await nextTurn();
    await attacker.invoke(`os._exit(1)`);
    await none(marker);
  });
});

test("a handler that never ends and hears no signal is ended by its timeout", async (t) => {
  if (!claims(t, arena().walls.processes)) return;
  const marker = `deaf-${newHexId(8)}`;
  const [deaf, stopped] = await Promise.all([
    arena().agent("python", { timeoutS: 2 }),
    arena().agent("python", { timeoutS: 2 }),
  ]);
  const answers = await arena().during(() =>
    Promise.all([
      deaf.invoke(
        `${LINGER}
for s in range(1, 65):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
linger(event["marker"])
while True: pass`,
        { marker },
      ),
      stopped.invoke(`os.kill(os.getpid(), signal.SIGSTOP)`),
    ]),
  );
  for (const { functionError, payload } of answers) {
    assert.equal(functionError, "Unhandled");
    assert.match(
      JSON.stringify(payload),
      /^\{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: \S+ Error: Task timed out after 2.00 seconds"\}$/,
    );
  }
  await none(marker);
});

test("processes, threads and open files end at their numbers", async (t) => {
  if (!claims(t, arena().walls.processLimit)) return;
  const attacker = await arena().agent("python", { memoryMb: 3008 });
  const answers = (await arena().during(() =>
    attacker.run(`
children, reason = [], None
while reason is None and len(children) < 2000:
    try:
        pid = os.fork()
        if pid == 0:
            while True: signal.pause()
        children.append(pid)
    except OSError as error: reason = errno.errorcode[error.errno]
for pid in children: os.kill(pid, 9)
for pid in children: os.waitpid(pid, 0)

threading.stack_size(65536)
threads, stop = [], threading.Event()
while len(threads) < 2000:
    thread = threading.Thread(target=stop.wait, daemon=True)
    try: thread.start()
    except RuntimeError: break
    threads.append(thread)
stop.set()

files, full = [], None
while full is None and len(files) < 2000:
    full = attempt(lambda: files.append(os.open("/dev/null", os.O_RDONLY)))
for file in files: os.close(file)
result = {"processes": len(children), "reason": reason, "threads": len(threads), "files": len(files), "full": full}`),
  )) as Record<string, unknown>;
  const { processes, threads, files, ...reasons } = answers;
  assert.deepEqual(reasons, { reason: "EAGAIN", full: "EMFILE" });
  for (const [what, count] of Object.entries({ processes, threads, files })) {
    assert(Number(count) > 900 && Number(count) < 1024, `${String(count)} ${what}`);
  }
});

test("a fork bomb ends with its environment", async (t) => {
  if (!claims(t, arena().walls.processLimit)) return;
  const attacker = await arena().agent("bash", { timeoutS: 3 });
  const marker = `bomb-${newHexId(8)}`;
  const answer = await arena().during(() =>
    attacker.invoke(`bash -c 'bomb() { bomb | bomb & }; bomb; while :; do :; done' ${marker}`),
  );
  assert.equal(answer.functionError, "Unhandled");
  assert.match(JSON.stringify(answer.payload), /Task timed out after 3.00 seconds|Runtime exited/);
  await none(marker);
});
