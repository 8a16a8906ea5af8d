/** What the driver's tests share. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { systemClock } from "../../../kernel/clock.ts";
import type { SuiteFolders } from "../conformance.ts";
import { createBubblewrapDriver, type BubblewrapDriver } from "./driver.ts";

export const isRoot = process.getuid?.() === 0;

/** Why nothing can be tested here; undefined when it can. */
export const unavailable: string | undefined = whyUnavailable();

export function testDriver({ code, runtime, lang, data }: SuiteFolders): BubblewrapDriver {
  return createBubblewrapDriver({
    node: process.execPath,
    codeDirectory: code,
    runtimesDirectories: [runtime, lang],
    dataDirectory: data,
    endpointPort: 4566,
    clock: systemClock,
  });
}

/** Pids of running spawners that the process `parent` started: below `unshare`, without those in waiting. */
export function spawnerPids(parent = process.pid): number[] {
  return childPids(parent)
    .flatMap(childPids)
    .filter((pid) => commandLine(pid).includes("/spawner/main."));
}

function childPids(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").split(" ").filter(Boolean).map(Number);
}

function commandLine(pid: number): string {
  const title = readFileSync(`/proc/${pid}/cmdline`, "utf8");
  return title === "" ? "" : title.replace(/^hornero-spawner.*/s, "/spawner/main.");
}

/** Interfaces, firewall tables and control groups of a server on this machine; see instanceName. */
export function machineTraces(instance: string): string[] {
  const links = readdirSync("/sys/class/net");
  const tables = (spawnSync("nft", ["list", "tables"], { encoding: "utf8" }).stdout ?? "").split("\n");
  const hierarchies = ["", ...readdirSync("/sys/fs/cgroup")];
  const groups = hierarchies
    .map((name) => `/sys/fs/cgroup/${name}/hornero/${instance}`)
    .filter((path) => existsSync(path));
  return [...links, ...tables, ...groups].filter((name) => name.includes(instance));
}

function whyUnavailable(): string | undefined {
  if (process.platform !== "linux") return "bubblewrap is for Linux";
  if (!existsSync("/usr/bin/bwrap")) return "bubblewrap is not installed";
  const { status, stderr } = spawnSync("unshare", ["--user", "--map-root-user", "true"], {
    encoding: "utf8",
  });
  return status === 0 ? undefined : `no user namespaces: ${stderr.trim()}`;
}
