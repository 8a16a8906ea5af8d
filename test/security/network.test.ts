// Goal: a function reaches the outside, the Runtime API and the public endpoint, and nothing else: no service of the host
// on any address, no other environment, no cloud metadata; it cannot pass for another, and without a valid signature the
// public endpoint does nothing for it.
// Method: functions connect to listeners of the test, of the server and of another environment, by every address that
// leads there; one looks for anything that answers in its neighbourhood.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { ENVIRONMENT_CONNECTIONS_MAX, RUNTIME_API_CONNECTIONS_MAX } from "../../src/limits.ts";
import { claims, useArena } from "./arena/arena.ts";

const arena = useArena();

/** Node code: answers "open" with what was read, or the error's code, for each `host:port` of `event.targets`. */
const KNOCK = `
const net = require("net");
const knock = (target) => new Promise((resolve) => {
  const at = target.lastIndexOf(":");
  const socket = net.connect({ host: target.slice(0, at), port: Number(target.slice(at + 1)), timeout: event.timeoutMs ?? 1500 });
  const done = (answer) => { socket.destroy(); resolve([target, answer]); };
  socket.on("connect", () => done("open")).on("error", (error) => done(error.code)).on("timeout", () => done("silence"));
});
return Object.fromEntries(await Promise.all(event.targets.map(knock)));`;
const CLOSED =
  /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EACCES|EPERM|ETIMEDOUT|EINVAL|EADDRNOTAVAIL|silence)$/;

test("services of the host are not reached, on none of its addresses", async (t) => {
  if (!claims(t, arena().walls.network)) return;
  const listener = createServer((socket) => socket.end("host"));
  listener.listen(0, "0.0.0.0");
  await once(listener, "listening");
  t.after(() => listener.close());
  const ports = [(listener.address() as AddressInfo).port, Number(new URL(arena().facts.endpoint).port), 22];
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family }) => family === "IPv4")
    .map(({ address }) => address);
  assert(addresses.some((address) => address.startsWith("10.")) || !arena().walls.egress.holds);
  const targets = ["127.0.0.1", "127.0.1.1", "0.0.0.0", "169.254.100.1", "::1", ...addresses].flatMap(
    (host) => ports.map((port) => `${host}:${port}`),
  );
  const attacker = await arena().agent("node");
  const answers = await arena().during(() => attacker.run(KNOCK, { targets }));
  for (const [target, answer] of Object.entries(answers as object))
    assert.match(String(answer), CLOSED, target);
  const links = ["169.254.169.254:80", "169.254.170.2:80", "169.254.169.123:123"];
  const metadata = await arena().during(() => attacker.run(KNOCK, { targets: links }));
  for (const [target, answer] of Object.entries(metadata as object))
    assert.match(String(answer), CLOSED, target);
});

test("another environment is not reached, nor anything in the neighbourhood", async (t) => {
  if (!claims(t, arena().walls.network)) return;
  const [attacker, victim] = await Promise.all([arena().agent("node"), arena().agent("node")]);
  const { address, port } = (await victim.run(`
    const server = require("net").createServer((socket) => socket.end("victim")).listen(0, "0.0.0.0");
    globalThis.server = server;
    await new Promise((resolve) => server.on("listening", resolve));
    return { address: require("os").networkInterfaces().eth0[0].address, port: server.address().port };`)) as {
    address: string;
    port: number;
  };
  // The victim still listens: the loop of its runtime runs while it waits.
  const near = Array.from({ length: 64 }, (_, host) => `169.254.101.${host + 1}:${port}`);
  const answers = (await arena().during(() =>
    attacker.run(KNOCK, { targets: [`${address}:${port}`, ...near, `${address}:9001`] }),
  )) as Record<string, string>;
  const own = (await attacker.run(`return require("os").networkInterfaces().eth0[0].address`)) as string;
  assert.notEqual(own, address);
  for (const [target, answer] of Object.entries(answers)) assert.match(answer, CLOSED, target);
});

test("an environment cannot speak from another's address", async (t) => {
  if (!claims(t, arena().walls.network)) return;
  const attacker = await arena().agent("python");
  const answers = await arena().during(() =>
    attacker.run(`
def connect(*options):
    s = socket.socket()
    s.settimeout(3)
    for option in options: s.setsockopt(socket.SOL_IP, option, 1)
    s.bind(("169.254.101.200", 0))
    s.connect(("169.254.100.1", 9001))
    return "connected as " + s.getsockname()[0]
IP_FREEBIND, IP_TRANSPARENT, SO_BINDTODEVICE = 15, 19, 25
result = {
    "bound": attempt(connect),
    "bound freely": attempt(connect, IP_FREEBIND),
    "transparent": attempt(connect, IP_TRANSPARENT),
}`),
  );
  assert.deepEqual(answers, { bound: "EADDRNOTAVAIL", "bound freely": "ENETUNREACH", transparent: "EPERM" });
});

test("the Runtime API knows whom it talks to: no other session, no other request", async (t) => {
  if (!claims(t, arena().walls.network)) return;
  const [attacker, bystander] = await Promise.all([arena().agent("bash"), arena().agent("bash")]);
  const running = bystander.run("sleep 1; echo -n mine");
  const answer = String(
    await arena().during(() =>
      attacker.run(`
for other in 00000000-0000-4000-8000-000000000000 ../../../etc/passwd "$id/../x"; do
  curl -sS -o /tmp/body -w '%{http_code} ' -X POST -d forged --path-as-is "$api/invocation/$other/response"; cat /tmp/body; echo
done
curl -sS -w ' %{http_code}\\n' "$api/invocation/next"
curl -sS -w ' %{http_code}\\n' -X POST -d '{}' "$api/init/error"
curl -sS -w ' %{http_code}\\n' "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/extension/event/next"
curl -sS -w ' %{http_code}\\n' -H 'Host: 127.0.0.1' "http://$AWS_LAMBDA_RUNTIME_API/"`),
    ),
  );
  const lines = answer.trim().split("\\n");
  assert.match(lines[0] ?? "", /^400 .*InvalidRequestID/);
  assert(!answer.includes("200"), answer);
  assert.equal(await running, "mine");
});

test("the public endpoint does nothing for who does not sign, and knows who does", async (t) => {
  if (!claims(t, arena().walls.network)) return;
  const attacker = await arena().agent("node");
  const answers = (await arena().during(() =>
    attacker.run(`
const { createHmac, createHash } = require("crypto");
const base = process.env.AWS_ENDPOINT_URL;
const paths = ["/2015-03-31/functions", "/2015-03-31/functions/bystander", "/_hornero/bill", "/"];
const unsigned = [];
for (const path of paths) unsigned.push((await fetch(base + path)).status);
const forged = (await fetch(base + "/2015-03-31/functions", { headers: { authorization:
  "AWS4-HMAC-SHA256 Credential=" + process.env.AWS_ACCESS_KEY_ID + "/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + "0".repeat(64),
  "x-amz-date": new Date().toISOString().replace(/[-:]|\\.\\d{3}/g, ""), "x-amz-security-token": process.env.AWS_SESSION_TOKEN } })).status;
const hash = (text) => createHash("sha256").update(text).digest("hex");
const mac = (key, text) => createHmac("sha256", key).update(text).digest();
const date = new Date().toISOString().replace(/[-:]|\\.\\d{3}/g, "");
const body = "Action=GetCallerIdentity&Version=2011-06-15";
const headers = { "content-type": "application/x-www-form-urlencoded", host: new URL(base).host, "x-amz-date": date, "x-amz-security-token": process.env.AWS_SESSION_TOKEN };
const names = Object.keys(headers).sort();
const canonical = ["POST", "/", "", ...names.map((name) => name + ":" + headers[name]), "", names.join(";"), hash(body)].join("\\n");
const scope = date.slice(0, 8) + "/us-east-1/sts/aws4_request";
const key = ["us-east-1", "sts", "aws4_request"].reduce(mac, mac("AWS4" + process.env.AWS_SECRET_ACCESS_KEY, date.slice(0, 8)));
const signature = mac(key, ["AWS4-HMAC-SHA256", date, scope, hash(canonical)].join("\\n")).toString("hex");
const identity = await fetch(base, { method: "POST", body, headers: { ...headers, authorization:
  "AWS4-HMAC-SHA256 Credential=" + process.env.AWS_ACCESS_KEY_ID + "/" + scope + ", SignedHeaders=" + names.join(";") + ", Signature=" + signature } });
return { unsigned, forged, identity: await identity.text() };`),
  )) as { unsigned: number[]; forged: number; identity: string };
  assert.deepEqual(answers.unsigned.slice(0, 3), [403, 403, 403]);
  assert.equal(answers.forged, 403);
  assert.match(
    answers.identity,
    new RegExp(`<Arn>arn:aws:sts::000000000000:assumed-role/lambda/${attacker.name}</Arn>`),
  );
});

test("one environment cannot hold all of the server's connections", async (t) => {
  if (!claims(t, arena().walls.network)) return;
  const [attacker, patient] = await Promise.all([
    arena().agent("python", { memoryMb: 1769 }),
    arena().agent("bash"),
  ]);
  const HEAD = "POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\\r\\nContent-Length: 1000000\\r\\nX:";
  const counts = await arena().during(async () => {
    // Each hangs in the middle of a request's head; more of them than a process may have descriptors.
    const attack = attacker.run(
      `
kept, tried = [], 0
for port in (9001, 4566):
    for n in range(450):
        tried += 1
        try:
            s = socket.create_connection(("169.254.100.1", port), timeout=5)
            s.send(b"${HEAD}")
            kept.append(s)
        except OSError: pass
def alive(s):
    s.setblocking(False)
    try: return s.recv(1) != b""
    except BlockingIOError: return True
    except OSError: return False
time.sleep(0.5)
result = [tried, sum(alive(s) for s in kept)]`,
    );
    for (let turn = 0; turn < 5; turn += 1) assert.equal(await patient.run("echo -n fine"), "fine");
    return (await attack) as [number, number];
  });
  const [tried, held] = counts;
  assert.equal(tried, 900);
  assert(
    held > 0 && held <= RUNTIME_API_CONNECTIONS_MAX + ENVIRONMENT_CONNECTIONS_MAX,
    `${held} connections`,
  );
});
