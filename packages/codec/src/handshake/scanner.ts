// Sticky, one character class each. A scanner never goes back, so every grammar on it is linear.
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const SPACE = /[ \t]*/y;

/**
 * Walks over the text of a header field once, from left to right. The grammar is RFC 9110, section
 * 5.6.
 */
export class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#at === this.#text.length;
  }

  /** Whether `char` comes next. Does not move. */
  sees(char: string): boolean {
    return this.#text.startsWith(char, this.#at);
  }

  /** Moves past `char` if it comes next. */
  take(char: string): boolean {
    if (!this.sees(char)) return false;
    this.#at += char.length;
    return true;
  }

  /** Moves past optional white space. */
  space(): void {
    this.#match(SPACE);
  }

  /** Reads a token. Undefined when there is none. */
  token(): string | undefined {
    return this.#match(TOKEN);
  }

  /**
   * Reads the rest of a quoted string after its opening quote, and resolves escapes. Undefined when
   * it is not closed.
   */
  quoted(): string | undefined {
    let content = '';
    while (!this.take('"')) {
      this.take('\\');
      if (this.done) return undefined;
      content += this.#text.charAt(this.#at++);
    }
    return content;
  }

  #match(pattern: RegExp): string | undefined {
    const start = this.#at;
    pattern.lastIndex = start;
    // `exec` would create an array for each token.
    if (!pattern.test(this.#text)) return undefined;
    this.#at = pattern.lastIndex;
    return this.#text.slice(start, this.#at);
  }
}

/** Whether `text` is exactly one token (RFC 9110, section 5.6.2). */
export function isToken(text: string): boolean {
  const scan = new Scanner(text);
  return scan.token() !== undefined && scan.done;
}
