/** Condition blocks: every operator of the policy language, with its set forms (ForAllValues, ForAnyValue) and IfExists. */
import { BlockList, isIP } from "node:net";
import { ArnPattern, Pattern, SplitArn, type ConditionContext } from "./pattern.ts";

/** One operator applied to one key: all of a statement's conditions must hold. */
export interface Condition {
  /** As the policy spells it: `ForAnyValue:StringLikeIfExists`. */
  readonly operator: string;
  /** As the policy spells it; compared without regard to case. */
  readonly key: string;
  holds(context: ConditionContext): boolean;
}

/** Whether a value of the request is what one value of the policy asks for. */
type Matcher = (value: string, context: ConditionContext) => boolean;

interface Operator {
  readonly negated: boolean;
  /** Undefined when the policy's value is not of the operator's type. */
  readonly compile: (wanted: string, variables: boolean) => Matcher | undefined;
}

const text =
  (syntax: { wildcards: boolean; ignoreCase?: boolean }) =>
  (wanted: string, variables: boolean): Matcher => {
    const pattern = Pattern.compile(wanted, { ...syntax, variables });
    return (value, context) => pattern.matches(value, context);
  };

const numeric =
  (holds: (value: number, wanted: number) => boolean) =>
  (wanted: string): Matcher | undefined => {
    const bound = numberOf(wanted);
    if (bound === undefined) return undefined;
    return (value) => {
      const number = numberOf(value);
      return number !== undefined && holds(number, bound);
    };
  };

const date =
  (holds: (valueMs: number, wantedMs: number) => boolean) =>
  (wanted: string): Matcher | undefined => {
    const boundMs = dateMsOf(wanted);
    if (boundMs === undefined) return undefined;
    return (value) => {
      const valueMs = dateMsOf(value);
      return valueMs !== undefined && holds(valueMs, boundMs);
    };
  };

function arn(wanted: string, variables: boolean): Matcher {
  const pattern = new ArnPattern(wanted, variables);
  return (value, context) => pattern.matches(new SplitArn(value), context);
}

function bool(wanted: string, variables: boolean): Matcher | undefined {
  if (variables && wanted.includes("${")) return text({ wildcards: false, ignoreCase: true })(wanted, true);
  const lower = wanted.toLowerCase();
  if (lower !== "true" && lower !== "false") return undefined;
  return (value) => value.toLowerCase() === lower;
}

function binary(wanted: string): Matcher | undefined {
  const bytes = Buffer.from(wanted, "base64");
  if (bytes.toString("base64").replace(/=+$/, "") !== wanted.replace(/=+$/, "")) return undefined;
  return (value) => bytes.equals(Buffer.from(value, "base64"));
}

function ipAddress(wanted: string): Matcher | undefined {
  const [address = "", prefix] = wanted.split("/");
  const version = isIP(address);
  if (version === 0) return undefined;
  const bits = version === 4 ? 32 : 128;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : bits + 1;
  if (length > bits) return undefined;
  const block = new BlockList();
  block.addSubnet(address, length, version === 4 ? "ipv4" : "ipv6");
  return (value) => {
    const valueVersion = isIP(value);
    return valueVersion === version && block.check(value, version === 4 ? "ipv4" : "ipv6");
  };
}

const positive = (compile: Operator["compile"]): Operator => ({ negated: false, compile });
const negative = (compile: Operator["compile"]): Operator => ({ negated: true, compile });

const EQUAL = (value: number, wanted: number) => value === wanted;
const OPERATORS: ReadonlyMap<string, Operator> = new Map([
  ["StringEquals", positive(text({ wildcards: false }))],
  ["StringNotEquals", negative(text({ wildcards: false }))],
  ["StringEqualsIgnoreCase", positive(text({ wildcards: false, ignoreCase: true }))],
  ["StringNotEqualsIgnoreCase", negative(text({ wildcards: false, ignoreCase: true }))],
  ["StringLike", positive(text({ wildcards: true }))],
  ["StringNotLike", negative(text({ wildcards: true }))],
  ["NumericEquals", positive(numeric(EQUAL))],
  ["NumericNotEquals", negative(numeric(EQUAL))],
  ["NumericLessThan", positive(numeric((value, wanted) => value < wanted))],
  ["NumericLessThanEquals", positive(numeric((value, wanted) => value <= wanted))],
  ["NumericGreaterThan", positive(numeric((value, wanted) => value > wanted))],
  ["NumericGreaterThanEquals", positive(numeric((value, wanted) => value >= wanted))],
  ["DateEquals", positive(date(EQUAL))],
  ["DateNotEquals", negative(date(EQUAL))],
  ["DateLessThan", positive(date((value, wanted) => value < wanted))],
  ["DateLessThanEquals", positive(date((value, wanted) => value <= wanted))],
  ["DateGreaterThan", positive(date((value, wanted) => value > wanted))],
  ["DateGreaterThanEquals", positive(date((value, wanted) => value >= wanted))],
  ["Bool", positive(bool)],
  ["BinaryEquals", positive(binary)],
  ["IpAddress", positive(ipAddress)],
  ["NotIpAddress", negative(ipAddress)],
  // AWS: ArnEquals and ArnLike behave identically.
  ["ArnEquals", positive(arn)],
  ["ArnLike", positive(arn)],
  ["ArnNotEquals", negative(arn)],
  ["ArnNotLike", negative(arn)],
]);

const OPERATOR_NAME = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/;

/** Undefined when there is no such operator, or a value is not of its type. */
export function compileCondition(
  operator: string,
  key: string,
  wanted: readonly string[],
  variables: boolean,
): Condition | undefined {
  const [, quantifier, name = "", ifExists] = OPERATOR_NAME.exec(operator) ?? [];
  const lowerKey = key.toLowerCase();
  if (name === "Null") {
    if (quantifier !== undefined || ifExists !== undefined) return undefined;
    return nullCondition(operator, key, wanted);
  }
  const known = OPERATORS.get(name);
  if (!known) return undefined;
  const matchers: Matcher[] = [];
  for (const value of wanted) {
    const matcher = known.compile(value, variables);
    if (!matcher) return undefined;
    matchers.push(matcher);
  }
  const matches = (value: string, context: ConditionContext) =>
    matchers.some((matcher) => matcher(value, context));
  // What an absent key means, in the order of the language's own rules.
  const whenAbsent =
    quantifier === "ForAllValues" || ifExists !== undefined || (known.negated && !quantifier);
  return {
    operator,
    key,
    holds(context) {
      const values = context.get(lowerKey);
      if (values === undefined || values.length === 0) return whenAbsent;
      if (quantifier === "ForAllValues")
        return values.every((value) => matches(value, context) !== known.negated);
      if (quantifier === "ForAnyValue")
        return values.some((value) => matches(value, context) !== known.negated);
      return values.some((value) => matches(value, context)) !== known.negated;
    },
  };
}

/** `true`: the key must be absent; `false`: it must be there. */
function nullCondition(operator: string, key: string, wanted: readonly string[]): Condition | undefined {
  const lower = wanted.map((value) => value.toLowerCase());
  if (lower.some((value) => value !== "true" && value !== "false")) return undefined;
  const lowerKey = key.toLowerCase();
  return {
    operator,
    key,
    holds(context) {
      const values = context.get(lowerKey);
      return lower.includes(String(values === undefined || values.length === 0));
    },
  };
}

function numberOf(value: string): number | undefined {
  if (!/^\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*$/.test(value)) return undefined;
  return Number(value);
}

const ISO_DATE = /^\d{4}(-\d{2}(-\d{2})?)?(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[-+]\d{2}:?\d{2})?)?$/i;

/** ISO 8601 (UTC when it names no zone) or seconds since the Unix epoch, in milliseconds. */
function dateMsOf(value: string): number | undefined {
  if (!ISO_DATE.test(value)) {
    const seconds = numberOf(value);
    return seconds === undefined ? undefined : seconds * 1000;
  }
  const zoned = /T.*(Z|[-+]\d{2}:?\d{2})$/i.test(value) || !/T/i.test(value) ? value : `${value}Z`;
  const ms = Date.parse(zoned);
  return Number.isNaN(ms) ? undefined : ms;
}
