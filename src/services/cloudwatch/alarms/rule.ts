/** The rule of a composite alarm [docs: Create_Composite_Alarm]: `(ALARM(a) OR ALARM("b c")) AND NOT OK(c)`. */
import { validationError } from "../../../errors.ts";
import { Scanner } from "../scanner.ts";
import type { AlarmState } from "./verdict.ts";

export interface AlarmRule {
  /** Names of the alarms that it looks at. */
  readonly children: ReadonlySet<string>;
  /** `stateOf` answers undefined for an alarm that is not there: it is in no state. */
  holds(stateOf: (name: string) => AlarmState | undefined): boolean;
}

type Test = (stateOf: (name: string) => AlarmState | undefined) => boolean;

/** [docs: Create_Composite_Alarm] */
const CHILDREN_MAX = 100;
const ELEMENTS_MAX = 500;

const BLANK = /\s*/y;
const WORD = /[A-Z_]+/iy;
const QUOTED = /"((?:[^"\\]|\\[^])*)"/y;
const BARE = /[^"()\s][^()]*/y;
const STATES: readonly string[] = ["ALARM", "OK", "INSUFFICIENT_DATA"] satisfies AlarmState[];

/** Throws ValidationError. */
export function parseRule(text: string): AlarmRule {
  const parser = new Parser(text);
  const test = parser.whole();
  return { children: parser.children, holds: (stateOf) => test(stateOf) };
}

/** The alarm's name, where its ARN may stand. */
export function alarmNameOf(nameOrArn: string): string {
  const [, name] = /^arn:[^:]*:cloudwatch:[^:]*:\d*:alarm:(.+)$/s.exec(nameOrArn) ?? [];
  return name ?? nameOrArn;
}

class Parser {
  readonly children = new Set<string>();
  readonly #scanner: Scanner;
  #elements = 0;

  constructor(text: string) {
    this.#scanner = new Scanner(text);
  }

  whole(): Test {
    const test = this.#any();
    this.#scanner.take(BLANK);
    if (!this.#scanner.isAtEnd) throw this.#malformed();
    return test;
  }

  #any(): Test {
    const tests = [this.#all()];
    while (this.#skipWord("OR")) tests.push(this.#all());
    return (stateOf) => tests.some((test) => test(stateOf));
  }

  #all(): Test {
    const tests = [this.#one()];
    while (this.#skipWord("AND")) tests.push(this.#one());
    return (stateOf) => tests.every((test) => test(stateOf));
  }

  #one(): Test {
    let isNegated = false;
    while (this.#skipWord("NOT")) isNegated = !isNegated;
    const test = this.#element();
    return isNegated ? (stateOf) => !test(stateOf) : test;
  }

  #element(): Test {
    this.#elements += 1;
    if (this.#elements > ELEMENTS_MAX)
      throw validationError(`AlarmRule must not have more than ${ELEMENTS_MAX} elements.`);
    if (this.#skip("(")) {
      const test = this.#any();
      if (!this.#skip(")")) throw this.#malformed();
      return test;
    }
    const word = this.#scanner.take(WORD)?.[0] ?? "";
    if (word === "TRUE") return () => true;
    if (word === "FALSE") return () => false;
    if (!STATES.includes(word) || !this.#skip("(")) throw this.#malformed();
    const name = this.#name();
    if (!this.#skip(")")) throw this.#malformed();
    this.children.add(name);
    if (this.children.size > CHILDREN_MAX)
      throw validationError(`AlarmRule must not have more than ${CHILDREN_MAX} child alarms.`);
    return (stateOf) => stateOf(name) === word;
  }

  #name(): string {
    this.#scanner.take(BLANK);
    const quoted = this.#scanner.take(QUOTED)?.[1]?.replace(/\\([^])/g, "$1");
    const name = quoted ?? this.#scanner.take(BARE)?.[0].trim() ?? "";
    if (name === "") throw this.#malformed();
    return alarmNameOf(name);
  }

  #skipWord(word: string): boolean {
    this.#scanner.take(BLANK);
    const before = this.#scanner.at;
    if (this.#scanner.take(WORD)?.[0] === word) return true;
    this.#scanner.at = before;
    return false;
  }

  #skip(symbol: string): boolean {
    this.#scanner.take(BLANK);
    if (this.#scanner.text[this.#scanner.at] !== symbol) return false;
    this.#scanner.at += 1;
    this.#scanner.take(BLANK);
    return true;
  }

  #malformed() {
    return validationError(
      `AlarmRule is not valid: it cannot be understood from position ${this.#scanner.at + 1} on.`,
    );
  }
}
