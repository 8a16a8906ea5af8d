/** What a server that was killed could leave on the machine. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync, realpathSync } from "node:fs";

/** Names the server with this data folder on its machine, as the sandbox driver does. */
function instanceOf(dataDirectory: string): string {
  return createHash("sha256").update(realpathSync(dataDirectory)).digest("hex").slice(0, 7);
}

/** Control groups, processes in them, mounts, network interfaces and rules that bear the server's name. */
export function leftovers(dataDirectory: string): string[] {
  const instance = instanceOf(dataDirectory);
  const groups = globSync([`/sys/fs/cgroup/hornero/${instance}`, `/sys/fs/cgroup/*/hornero/${instance}`]);
  const inGroups = globSync("/proc/[0-9]*/cgroup").filter((path) =>
    readIfThere(path).includes(`/hornero/${instance}`),
  );
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(dataDirectory));
  const link = `/sys/class/net/hornero-${instance}`;
  const tables = spawnSync("nft", ["list", "tables"], { encoding: "utf8" }).stdout ?? "";
  const rules = tables.split("\n").filter((line) => line.includes(`hornero_${instance}`));
  return [...groups, ...inGroups, ...mounts, ...(existsSync(link) ? [link] : []), ...rules];
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // The process has ended meanwhile.
    return "";
  }
}
