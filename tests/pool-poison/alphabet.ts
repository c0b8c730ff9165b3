/**
 * Who a byte belongs to can be told from the byte alone: every connection has three letters of its own for what it
 * sends, three for what its peer sends to it, and there are three that may go to all. A single byte in the wrong place
 * is found, wherever it comes from.
 */
const LETTERS: readonly number[] = printable();
const EACH = 3;
/** Alphabets there are; the last one is for what goes to all. */
const ALPHABETS = Math.floor(LETTERS.length / EACH);
/** How many connections have their own at a time. */
export const CONNECTIONS: number = Math.floor((ALPHABETS - 1) / 2);

/** What memory holds that was another's before; no letter, no part of UTF-8, and not what debugging fills it with. */
export const CANARY = 0xc5;

/** The longest text there is. */
const LONGEST = 300_000;

/** What one side of a connection writes: a text in which no period is a power of two. */
export class Alphabet {
  readonly text: string;
  readonly bytes: Buffer;
  readonly #letters: readonly number[];

  constructor(index: number) {
    this.#letters = LETTERS.slice(index * EACH, index * EACH + EACH);
    const period = Buffer.from(
      Array.from({ length: 211 }, (_, i) => this.#letters[Math.floor((i * i) / 7) % EACH]!),
    );
    this.bytes = Buffer.alloc(LONGEST, period);
    this.text = this.bytes.toString('latin1');
  }

  /** Notes in `table`, which has a place for every byte, that these letters may be there. */
  allowIn(table: Uint8Array): void {
    for (const letter of this.#letters) table[letter] = 1;
  }
}

const alphabets = Array.from({ length: ALPHABETS }, (_, i) => new Alphabet(i));

/** What connection `index` sends, and what it is sent. */
export function alphabetsOf(index: number): { readonly sends: Alphabet; readonly reads: Alphabet } {
  return { sends: alphabets[index * 2]!, reads: alphabets[index * 2 + 1]! };
}

/** What goes to all. */
export const open: Alphabet = alphabets[ALPHABETS - 1]!;

/** Text of more than one byte a character that goes to all. */
export const FOREIGN = 'é€😀'.repeat(40);

/** The bytes that a connection with these alphabets may send besides its own. */
export function tableOf(...own: readonly Alphabet[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const alphabet of own) alphabet.allowIn(table);
  return table;
}

/** Those that need no escape in JSON. */
function printable(): number[] {
  const codes = Array.from({ length: 0x7e - 0x22 }, (_, i) => 0x23 + i);
  return codes.filter((code) => code !== 0x5c);
}
