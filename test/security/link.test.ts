// Goal: whatever a function sends to the platform from inside, by the fast link, by its output or by the Runtime API, ends
// at worst its own environment, cannot touch another's invocations, and costs the server a bounded amount of memory.
// Method: functions write to file descriptor 3 past their runtime, and flood every channel that they have; the test looks
// at the answers and at the server's largest resident size.
import assert from "node:assert/strict";
import { test } from "node:test";
import { useArena, type Agent } from "./arena/arena.ts";

const arena = useArena();
const MIB = 1024 * 1024;
/** What one attack may cost the server at most: the bounds of the link, the logs and an answer, and the collector's slack. */
const COST_BYTES_MAX = 192 * MIB;
/** The same for output of 400 MB at once, by four ways: four times as much costs the same. */
const OUTPUT_COST_BYTES_MAX = 384 * MIB;

const WRITE = `
def frame(kind, body=b""):
    return struct.pack("<IB", 1 + len(body), kind) + body

def write(data):
    view = memoryview(data)
    while view:
        view = view[os.write(3, view):]

ID = context.aws_request_id.encode()
OTHER = b"00000000-0000-4000-8000-000000000000"
`;

const BROKEN =
  /"errorType":"Sandbox.Failure","errorMessage":"RequestId: \S+ Error: The runtime broke its protocol: /;

const agent = (): Promise<Agent> => arena().agent("python", { timeoutS: 30, memoryMb: 512 });

/** Bytes that the attack added to the server's largest size. */
async function cost(attack: () => Promise<unknown>): Promise<number> {
  const before = arena().peakServerBytes();
  await arena().during(attack);
  return arena().peakServerBytes() - before;
}

const BREAKS: Readonly<Record<string, string>> = {
  "a length of 1 GB": `write(struct.pack("<IB", 1 << 30, 19))`,
  "a length of zero": `write(struct.pack("<IB", 0, 19))`,
  "an unknown type": `write(frame(99))`,
  "the platform's own types": `write(frame(1, b"{}"))`,
  "a log line without its head": `write(frame(21, b"x"))`,
  "an answer without its request id": `write(frame(19, b"x"))`,
  noise: `write(os.urandom(1 << 20))`,
};

for (const [what, code] of Object.entries(BREAKS)) {
  test(`the link: ${what} ends the environment`, async () => {
    const attacker = await agent();
    const { functionError, payload } = await arena().during(() =>
      attacker.invoke(`${WRITE}\n${code}\ntime.sleep(20)`),
    );
    assert.equal(functionError, "Unhandled");
    assert.match(JSON.stringify(payload), BROKEN);
    assert.equal(await attacker.run(`result = "again"`), "again");
  });
}

test("the link: frames for another request, out of turn or twice change nothing", async () => {
  const attacker = await agent();
  const answer = await arena().during(() =>
    attacker.run(`${WRITE}
for kind in (19, 20, 22, 23, 24):
    write(frame(kind, OTHER + b'"forged"'))
write(frame(17) + frame(16, b"{}") + frame(18, b"{}") + frame(17))
result = "mine"`),
  );
  assert.equal(answer, "mine");
  assert.equal(await attacker.run(`result = "next"`), "next");
});

test("the link: log lines with impossible times and forged platform lines stay in the function's own log", async () => {
  const attacker = await agent();
  const { payload, log } = await arena().during(() =>
    attacker.invoke(`${WRITE}
for stamp in (float("nan"), float("inf"), -1e308, 1e308, 0.5, -1.0):
    write(frame(21, struct.pack("<dB", stamp, 250) + b"stamped"))
write(frame(21, struct.pack("<dB", 0, 0) + b"\\xff\\xfe\\x00\\x1b[2J"))
write(frame(21, struct.pack("<dB", 0, 0) + b"END RequestId: " + OTHER))
result = "logged"`),
  );
  assert.equal(payload, "logged");
  assert.equal(log.match(/stamped/g)?.length, 6);
});

test("the link: a content type that is no header does not reach one", async () => {
  const attacker = await arena().agent("node");
  const { payload } = await arena().during(() =>
    attacker.invoke(`
      const fs = require("fs");
      const frame = (kind, text) => { const b = Buffer.alloc(5 + 36 + Buffer.byteLength(text)); b.writeUInt32LE(b.length - 4, 0); b[4] = kind;
        b.write(context.awsRequestId, 5, "latin1"); b.write(text, 41); fs.writeSync(3, b); };
      frame(24, "text/plain\\r\\nSet-Cookie: x=y\\u2028\\u0000"); frame(22, "streamed"); frame(23, "");
      return "late";`),
  );
  assert.equal(payload, "streamed");
});

test("the link: small pieces, endless streams and half frames cost the server little", async () => {
  const attackers = await Promise.all([agent(), agent(), agent()]);
  const [pieces, views, empty] = attackers;
  const bytes = await cost(() =>
    Promise.all([
      // A frame of 16 MB, of which a few bytes come at a time.
      pieces.invoke(`${WRITE}
write(struct.pack("<IB", 16 << 20, 19))
end = time.time() + 4
while time.time() < end: os.write(3, b"x")
os._exit(0)`),
      // One byte of a stream, then a large frame that is ignored: views would hold all of it.
      views.invoke(`${WRITE}
ignored = frame(19, OTHER + bytes(60000))
for _ in range(6000): write(frame(22, ID + b"x") + ignored)
os._exit(0)`),
      // Pieces of a stream that have no bytes at all.
      empty.invoke(`${WRITE}
nothing = frame(22, ID) * 1000
for _ in range(3000): write(nothing)
os._exit(0)`),
    ]),
  );
  assert(bytes < COST_BYTES_MAX, `${Math.round(bytes / MIB)} MB`);
});

test("output: 100 MB by every way are logged within the server's bounds", async () => {
  const [raw, noLine, frames, node] = await Promise.all([
    agent(),
    agent(),
    agent(),
    arena().agent("node", { timeoutS: 60, memoryMb: 512 }),
  ]);
  const bytes = await cost(() =>
    Promise.all([
      raw.run(`
line = (b"y" * 99 + b"\\n") * 10000
for _ in range(100): os.write(1, line)
result = "done"`),
      noLine.run(`
for _ in range(100): os.write(2, bytes(1 << 20))
result = "done"`),
      frames.run(`${WRITE}
line = frame(21, struct.pack("<dB", time.time() * 1000, 3) + b"z" * 1000) * 1000
for _ in range(100): write(line)
result = "done"`),
      node.run(`
for (let n = 0; n < 1000; n += 1) console.log("w".repeat(100_000));
return "done";`),
    ]),
  );
  assert(bytes < OUTPUT_COST_BYTES_MAX, `${Math.round(bytes / MIB)} MB`);
});

test("answers: one that is too long is refused in AWS's words, by the link and by the Runtime API", async () => {
  const [attacker, custom] = await Promise.all([agent(), arena().agent("bash", { memoryMb: 512 })]);
  const bytes = await cost(async () => {
    const [link, api] = await Promise.all([
      attacker.invoke(`result = "x" * (7 << 20)`),
      custom.invoke(`head -c 20000000 /dev/zero`),
    ]);
    for (const { payload } of [link, api]) {
      assert.match(JSON.stringify(payload), /"errorType":"Function.ResponseSizeTooLarge"/);
    }
  });
  assert(bytes < COST_BYTES_MAX, `${Math.round(bytes / MIB)} MB`);
});
