/**
 * A byte alone identifies its owner. Every connection has three letters for its own data and three
 * for the data of its peer; three letters are shared. A single misplaced byte is found.
 */
const LETTERS: readonly number[] = printable();
const EACH = 3;
/** The last alphabet is shared. */
const ALPHABETS = Math.floor(LETTERS.length / EACH);
/** Number of connections with their own alphabets. */
export const CONNECTIONS: number = Math.floor((ALPHABETS - 1) / 2);

/** Fills foreign memory: no letter, no UTF-8 and not the fill byte of debug pools. */
export const CANARY = 0xc5;

/** Length of the longest text. */
const LONGEST = 300_000;

/** The data of one side; its period is not a power of two. */
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

  /** Allows these letters in `table`, which has an entry for each byte value. */
  allowIn(table: Uint8Array): void {
    for (const letter of this.#letters) table[letter] = 1;
  }
}

const alphabets = Array.from({ length: ALPHABETS }, (_, i) => new Alphabet(i));

/** The alphabets of connection `index`. */
export function alphabetsOf(index: number): { readonly sends: Alphabet; readonly reads: Alphabet } {
  return { sends: alphabets[index * 2]!, reads: alphabets[index * 2 + 1]! };
}

/** The shared alphabet. */
export const open: Alphabet = alphabets[ALPHABETS - 1]!;

/** Shared text with characters of several bytes. */
export const FOREIGN = 'é€😀'.repeat(40);

/** Table of the allowed byte values. */
export function tableOf(...own: readonly Alphabet[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const alphabet of own) alphabet.allowIn(table);
  return table;
}

/** ASCII characters without an escape in JSON. */
function printable(): number[] {
  const codes = Array.from({ length: 0x7e - 0x22 }, (_, i) => 0x23 + i);
  return codes.filter((code) => code !== 0x5c);
}
