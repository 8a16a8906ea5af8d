/** Which runtime ids a function may name. Whether this host can run one is the catalogue's business. */
import { invalidParameterValue } from "../../errors.ts";
import { retirementMessage, RUNTIMES } from "../runtimes/runtimes.ts";

/** Runtimes that AWS takes snapshots of [docs: snapstart], and Node.js, which is ours. */
const SNAPSHOT_RUNTIME = /^(java(?!8)|python3\.1[2-9]$|dotnet(8|10)$|nodejs)/;

/** Throws InvalidParameterValueException for an id that AWS does not take, or takes no more. */
export function checkRuntime(runtime: string): void {
  const retired = retirementMessage(runtime);
  if (retired !== undefined) throw invalidParameterValue(retired);
  if (RUNTIMES.has(runtime)) return;
  const supported = [...RUNTIMES.values()].filter(({ status }) => status !== "retired").map(({ id }) => id);
  throw invalidParameterValue(
    `Value ${runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [${supported.join(", ")}] or be a valid ARN`,
  );
}

export function checkSnapStart(runtime: string): void {
  if (SNAPSHOT_RUNTIME.test(runtime)) return;
  throw invalidParameterValue(`${runtime} is not supported for SnapStart enabled functions.`);
}
