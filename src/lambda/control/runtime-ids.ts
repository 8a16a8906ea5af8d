/** Lambda's runtime ids [service model; docs: lambda-runtimes]. Whether this host can run one is the catalogue's business. */
import { invalidParameterValue } from "../../errors.ts";

const SUPPORTED: ReadonlySet<string> = new Set([
  "nodejs20.x",
  "nodejs22.x",
  "nodejs24.x",
  "nodejs26.x",
  "python3.9",
  "python3.10",
  "python3.11",
  "python3.12",
  "python3.13",
  "python3.14",
  "python3.15",
  "java8.al2",
  "java8.al2023",
  "java11",
  "java11.al2023",
  "java17",
  "java17.al2023",
  "java21",
  "java25",
  "dotnet6",
  "dotnet8",
  "dotnet10",
  "ruby3.2",
  "ruby3.3",
  "ruby3.4",
  "ruby4.0",
  "provided",
  "provided.al2",
  "provided.al2023",
]);

/** Ids that AWS takes no more, and the one that it recommends instead. */
const SUCCESSORS: ReadonlyMap<string, string> = new Map([
  ["nodejs", "nodejs24.x"],
  ["nodejs4.3", "nodejs24.x"],
  ["nodejs4.3-edge", "nodejs24.x"],
  ["nodejs6.10", "nodejs24.x"],
  ["nodejs8.10", "nodejs24.x"],
  ["nodejs10.x", "nodejs24.x"],
  ["nodejs12.x", "nodejs24.x"],
  ["nodejs14.x", "nodejs24.x"],
  ["nodejs16.x", "nodejs24.x"],
  ["nodejs18.x", "nodejs24.x"],
  ["python2.7", "python3.14"],
  ["python3.6", "python3.14"],
  ["python3.7", "python3.14"],
  ["python3.8", "python3.14"],
  ["java8", "java25"],
  ["dotnetcore1.0", "dotnet10"],
  ["dotnetcore2.0", "dotnet10"],
  ["dotnetcore2.1", "dotnet10"],
  ["dotnetcore3.1", "dotnet10"],
  ["go1.x", "provided.al2023"],
  ["ruby2.5", "ruby4.0"],
  ["ruby2.7", "ruby4.0"],
]);

/** Runtimes that AWS takes snapshots of [docs: snapstart]. */
const SNAPSHOT_RUNTIME = /^(java(?!8)|python3\.1[2-9]$|dotnet(8|10)$)/;

export function checkRuntime(runtime: string): void {
  if (SUPPORTED.has(runtime)) return;
  const successor = SUCCESSORS.get(runtime);
  if (successor !== undefined) {
    throw invalidParameterValue(
      `The runtime parameter of ${runtime} is no longer supported for creating or updating AWS Lambda functions. We recommend you use the new runtime (${successor}) while creating or updating functions.`,
    );
  }
  throw invalidParameterValue(
    `Value ${runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [${[...SUPPORTED].join(", ")}] or be a valid ARN`,
  );
}

export function checkSnapStart(runtime: string): void {
  if (SNAPSHOT_RUNTIME.test(runtime)) return;
  throw invalidParameterValue(`${runtime} is not supported for SnapStart enabled functions.`);
}
