/**
 * Calls operations at random, made from their models, against a server that runs, and tells what should not have happened. Inputs
 * are valid, or at and beyond one limit of the model, or requests that no client sends. What earlier calls made is used again.
 */
import { Random } from "../../bench/trace/random.ts";
import { loadModel } from "../../src/wire/models/load.ts";
import type { Operation } from "../../src/wire/models/shapes.ts";
import { faultsOf } from "./answers.ts";
import { Caller, SERVICES, type Endpoint, type Reply, type ServiceName } from "./caller.ts";
import { Memory } from "./memory.ts";
import { MUTATIONS, type Mutation } from "./mutations.ts";
import { Values, type Change, type Input } from "./values.ts";

export interface FuzzOptions extends Endpoint {
  readonly seed: number;
  /** Ends after as many calls, or when this says so. */
  readonly calls: number;
  readonly isOver?: () => boolean;
  readonly services?: readonly ServiceName[];
  readonly operations?: readonly string[];
  /** Told of each call, before the next. */
  readonly onCall?: (number: number, finding: Finding | undefined) => void | Promise<void>;
}

/** Something that should not have happened, and the request that brought it about. */
export interface Finding {
  readonly number: number;
  readonly operation: string;
  readonly what: string;
  readonly input: Input;
  readonly change: string | undefined;
  readonly answer: string;
  /** As it was sent. */
  readonly request: string;
}

export interface FuzzResult {
  readonly calls: number;
  readonly findings: readonly Finding[];
  /** Operations that were answered with success at least once, and those that never were. */
  readonly succeeded: readonly string[];
  readonly refused: readonly string[];
}

interface Target {
  readonly service: ServiceName;
  readonly operation: Operation;
  readonly label: string;
  readonly weight: number;
}

type Kind =
  | { readonly name: "valid"; readonly isSure: boolean }
  | { readonly name: "changed"; readonly change: Change }
  | { readonly name: "mutated"; readonly mutation: Mutation };

const SHARE_CHANGED = 0.3;
const SHARE_MUTATED = 0.25;
/** The same fault is told so often at most. */
const SAME_MAX = 2;

/** Errors of every operation, beyond those that its model lists [AWS: CommonErrors of each API]. */
const COMMON_ERRORS = new Set(
  `AccessDenied AccessDeniedException ExpiredToken IncompleteSignature InvalidAction InvalidClientTokenId
  InvalidParameterCombination InvalidParameterValue InvalidQueryParameter MalformedQueryString MissingAction
  MissingAuthenticationToken MissingParameter RequestEntityTooLargeException SerializationException SignatureDoesNotMatch
  Throttling ThrottlingException UnrecognizedClientException UnsupportedOperation ValidationError ValidationException`.split(
    /\s+/,
  ),
);

/** What AWS does, too, although its models do not say so. Keyed by operation; a part of the finding. */
const AS_ON_AWS: Readonly<Record<string, string>> = {
  // The root user's id is its account's.
  "iam.GetUser": 'User.UserId: "000000000000"',
  // Of a function that has none.
  "lambda.GetFunctionCodeSigningConfig": "CodeSigningConfigArn: missing; FunctionName: missing",
  // A permissions boundary that is not there.
  "iam.CreateRole": "NoSuchEntityException: Scope ARN",
  // Some of AWS's managed policies are longer than the model allows once they are percent-encoded.
  "iam.GetAccountAuthorizationDetails": ".Document: ",
  // The model's least number is not kept by AWS either.
  "logs.ListTagsLogGroup": "tags: {} breaks",
  "iam.GetAccessKeyLastUsed": "NoSuchEntityException: The Access Key",
};

/** As above, in whatever operation shows a function. */
const FAULTS_ON_AWS = /LastUpdateStatusReasonCode: "Creating" /;

/** Answers that say: these are not the bytes of such an input. A valid input never has one. */
const MALFORMED = /^(SerializationException|MalformedQueryString|UnknownOperationException|InvalidAction)$/;

export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const random = new Random(options.seed);
  const memory = new Memory(random, ["lambda", options.accessKeyId]);
  const values = new Values(random, memory);
  using caller = new Caller(options);
  const targets = targetsOf(options);
  const findings: Finding[] = [];
  const told = new Map<string, number>();
  const succeeded = new Set<string>();
  let calls = 0;
  while (calls < options.calls && options.isOver?.() !== true && targets.length > 0) {
    calls += 1;
    const target = weighted(targets, random);
    const { service, operation } = target;
    const input = values.valid(service, operation.name, operation.input);
    const kind = chooseKind(values, input, operation, random);
    const reply = await caller.call(
      service,
      operation.name,
      input,
      kind.name === "mutated" ? kind.mutation : undefined,
      random,
    );
    if (reply.status === 501) {
      targets.splice(targets.indexOf(target), 1);
      continue;
    }
    const isSuccess = reply.status !== undefined && reply.status < 300;
    if (isSuccess) {
      succeeded.add(target.label);
      if (operation.input) memory.remember(operation.input, input);
      if (operation.output && kind.name !== "mutated") memory.remember(operation.output, reply.output);
    }
    const what = verdict(operation, kind, reply);
    let finding: Finding | undefined;
    if (
      what !== undefined &&
      !(AS_ON_AWS[target.label] !== undefined && what.includes(AS_ON_AWS[target.label] ?? ""))
    ) {
      const key = `${target.label} ${what.replaceAll(/\d+/g, "0").slice(0, 120)}`;
      told.set(key, (told.get(key) ?? 0) + 1);
      if ((told.get(key) ?? 0) <= SAME_MAX) {
        finding = describeFinding(calls, target.label, what, input, kind, reply);
        findings.push(finding);
      }
    }
    await options.onCall?.(calls, finding);
  }
  const labels = targets.map(({ label }) => label);
  return {
    calls,
    findings,
    succeeded: labels.filter((label) => succeeded.has(label)),
    refused: labels.filter((label) => !succeeded.has(label)),
  };
}

function targetsOf({ services = SERVICES, operations }: FuzzOptions): Target[] {
  return services.flatMap((service) => {
    const model = loadModel(service);
    return model.operationNames.flatMap((name): Target[] => {
      const operation = model.operation(name);
      if (!operation || (operations && !operations.includes(name))) return [];
      const isMaker = /^(Create|Put|Publish|Add|Upload|Attach)/.test(name);
      const weight =
        (service === "lambda" ? 3 : 1) * (isMaker ? 3 : /^(Delete|Remove|Detach)/.test(name) ? 0.7 : 1);
      return [{ service, operation, label: `${service}.${name}`, weight }];
    });
  });
}

function weighted(targets: readonly Target[], random: Random): Target {
  let left = random.next() * targets.reduce((sum, { weight }) => sum + weight, 0);
  for (const target of targets) {
    left -= target.weight;
    if (left <= 0) return target;
  }
  return targets[0] as Target;
}

function chooseKind(values: Values, input: Input, { input: shape }: Operation, random: Random): Kind {
  const drawn = random.next();
  if (drawn < SHARE_MUTATED) {
    const mutation = MUTATIONS[Math.floor(random.next() * MUTATIONS.length)] as Mutation;
    return { name: "mutated", mutation };
  }
  if (drawn > SHARE_MUTATED + SHARE_CHANGED || !shape) return { name: "valid", isSure: values.isSure };
  const change = values.change(input, shape);
  return change ? { name: "changed", change } : { name: "valid", isSure: values.isSure };
}

/** What is wrong with the answer, or undefined. */
function verdict(operation: Operation, kind: Kind, reply: Reply): string | undefined {
  const { status, code, message } = reply;
  if (status === undefined) {
    // The client may refuse an input itself; a connection that breaks or an answer that does not come is the server's.
    return /ECONNRESET|ECONNREFUSED|socket hang up|no answer|EPIPE/.test(message)
      ? `not answered: ${message}`
      : undefined;
  }
  if (status >= 500) return `status ${status} ${code}: ${message}`;
  if (kind.name === "mutated") return undefined;
  if (status < 300) {
    if (code !== "") return `the client cannot read the answer: ${code}: ${message}`;
    if (kind.name === "changed" && kind.change.isInvalid) return "an invalid input was taken";
    const all = operation.output ? faultsOf(operation.output, reply.output) : [];
    const faults = all.filter((fault) => !FAULTS_ON_AWS.test(fault));
    return faults.length === 0 ? undefined : `the answer breaks the model: ${faults.slice(0, 3).join("; ")}`;
  }
  if (reply.headers["x-amzn-requestid"] === undefined) return `no x-amzn-RequestId beside ${code}`;
  // Logs names it so whatever the operation.
  const isLogs = operation.model.name === "logs" && code === "InvalidParameterException";
  if (!COMMON_ERRORS.has(code) && !isLogs && operation.data.errors?.includes(code) !== true)
    return `an error that the model does not list: ${code}: ${message}`;
  // The models' patterns of these allow more than the services take: ARNs without a partition, layers of AWS's own, say.
  const isConstraint =
    /^(ValidationException|ValidationError)$/.test(code) &&
    !/'(functionName|layerName|layers)'/.test(message);
  const isMalformed =
    MALFORMED.test(code) || (isConstraint && / validation errors? detected: /.test(message));
  if (isMalformed && kind.name === "valid" && kind.isSure)
    return `a valid input was refused as malformed: ${code}: ${message}`;
  return undefined;
}

function describeFinding(
  number: number,
  operation: string,
  what: string,
  input: Input,
  kind: Kind,
  { status, text, sent }: Reply,
): Finding {
  const change =
    kind.name === "changed" ? kind.change.text : kind.name === "mutated" ? kind.mutation.name : undefined;
  const body = sent?.body?.toString("latin1").slice(0, 2000) ?? "";
  return {
    number,
    operation,
    what,
    input,
    change,
    answer: `${status} ${text.slice(0, 600)}`,
    request: sent ? `${sent.method} ${sent.path} ${JSON.stringify(sent.query)}\n${body}` : "",
  };
}

/** For a person, and to repeat it. */
export function printFinding(finding: Finding): string {
  const { number, operation, what, change, answer, request } = finding;
  return [
    `#${number} ${operation}: ${what}`,
    ...(change === undefined ? [] : [`  changed: ${change}`]),
    `  request: ${request.replaceAll("\n", "\n    ")}`,
    `  answer:  ${answer}`,
  ].join("\n");
}
