import type { Random } from '@ws/tests';
import type { Target } from './target.ts';

/** What a mutation knows of the format, and its limit. */
export type Format = Pick<Target, 'maxLength' | 'dictionary' | 'separators'>;

type Mutation = (bytes: Buffer, random: Random, format: Format, other: Uint8Array) => Buffer;

/** Limits of length forms, signs and close codes. */
const INTERESTING: readonly bigint[] = [
  0n,
  1n,
  2n,
  7n,
  8n,
  9n,
  10n,
  13n,
  15n,
  16n,
  32n,
  34n,
  63n,
  64n,
  100n,
  123n,
  124n,
  125n,
  126n,
  127n,
  128n,
  129n,
  192n,
  224n,
  240n,
  255n,
  256n,
  1000n,
  1005n,
  1015n,
  1024n,
  3000n,
  4096n,
  4999n,
  5000n,
  32_767n,
  32_768n,
  65_535n,
  65_536n,
  (1n << 31n) - 1n,
  1n << 31n,
  (1n << 32n) - 1n,
  1n << 32n,
  (1n << 53n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

/** `bytes[from, to)` replaced by `by`. */
function splice(bytes: Buffer, from: number, to: number, by: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(to)]);
}

function range(bytes: Uint8Array, random: Random): [number, number] {
  const from = random.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + random.size(bytes.length))];
}

/** The pieces between the separators. */
function piecesOf(bytes: Buffer, separator: Uint8Array): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const found = bytes.indexOf(separator, at);
    pieces.push(bytes.subarray(at, found < 0 ? bytes.length : found));
    if (found < 0) return pieces;
    at = found + separator.length;
  }
}

const BYTES: readonly Mutation[] = [
  (bytes, random) => {
    const copy = Buffer.from(bytes);
    const at = random.below(copy.length);
    if (copy.length > 0) copy[at]! ^= 1 << random.below(8);
    return copy;
  },
  (bytes, random) => {
    const copy = Buffer.from(bytes);
    if (copy.length > 0) copy[random.below(copy.length)] = random.below(256);
    return copy;
  },
  (bytes, random) => {
    const copy = Buffer.from(bytes);
    const at = random.below(copy.length);
    if (copy.length > 0) copy[at]! += random.below(33) - 16;
    return copy;
  },
  (bytes, random) => {
    const size = random.pick([1, 1, 2, 2, 4, 8]);
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(random.pick(INTERESTING));
    const at = random.below(bytes.length + 1);
    const over = random.once(3) ? 0 : size;
    return splice(bytes, at, Math.min(bytes.length, at + over), number.subarray(8 - size));
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const some = Buffer.from(Array.from({ length: random.size(12) }, () => random.below(256)));
    return splice(bytes, at, at, some);
  },
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    return splice(bytes, from, to, Buffer.alloc(0));
  },
  // Copies a range to another place.
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    const at = random.below(bytes.length + 1);
    const over = random.once(2) ? 0 : to - from;
    return splice(bytes, at, Math.min(bytes.length, at + over), bytes.subarray(from, to));
  },
  // Repeats one byte.
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    const filler = Buffer.alloc(random.size(300), bytes[at] ?? random.below(256));
    return splice(bytes, at, at, filler);
  },
  // Inserts a range of another input, and may drop the rest.
  (bytes, random, _, other) => {
    const [from, to] = range(Buffer.from(other), random);
    const at = random.below(bytes.length + 1);
    return splice(bytes, at, random.once(2) ? bytes.length : at, other.subarray(from, to));
  },
];

const WORDS: readonly Mutation[] = [
  (bytes, random, { dictionary }) => {
    const at = random.below(bytes.length + 1);
    return splice(bytes, at, at, random.pick(dictionary));
  },
  (bytes, random, { dictionary }) => {
    const word = random.pick(dictionary);
    const at = random.below(bytes.length + 1);
    return splice(bytes, at, Math.min(bytes.length, at + word.length), word);
  },
  // Replaces a word with another.
  (bytes, random, { dictionary }) => {
    const there = dictionary.filter((word) => bytes.includes(Buffer.from(word)));
    if (there.length === 0) return bytes;
    const word = random.pick(there);
    // A word that is there only once is found from any start.
    const after = bytes.indexOf(word, random.below(bytes.length));
    const at = after < 0 ? bytes.indexOf(word) : after;
    return splice(bytes, at, at + word.length, random.pick(dictionary));
  },
  // Changes a decimal digit.
  (bytes, random) => {
    const digits = [...bytes.keys()].filter((at) => bytes[at]! >= 0x30 && bytes[at]! <= 0x39);
    if (digits.length === 0) return bytes;
    const copy = Buffer.from(bytes);
    copy[random.pick(digits)] = 0x30 + random.below(10);
    return copy;
  },
];

const PIECES: Mutation = (bytes, random, { separators, dictionary }) => {
  const separator = random.pick(separators);
  const pieces = piecesOf(bytes, separator);
  const at = random.below(pieces.length + 1);
  const way = random.below(4);
  if (way === 0) pieces.splice(at, 1);
  else if (way === 1) pieces.splice(at, 0, random.pick(pieces));
  else if (way === 2) {
    const [moved] = pieces.splice(random.below(pieces.length), 1);
    pieces.splice(at, 0, moved!);
  } else pieces.splice(at, 0, Buffer.from(random.pick(dictionary)));
  return Buffer.concat(pieces.flatMap((piece, i) => (i === 0 ? [piece] : [separator, piece])));
};

/**
 * Makes a new input from a known one by 1 to 8 changes.
 *
 * @param other - Another known input, a source of pieces.
 */
export function mutate(
  input: Uint8Array,
  random: Random,
  format: Format,
  other: Uint8Array,
): Uint8Array {
  let bytes = Buffer.from(input);
  for (let changes = 1 << random.below(1 + random.below(4)); changes > 0; changes--) {
    const word = format.dictionary.length > 0 && random.once(3);
    const piece = format.separators.length > 0 && random.once(4);
    const mutation = word ? random.pick(WORDS) : piece ? PIECES : random.pick(BYTES);
    const changed = mutation(bytes, random, format, other);
    bytes = changed.subarray(0, format.maxLength) as Buffer<ArrayBuffer>;
  }
  return Uint8Array.from(bytes);
}
