// Sticky, one character class each: a scanner never goes back, so every grammar on it is linear in its text.
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const SPACE = /[ \t]*/y;

/** Walks over a header field's text once, from left to right. The pieces are those of RFC 9110, section 5.6. */
export class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get done(): boolean {
    return this.#at === this.#text.length;
  }

  /** True when `char` comes next; stays in front of it. */
  sees(char: string): boolean {
    return this.#text.startsWith(char, this.#at);
  }

  /** Steps over `char` if it comes next. */
  take(char: string): boolean {
    if (!this.sees(char)) return false;
    this.#at += char.length;
    return true;
  }

  /** Steps over optional white space. */
  space(): void {
    this.#match(SPACE);
  }

  /** Reads a token, or gives undefined where there is none. */
  token(): string | undefined {
    return this.#match(TOKEN);
  }

  /** Reads what follows an opening quote, up to the closing one, and resolves escapes; undefined if it is not closed. */
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
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}

/** Says whether `text` is one token and nothing else (RFC 9110, section 5.6.2). */
export function isToken(text: string): boolean {
  const scan = new Scanner(text);
  return scan.token() !== undefined && scan.done;
}
