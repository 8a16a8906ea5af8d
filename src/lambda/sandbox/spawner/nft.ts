/** Packet filters and address translation, by the `nft` command: a start takes two of them, and no sandbox any. */
import { spawn } from "node:child_process";
import { deferred } from "../../../kernel/deferred.ts";
import { SandboxError } from "../sandbox.ts";

const TIMEOUT_MS = 5000;
const MESSAGE_CHARS_MAX = 1000;
/** A list of a thousand tables and more. */
const PRINTED_CHARS_MAX = 64 * 1024;

/**
 * The environments' side of the way out by the interface `uplink`: address translation; no connection comes in; none
 * goes to `forbidden` addresses, nor from sandbox to sandbox (which routing does not allow either).
 */
export function innerTable(uplink: string, forbidden: readonly string[] = []): string {
  const drops = forbidden.map((address) => `    ip daddr ${address} drop\n`).join("");
  return replaceTable(
    "hornero",
    `
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "${uplink}" ct state established,related accept
    iifname "${uplink}" drop
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
${drops}    iifname "h*" oifname "${uplink}" accept
    iifname "${uplink}" ct state established,related accept
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "${uplink}" masquerade
  }`,
  );
}

/** Also what a spawner of before, that was killed, has left. */
export function replaceTable(name: string, content: string): string {
  return `${removeTable(name)}table ip ${name} {${content}\n}\n`;
}

/** Also when there is none. */
export function removeTable(name: string): string {
  return `table ip ${name}\ndelete table ip ${name}\n`;
}

/** Names of the tables that begin with `prefix`, in the network namespace that the thread is in. */
export async function tableNames(prefix: string): Promise<string[]> {
  const listing = await nft("list tables ip\n");
  return listing.split("\n").flatMap((line) => {
    const name = /^table ip (\S+)$/.exec(line)?.[1];
    return name?.startsWith(prefix) === true ? [name] : [];
  });
}

/** Runs a script of nft's in the network namespace that the thread is in; what it prints. Rejects with SandboxError. */
export async function nft(script: string): Promise<string> {
  const child = spawn("nft", ["-f", "-"], { stdio: "pipe", timeout: TIMEOUT_MS });
  let [printed, message] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed = (printed + text).slice(0, PRINTED_CHARS_MAX);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    message = (message + text).slice(0, MESSAGE_CHARS_MAX);
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(script);
  const ended = deferred();
  child.on("error", (cause) => {
    const hint = "install nftables";
    ended.reject(new SandboxError("nft", `nft could not be started: ${cause.message}`, { hint, cause }));
  });
  child.on("close", (code) => {
    if (code === 0) ended.resolve();
    else ended.reject(new SandboxError("nft", `nft: ${message.trim()}`));
  });
  await ended.promise;
  return printed;
}
