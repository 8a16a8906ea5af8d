/**
 * The regular expressions of filter patterns: letters, digits, some symbols, ^ $ . [ ] * + ? { } | and \d \D \w \W \s \S.
 * There are no groups, so an expression is alternatives of runs of atoms, and it is run as the small automaton that it
 * is: time is linear in the message whatever the expression (a back-tracking engine takes hours for `a*a*a*a*b`, and
 * everybody who may read logs may send one).
 */
import { PatternError, type Matcher } from "./syntax.ts";

interface Atom {
  readonly accepts: (code: number) => boolean;
  readonly optional: boolean;
  readonly repeats: boolean;
}

interface Alternative {
  readonly atoms: readonly Atom[];
  readonly fromStart: boolean;
  readonly toEnd: boolean;
}

/** Atoms of one expression after `x{2,5}` is written out as `xxx?x?x?`. */
const ATOMS_MAX = 1000;
const LITERAL = /[A-Za-z0-9:_#=@/;,\- !<>"'&~]/;
const SYMBOLS = ":_#=@/;,-^$?[]{}|\\*+.()!<>\"'&~% ";

/** `source` is what stands between the percent signs. Throws PatternError. */
export function compileRegex(source: string): Matcher {
  const alternatives = splitAlternatives(source).map(parseAlternative);
  return (message) => alternatives.some((alternative) => run(alternative, message));
}

function splitAlternatives(source: string): string[] {
  const parts: string[] = [];
  let part = "";
  let inClass = false;
  for (let at = 0; at < source.length; at += 1) {
    const character = source.charAt(at);
    if (character === "\\") {
      part += character + source.charAt(at + 1);
      at += 1;
      continue;
    }
    if (character === "[") inClass = true;
    else if (character === "]") inClass = false;
    if (character === "|" && !inClass) {
      parts.push(part);
      part = "";
    } else part += character;
  }
  return [...parts, part];
}

function parseAlternative(source: string): Alternative {
  const fromStart = source.startsWith("^");
  const toEnd = source.endsWith("$") && !source.endsWith("\\$");
  const inner = source.slice(fromStart ? 1 : 0, toEnd ? -1 : undefined);
  const atoms: Atom[] = [];
  let at = 0;
  while (at < inner.length) {
    const { accepts, end } = parseAtom(inner, at);
    const { min, max, end: next } = parseRepeat(inner, end);
    for (let i = 0; i < min; i += 1) atoms.push({ accepts, optional: false, repeats: false });
    if (max === Infinity) atoms.push({ accepts, optional: true, repeats: true });
    else for (let i = min; i < max; i += 1) atoms.push({ accepts, optional: true, repeats: false });
    if (atoms.length > ATOMS_MAX) throw new PatternError("the regular expression is too long");
    at = next;
  }
  return { atoms, fromStart, toEnd };
}

function parseAtom(source: string, at: number): { accepts: Atom["accepts"]; end: number } {
  const character = source.charAt(at);
  if (character === ".") return { accepts: () => true, end: at + 1 };
  if (character === "\\") return { accepts: escapeClass(source.charAt(at + 1)), end: at + 2 };
  if (character === "[") return parseClass(source, at);
  if (!LITERAL.test(character))
    throw new PatternError(`"${character}" is not allowed in a regular expression`);
  const code = character.charCodeAt(0);
  return { accepts: (other) => other === code, end: at + 1 };
}

function escapeClass(character: string): Atom["accepts"] {
  const digit = (code: number) => code >= 48 && code <= 57;
  const word = (code: number) =>
    digit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95;
  const space = (code: number) => code === 32 || (code >= 9 && code <= 13);
  switch (character) {
    case "d":
      return digit;
    case "D":
      return (code) => !digit(code);
    case "w":
      return word;
    case "W":
      return (code) => !word(code);
    case "s":
      return space;
    case "S":
      return (code) => !space(code);
    default: {
      if (character === "" || !SYMBOLS.includes(character))
        throw new PatternError(`"\\${character}" is not allowed in a regular expression`);
      const literal = character.charCodeAt(0);
      return (code) => code === literal;
    }
  }
}

/** `[a-z_]`, `[^0-9]`. */
function parseClass(source: string, start: number): { accepts: Atom["accepts"]; end: number } {
  const parts: Atom["accepts"][] = [];
  const negated = source.charAt(start + 1) === "^";
  let at = start + (negated ? 2 : 1);
  while (source.charAt(at) !== "]") {
    if (at >= source.length) throw new PatternError("a character class has no end");
    if (source.charAt(at) === "\\") {
      parts.push(escapeClass(source.charAt(at + 1)));
      at += 2;
      continue;
    }
    const low = source.charCodeAt(at);
    const isRange = source.charAt(at + 1) === "-" && source.charAt(at + 2) !== "]" && at + 2 < source.length;
    const high = isRange ? source.charCodeAt(at + 2) : low;
    if (high < low) throw new PatternError("a range of a character class is reversed");
    parts.push((code) => code >= low && code <= high);
    at += isRange ? 3 : 1;
  }
  return { accepts: (code) => parts.some((accepts) => accepts(code)) !== negated, end: at + 1 };
}

const COUNTS = /\{(\d{1,4})(,(\d{0,4}))?\}/y;

function parseRepeat(source: string, at: number): { min: number; max: number; end: number } {
  switch (source.charAt(at)) {
    case "*":
      return { min: 0, max: Infinity, end: at + 1 };
    case "+":
      return { min: 1, max: Infinity, end: at + 1 };
    case "?":
      return { min: 0, max: 1, end: at + 1 };
    case "{": {
      COUNTS.lastIndex = at;
      const match = COUNTS.exec(source);
      if (!match) throw new PatternError("a repetition is not {n}, {n,} or {n,m}");
      const min = Number(match[1]);
      const max = match[2] === undefined ? min : match[3] === "" ? Infinity : Number(match[3]);
      if (max < min) throw new PatternError("a repetition is reversed");
      return { min, max, end: COUNTS.lastIndex };
    }
    default:
      return { min: 1, max: 1, end: at };
  }
}

/** Keeps the set of atoms that could take the next character; state `atoms.length` means that all have matched. */
function run(alternative: Alternative, message: string): boolean {
  const { atoms, fromStart, toEnd } = alternative;
  let states = new Uint8Array(atoms.length + 1);
  let next = new Uint8Array(atoms.length + 1);
  enter(atoms, states, 0);
  for (let at = 0; at < message.length; at += 1) {
    if (states[atoms.length] && !toEnd) return true;
    const code = message.charCodeAt(at);
    next.fill(0);
    let alive = false;
    for (let state = 0; state < atoms.length; state += 1) {
      const atom = atoms[state];
      if (!states[state] || !atom?.accepts(code)) continue;
      alive = true;
      enter(atoms, next, atom.repeats ? state : state + 1);
    }
    if (!fromStart) enter(atoms, next, 0);
    else if (!alive) return false;
    [states, next] = [next, states];
  }
  return states[atoms.length] === 1;
}

/** Marks a state, and those behind it that are reached without a character. */
function enter(atoms: readonly Atom[], states: Uint8Array, from: number): void {
  for (let state = from; !states[state]; state += 1) {
    states[state] = 1;
    if (!atoms[state]?.optional) return;
  }
}
