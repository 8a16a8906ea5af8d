/** How an environment's log stream is named, and in which form the platform writes its own lines into it. */
import { newHexId } from "../../kernel/ids.ts";
import { jsonLines, textLines, type LineSubject, type PlatformLines } from "../environment/platform-lines.ts";
import type { FunctionVersion } from "../model.ts";

export function platformLines(
  version: FunctionVersion,
  region: string,
  initializationType: LineSubject["initializationType"],
): PlatformLines {
  const subject = {
    functionName: version.name,
    version: version.version,
    region,
    ...(initializationType && { initializationType }),
    runtimeVersion: `${version.runtime.replace(/^(nodejs|python|java|dotnet|ruby)/, "$1:").replace(/\.x$/, "")}.v1`,
  };
  const { format, systemLevel } = version.logging;
  return format === "JSON" ? jsonLines(subject, systemLevel) : textLines(subject);
}

/** `2026/11/23/[$LATEST]0123…`: 32 hex digits that name the environment. */
export function logStreamName(nowMs: number, version: string): string {
  return `${new Date(nowMs).toISOString().slice(0, 10).replaceAll("-", "/")}/[${version}]${newHexId(16)}`;
}
