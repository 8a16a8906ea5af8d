/** AWS's metrics of concurrency, of this moment or since the last look. */
import type { Gauge } from "../../telemetry/metrics.ts";
import type { Admission, FunctionAccount } from "./admission.ts";

/** Looked at by one observer: peaks begin anew with each look. */
export function* concurrencyGauges(admission: Admission): Generator<Gauge> {
  const peak = admission.takePeak();
  let provisioned = 0;
  for (const account of admission.functions.values()) {
    const functionName = account.functionArn.slice(account.functionArn.lastIndexOf(":") + 1);
    if (account.peak > 0)
      yield {
        name: "ConcurrentExecutions",
        dimensions: { functionName },
        value: account.peak,
        unit: "Count",
      };
    account.peak = account.running;
    provisioned += account.provisioned;
    if (account.provisioned > 0) yield* provisionedGauges(account, functionName);
  }
  // Nothing runs and nothing is kept ready: no data, as on AWS.
  if (peak === 0 && provisioned === 0) return;
  yield { name: "ConcurrentExecutions", value: peak, unit: "Count" };
  yield { name: "UnreservedConcurrentExecutions", value: admission.unreserved, unit: "Count" };
  yield { name: "ClaimedAccountConcurrency", value: admission.claimed, unit: "Count" };
}

function* provisionedGauges({ versions }: FunctionAccount, functionName: string): Generator<Gauge> {
  for (const account of versions.values()) {
    const { version, provisioned, running, within, spilled } = account;
    if (provisioned === 0) continue;
    const dimensions = { functionName, resource: `${functionName}:${version}` };
    const used = Math.min(running, provisioned);
    yield { name: "ProvisionedConcurrentExecutions", dimensions, value: used, unit: "Count" };
    yield { name: "ProvisionedConcurrencyUtilization", dimensions, value: used / provisioned, unit: "Count" };
    if (within > 0)
      yield {
        name: "ProvisionedConcurrencyInvocations",
        dimensions,
        value: 1,
        unit: "Count",
        weight: within,
      };
    if (spilled > 0)
      yield {
        name: "ProvisionedConcurrencySpilloverInvocations",
        dimensions,
        value: 1,
        unit: "Count",
        weight: spilled,
      };
    [account.within, account.spilled] = [0, 0];
  }
}
