/** RFC 7230, section 3.2.6. */
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]*/y;
const SPACE = /[ \t]*/y;
/** What comes before the closing quote: a token, with a backslash before any of its characters. */
const QUOTED = /"(?:\\?[!#$%&'*+\-.^_`|~0-9A-Za-z])*\\?/y;

/** Reads the tokens of a header with the errors of ws. */
export class HeaderScanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /**
   * Reads a token. One of the characters `ends`, or the end of the text, follows. White space may
   * come before every token but the first, and before a comma or semicolon.
   */
  token(ends: string): string {
    if (this.#at > 0) this.#match(SPACE);
    return this.#ended(this.#word(), ends);
  }

  /** Reads the value of a parameter, which may be quoted. */
  value(ends: string): string {
    if (this.#text[this.#at] !== '"') return this.#ended(this.#word(), ends);
    const quoted = this.#match(QUOTED);
    if (quoted === '"' || quoted.endsWith('\\') || !this.take('"')) this.#fail();
    return this.#ended(quoted.slice(1).replaceAll('\\', ''), ends);
  }

  /** Skips `character`, if it is next. */
  take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #word(): string {
    const word = this.#match(TOKEN);
    if (word === '') this.#fail();
    return word;
  }

  #ended(word: string, ends: string): string {
    const next = this.#text[this.#at];
    if (next === undefined || ends.includes(next)) return word;
    this.#match(SPACE);
    const separator = this.#text[this.#at];
    if (separator === undefined || separator === '=' || !ends.includes(separator)) this.#fail();
    return word;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  #fail(): never {
    if (this.#at >= this.#text.length) throw new SyntaxError('Unexpected end of input');
    throw new SyntaxError(`Unexpected character at index ${this.#at}`);
  }
}
