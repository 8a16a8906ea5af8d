/** A text that is read from its beginning on, by sticky patterns. For the languages of math, searches and alarms' rules. */
export class Scanner {
  readonly text: string;
  /** Index of the next character; a parser may set it back. */
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  get isAtEnd(): boolean {
    return this.at >= this.text.length;
  }

  /** What `pattern`, which is sticky, matches here, and goes behind it; null: nothing, and stays. */
  take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }
}
