/** The interpreters of this machine that the runtimes are tested on. Nothing is fetched: what is at hand is tested. */
import { join } from "node:path";
import { systemClock } from "../../src/kernel/clock.ts";
import { createRuntimeCatalogue, type RuntimeAvailable } from "../../src/lambda/runtimes/catalogue.ts";
import { RUNTIMES } from "../../src/lambda/runtimes/runtimes.ts";
import type { Logger } from "../../src/telemetry/logger.ts";

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };

/** Where a development machine keeps fetched builds; the tests of the runtimes use what is there. */
const CACHE_DIRECTORY = join(import.meta.dirname, "..", "..", ".cache", "runtimes");

export interface RuntimeAtHand {
  readonly id: string;
  /** Of the version: 22 for nodejs22.x, 12 for python3.12. */
  readonly number: number;
  /** To start the runtime as a plain process of this machine. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export async function runtimesAtHand(family: "nodejs" | "python"): Promise<RuntimeAtHand[]> {
  const catalogue = createRuntimeCatalogue({
    cacheDirectory: CACHE_DIRECTORY,
    clock: systemClock,
    logger: silent,
    fetch: false,
  });
  const atHand: RuntimeAtHand[] = [];
  for (const { id, version, runs } of RUNTIMES.values()) {
    if (!runs || !id.startsWith(family)) continue;
    const found = await catalogue.find(id);
    if (!found.available) continue;
    const number = Number(version.split(".").at(-1));
    atHand.push({ id, number, command: hostCommand(found), environment: found.environment });
  }
  return atHand;
}

/** The command with the paths of the host instead of the sandbox's. */
export function hostCommand(found: RuntimeAvailable): string[] {
  const { root } = found;
  return found
    .command(256)
    .map((word) =>
      word
        .replace(/^\/var\/lang(?=\/)/, root.lang ?? "")
        .replace(/^\/var\/runtime(?=\/)/, root.runtime ?? ""),
    );
}
