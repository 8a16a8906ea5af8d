// Goal: a /tmp is used again only when nothing was ever changed in it, and whoever gets it cannot tell it from a new one.
// Method: sandboxes that leave /tmp alone or touch it in some way, destroyed, then others that look at theirs. File systems
// are told apart from outside, by what the kernel shows of each that is mounted (an inode in sysfs that never comes again).
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { release } from "node:os";
import { after, before, suite, test, type TestContext } from "node:test";
import { Fixture, type Agent } from "../conformance/fixture.ts";
import { isRoot, testDriver, unavailable } from "./testing.ts";

/** More than there are spares. */
const OTHERS = 6;
const OWNER_AND_MODE = "993 990 700";

/** File systems are used again where timestamps are fine enough to tell of every change: from Linux 6.13 on. */
const [major = 0, minor = 0] = release().split(".").map(Number);
const showsChanges = major > 6 || (major === 6 && minor >= 13);

const skip = unavailable ?? (isRoot ? false : "takes root: without, /tmp is a tmpfs");

suite("/tmp of bubblewrap", { skip }, () => {
  let fixture: Fixture;
  before(async () => {
    fixture = new Fixture(testDriver, []);
    await fixture.start();
  });
  after(() => fixture.close());

  test(
    "one that was never touched serves again, with the times of its new owner",
    { skip: showsChanges ? false : `Linux ${release()} has coarse timestamps` },
    async (t) => {
      const first = await fixture.agent(t);
      const used = await fileSystem(first);
      // Looking is no change, but atime tells of it.
      await first.run("ls -la /tmp; find /tmp; df /tmp; test -w /tmp");
      const { stdout } = await first.run("date +%s");
      await first.sandbox.destroy("the next one may come");
      const others = await lookAll(fixture, t);
      const again = others.find((other) => other.fileSystem === used);
      assert(again, `${used} is among ${JSON.stringify(others)}`);
      for (const time of again.times) assert(time >= Number(stdout), `${time} is not before ${stdout}`);
    },
  );

  const touches: Record<string, string> = {
    "a file that stays": "echo secret > /tmp/secret",
    "a file that is gone": "echo secret > /tmp/secret; rm /tmp/secret",
    "a folder that is gone": "mkdir /tmp/a; rmdir /tmp/a",
    "another mode": "chmod 755 /tmp",
    "the same mode": "chmod 700 /tmp",
    "its times": "touch /tmp",
    "a flag": "chattr +A /tmp",
    "a file without a name": `/var/lang/bin/node -e '
      const fs = require("node:fs");
      const fd = fs.openSync("/tmp", fs.constants.O_RDWR | 0o20000000 | fs.constants.O_DIRECTORY, 0o600);
      fs.writeSync(fd, Buffer.alloc(8 << 20, 1)); fs.fsyncSync(fd)'`,
    "a file that is still open": "exec 3> /tmp/open; rm /tmp/open; sleep 1000 >/dev/null 2>&1 &",
  };
  for (const [name, script] of Object.entries(touches)) {
    test(`one that was touched serves nobody else: ${name}`, async (t) => {
      const first = await fixture.agent(t);
      const used = await fileSystem(first);
      const { stderr, status } = await first.run(script);
      assert.equal(status, 0, stderr);
      await first.sandbox.destroy("the next one may come");
      for (const other of await lookAll(fixture, t)) assert.notEqual(other.fileSystem, used);
    });
  }
});

/** What a number of sandboxes that are there at once see of their /tmp; each must be empty and its own. */
async function lookAll(fixture: Fixture, t: TestContext): Promise<{ fileSystem: string; times: number[] }[]> {
  const agents = await Promise.all(Array.from({ length: OTHERS }, () => fixture.agent(t)));
  const seen = await Promise.all(
    agents.map(async (agent) => {
      const { stdout } = await agent.run("stat -c '%u %g %a %X %Y %Z' /tmp; ls -A /tmp; lsattr -d /tmp");
      const [stat = "", ...others] = stdout.trimEnd().split("\n");
      const [, owner, times = ""] = /^(\d+ \d+ \d+) (.*)$/.exec(stat) ?? [];
      assert.equal(owner, OWNER_AND_MODE);
      assert.match(others.join("\n"), /^[-e]+ \/tmp$/, "nothing is in it, and no flag is set");
      return { fileSystem: await fileSystem(agent), times: times.split(" ").map(Number) };
    }),
  );
  assert.equal(new Set(seen.map((each) => each.fileSystem)).size, OTHERS, "each has its own");
  for (const { sandbox } of agents) await sandbox.destroy("it was looked at");
  return seen;
}

/** A name for the file system at /tmp that no later one has. */
async function fileSystem(agent: Agent): Promise<string> {
  const { stdout } = await agent.run("stat -c %d /tmp");
  const device = `loop${Number(stdout) & 0xff}`;
  const path = `/sys/fs/ext4/${device}`;
  assert(existsSync(path), `${path} for device ${stdout}`);
  return `${device} ${statSync(path).ino}`;
}
