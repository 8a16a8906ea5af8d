// Goal: what a sandbox of the bubblewrap driver sees and reaches is what it should, seen from inside.
// Method: a probe inside reports its identity, mounts, files and limits; connections are tried to the host, to another
// sandbox, with another one's address, and to a network "outside" that the test makes.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { after, before, suite, test } from "node:test";
import { newHexId } from "../../../kernel/ids.ts";
import { claims, Fixture, until } from "../conformance/fixture.ts";
import { isRoot, testDriver, unavailable } from "./testing.ts";

const UNREACHABLE = /ETIMEDOUT|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EACCES|EINVAL/;

suite("walls of bubblewrap", { skip: unavailable ?? false }, () => {
  let fixture: Fixture;
  before(async () => {
    fixture = new Fixture(testDriver, []);
    await fixture.start();
  });
  after(() => fixture.close());

  test("runs as AWS's account, without groups or capabilities, under limits", async (t) => {
    const agent = await fixture.agent(t);
    const { stdout } = await agent.run("id; ulimit -n; ulimit -c; hostname; pwd");
    assert.match(stdout, /^uid=993\(sbx_user1051\) gid=990\(sbx_user1051\) groups=990\(sbx_user1051\)$/m);
    const [, files, core, host, folder] = stdout.split("\n");
    assert.deepEqual([files, core, folder], ["1024", "0", "/var/task"]);
    assert.equal(host, agent.sandbox.address?.replaceAll(".", "-"));
    const status = String(await agent.call("read", { path: "/proc/self/status" }));
    assert.match(status, /^Groups:\s*$/m);
    assert.match(status, /^CapPrm:\s+0+$/m);
  });

  test(
    "each sandbox runs under a host account of its own",
    { skip: isRoot ? false : "takes root" },
    async (t) => {
      for (let count = 0; count < 2; count += 1) {
        const agent = await fixture.agent(t);
        await agent.call("echo", { text: "it runs" });
      }
      const accounts = new Set(
        fixture.processes(fixture.marker).map((pid) => {
          const status = readFileSync(`/proc/${pid}/status`, "utf8");
          return Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]);
        }),
      );
      for (const account of accounts) assert(account >= 2_000_000, `host account ${account}`);
      assert.equal(accounts.size, 2);
    },
  );

  test("sees a root of what a function needs, and nothing that can be written but /tmp", async (t) => {
    const agent = await fixture.agent(t);
    const root = (await agent.call("list", { path: "/" })) as string[];
    const known = [
      "bin",
      "dev",
      "etc",
      "lib",
      "lib32",
      "lib64",
      "libx32",
      "opt",
      "proc",
      "sbin",
      "tmp",
      "usr",
      "var",
    ];
    assert.deepEqual(
      root.filter((name) => !known.includes(name)),
      [],
    );
    for (const path of ["/usr/local", "/usr/src", "/root", "/home", "/boot", "/sys", "/run", "/etc/shadow"]) {
      await assert.rejects(agent.call("list", { path }), /ENOENT/, path);
    }
    const { stdout } = await agent.run(
      "find / -xdev -writable -not -path '/proc/*' -not -path /tmp -not -type l 2>/dev/null; for f in / /dev /dev/shm /etc /usr/bin; do touch $f/x 2>/dev/null && echo wrote $f; done",
    );
    assert.deepEqual(
      stdout
        .trim()
        .split("\n")
        .filter((line) => line !== ""),
      [],
    );
    const mounts = String(await agent.call("read", { path: "/proc/self/mounts" }))
      .trim()
      .split("\n");
    const writable = mounts
      .map((line) => line.split(" "))
      .filter(
        ([, path = "", type, options = ""]) =>
          options.startsWith("rw") && type !== "devtmpfs" && !path.startsWith("/dev"),
      );
    assert.deepEqual(writable.map(([, path]) => path).toSorted(), ["/proc", "/tmp"]);
    const { stderr } = await agent.run("mount -t tmpfs x /opt; unshare -r true");
    assert.match(stderr, /mount: .*(permission denied|not permitted|must be superuser)/i);
    assert.match(stderr, /unshare: .*not permitted/i);
  });

  test("set-user-id programs and devices of the host have no power", async (t) => {
    const agent = await fixture.agent(t);
    const mounts = String(await agent.call("read", { path: "/proc/self/mounts" }))
      .trim()
      .split("\n");
    const ofHost = mounts
      .map((line) => line.split(" "))
      .filter(([, path = ""]) => /^\/(usr|var|etc|opt)(\/|$)/.test(path));
    assert(ofHost.length > 0);
    for (const [, path, , options = ""] of ofHost) assert.match(options, /^ro,nosuid,nodev/, path);
  });

  test("/tmp takes more than the memory, and the function lives on", async (t) => {
    if (!claims(t, fixture.driver.walls.ephemeralStorage)) return;
    const agent = await fixture.agent(t, { memoryMb: 128 });
    const written = await agent.run(
      "dd if=/dev/zero of=/tmp/file bs=1M count=300 && sync /tmp/file && stat -c %s /tmp/file",
    );
    assert.equal(written.status, 0, written.stderr);
    assert.equal(written.stdout.trim(), String(300 * 1024 * 1024));
    assert.equal(await agent.call("echo", { text: "alive" }), "alive");
  });

  test("reaches no service of the host's, on no address", async (t) => {
    if (!claims(t, fixture.driver.walls.network)) return;
    const server = createServer((socket) => socket.end("host")).listen(0, "0.0.0.0");
    t.after(() => server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const agent = await fixture.agent(t);
    const addresses = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family }) => family === "IPv4")
      .map(({ address }) => address);
    assert(addresses.includes("127.0.0.1"));
    const attempts = [...addresses, "169.254.100.1"].map((host) =>
      assert.rejects(agent.call("connect", { host, port }), UNREACHABLE, host),
    );
    await Promise.all(attempts);
  });

  test("cannot speak with another sandbox's address", async (t) => {
    if (!claims(t, fixture.driver.walls.network)) return;
    const [one, other] = await Promise.all([fixture.agent(t), fixture.agent(t)]);
    const script = `node -e 'require("net").connect({host:"169.254.100.1",port:9001,localAddress:"${other.sandbox.address}"}).on("error",(e)=>console.log(e.code)).on("connect",()=>console.log("connected"))'`;
    const { stdout } = await one.run(script);
    assert.match(stdout, /EADDRNOTAVAIL/);
    const raw = await one.run(`ip addr add ${other.sandbox.address}/32 dev eth0`);
    assert.notEqual(raw.status, 0);
  });

  test("reaches a network outside, which sees the host's address and cannot connect back", async (t) => {
    if (!claims(t, fixture.driver.walls.egress)) return;
    if (!isRoot || !existsSync("/usr/sbin/ip"))
      return t.skip("takes root and iproute2, to make a network outside");
    const outside = await makeOutside(t);
    const agent = await fixture.agent(t);
    assert.equal(
      await agent.call("connect", { host: outside.address, port: outside.port }),
      outside.hostAddress,
    );
    const { address } = agent.sandbox;
    const back = outside.run(
      `node -e 'require("net").connect(1,"${address}").on("error",(e)=>console.log(e.code)).setTimeout(500,()=>process.exit())'`,
    );
    assert.doesNotMatch(back, /ECONNREFUSED/);
  });
});

interface Outside {
  readonly address: string;
  readonly hostAddress: string;
  readonly port: number;
  run(script: string): string;
}

/** A host of its own behind a veth pair, which answers each connection with the address it came from. */
async function makeOutside(t: import("node:test").TestContext): Promise<Outside> {
  const name = `out-${newHexId(3)}`;
  const [address, hostAddress] = ["198.51.100.2", "198.51.100.1"];
  const source = `require("net").createServer((s) => s.end(s.remoteAddress)).listen(0, "${address}", function () { console.log(this.address().port) })`;
  const wait = `until ip addr show dev ${name}i 2>/dev/null | grep -q ${address}; do sleep 0.01; done`;
  const host = spawn(
    "unshare",
    ["--net", "sh", "-c", `${wait}; exec "$0" -e '${source}'`, process.execPath],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  t.after(() => host.kill("SIGKILL"));
  const ip = (...words: string[]) => {
    const { status, stderr } = spawnSync("ip", words, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
  };
  await until(() => isApart(host.pid ?? 0), "it has a network of its own");
  ip("link", "add", name, "type", "veth", "peer", "name", `${name}i`, "netns", String(host.pid));
  t.after(() => spawnSync("ip", ["link", "delete", name]));
  ip("addr", "add", `${hostAddress}/30`, "dev", name);
  ip("link", "set", name, "up");
  const nsenter = (words: string[]) =>
    spawnSync("nsenter", [`--net=/proc/${host.pid}/ns/net`, ...words], { encoding: "utf8" });
  for (const words of [
    ["link", "set", `${name}i`, "up"],
    ["addr", "add", `${address}/30`, "dev", `${name}i`],
    ["route", "add", "default", "via", hostAddress],
  ]) {
    const { status, stderr } = nsenter(["ip", ...words]);
    assert.equal(status, 0, stderr);
  }
  const [line] = (await once(host.stdout, "data")) as [Buffer];
  return {
    address,
    hostAddress,
    port: Number(line.toString()),
    run: (script) => nsenter(["sh", "-c", script]).stdout,
  };
}

function isApart(pid: number): boolean {
  const namespace = (which: string) =>
    spawnSync("readlink", [`/proc/${which}/ns/net`], { encoding: "utf8" }).stdout;
  return namespace(String(pid)) !== "" && namespace(String(pid)) !== namespace("self");
}
