/** What a person sees when the server is ready. */
import type { RunningServer } from "../main.ts";
import type { Walls } from "../lambda/sandbox/sandbox.ts";
import type { Configuration } from "./configuration.ts";

export interface BannerFacts {
  readonly configuration: Configuration;
  readonly server: RunningServer;
  /** Name of the example function, when there is one. */
  readonly example: string | undefined;
  readonly readyMs: number;
  readonly colour: boolean;
}

const WALL_NAMES: readonly [keyof Walls, string][] = [
  ["filesystem", "files"],
  ["processes", "processes"],
  ["network", "network"],
  ["memoryLimit", "memory"],
  ["cpuLimit", "CPU"],
  ["systemCalls", "system calls"],
];

export function banner({ configuration, server, example, readyMs, colour }: BannerFacts): string {
  const bold = (text: string) => (colour ? `\u001B[1m${text}\u001B[22m` : text);
  const dim = (text: string) => (colour ? `\u001B[2m${text}\u001B[22m` : text);
  const warm = (text: string) => (colour ? `\u001B[33m${text}\u001B[39m` : text);
  const { walls, name } = server.driver;
  const holding = WALL_NAMES.filter(([wall]) => walls[wall].holds).map(([, word]) => word);
  const missing = WALL_NAMES.filter(([wall]) => !walls[wall].holds).map(([, word]) => word);
  const isolation =
    name === "process"
      ? warm("NONE (--driver process): functions can do whatever you can")
      : `${name}: ${holding.join(", ")}${missing.length > 0 ? warm(` — not ${missing.join(", ")} (npx hornero doctor)`) : ""}`;
  const data = isDefaultData(configuration) ? "" : ` --data ${configuration.dataDirectory}`;
  const lines = [
    "",
    `  ${bold(warm("hornero"))}  AWS Lambda on your own machine  ${dim(`ready in ${Math.round(readyMs)} ms`)}`,
    "",
    `  endpoint   ${bold(server.endpoint)}   ${dim(`${configuration.region}, account ${configuration.accountId}`)}`,
    `  isolation  ${isolation}`,
    `  data       ${configuration.dataDirectory}`,
    "",
    `  Paste into another terminal, in this folder:`,
    "",
    `    ${bold(`eval "$(npx hornero env${data})"`)}`,
    `    ${bold(`aws lambda invoke --function-name ${example ?? "NAME"} --log-type Tail out.json`)}`,
    "",
    `  ${dim("Ctrl-C ends it.")}`,
    "",
  ];
  return `${lines.join("\n")}\n`;
}

function isDefaultData({ dataDirectory }: Configuration): boolean {
  return dataDirectory === "/var/lib/hornero" || dataDirectory.endsWith("/.local/share/hornero");
}
