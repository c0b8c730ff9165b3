import { hex } from '../wire/bytes.ts';

/** A valid UTF-8 text. */
export interface ValidText {
  readonly title: string;
  readonly bytes: Buffer;
}

/** Bytes that are not UTF-8 (RFC 3629). */
export interface InvalidText {
  readonly title: string;
  readonly bytes: Buffer;
  /**
   * Number of bytes after which no continuation is valid. Undefined: the text is only incomplete.
   */
  readonly decidedAt: number | undefined;
}

const POINTS = [
  0x0, 0x7f, 0x80, 0x7ff, 0x800, 0xfff, 0x1000, 0xcfff, 0xd000, 0xd7ff, 0xe000, 0xfdd0, 0xfeff,
  0xfffd, 0xfffe, 0xffff, 0x1_0000, 0x1_fffe, 0x3_ffff, 0x4_0000, 0xf_ffff, 0x10_0000, 0x10_fffe,
  0x10_ffff,
];

const TEXTS: readonly (readonly [title: string, text: string])[] = [
  ['a Greek word', 'κόσμε'],
  ['Latin letters with accents', 'Hello-µ@ßöäüàá-UTF-8!!'],
  ['Chinese', '网络套接字协议'],
  ['Arabic, from right to left', 'مرحبا بالعالم'],
  ['a family of emoji, joined', '👩‍👩‍👧‍👦 and 🏳️‍🌈'],
  ['combining marks', 'Z̷͍̈́a̵͔͝l̴̦͝g̶̱̑o̶̙͌'],
  ['one character of each length', 'a¢€𐍈'],
  ['characters that JSON and HTML escape', '"\\\u2028\u2029<>&\u0000\r\n\n\r\t'],
];

/** The limits of each range of RFC 3629, and some real text. */
export const VALID_TEXTS: readonly ValidText[] = [
  ...POINTS.map((point) => ({
    title: `U+${point.toString(16).toUpperCase().padStart(4, '0')}`,
    bytes: Buffer.from(String.fromCodePoint(point)),
  })),
  ...TEXTS.map(([title, text]) => ({ title, bytes: Buffer.from(text) })),
];

/** Title, bytes, and the number of bytes after which the text is invalid. */
const BROKEN: readonly (readonly [title: string, bytes: string, decidedAt?: number])[] = [
  ['a continuation byte alone, 80', '80', 1],
  ['a continuation byte alone, bf', 'bf', 1],
  ['a continuation byte after ASCII', '61 90', 2],
  ['two continuation bytes', '80 bf', 1],
  ['a continuation byte too many after two bytes', 'c2 80 80', 3],
  ['a continuation byte too many after three bytes', 'e1 80 80 80', 4],
  ['a continuation byte too many after four bytes', 'f1 80 80 80 80', 5],
  ['overlong U+0000, c0 80', 'c0 80', 1],
  ['overlong slash, c0 af', 'c0 af', 1],
  ['overlong U+007F, c1 bf', 'c1 bf', 1],
  ['c0 before ASCII', 'c0 41', 1],
  ['overlong in three bytes, U+0000', 'e0 80 80', 2],
  ['overlong in three bytes, slash', 'e0 80 af', 2],
  ['overlong in three bytes, U+07FF', 'e0 9f bf', 2],
  ['overlong in four bytes, U+0000', 'f0 80 80 80', 2],
  ['overlong in four bytes, slash', 'f0 80 80 af', 2],
  ['overlong in four bytes, U+FFFF', 'f0 8f bf bf', 2],
  ['the lowest surrogate, U+D800', 'ed a0 80', 2],
  ['the surrogate U+DB7F', 'ed ad bf', 2],
  ['the surrogate U+DB80', 'ed ae 80', 2],
  ['the last high surrogate, U+DBFF', 'ed af bf', 2],
  ['the first low surrogate, U+DC00', 'ed b0 80', 2],
  ['the surrogate U+DF80', 'ed be 80', 2],
  ['the last surrogate, U+DFFF', 'ed bf bf', 2],
  ['a pair of surrogates (CESU-8), U+10000', 'ed a0 80 ed b0 80', 2],
  ['a pair of surrogates (CESU-8), U+10FFFF', 'ed af bf ed bf bf', 2],
  ['a code point above the last one, U+110000', 'f4 90 80 80', 2],
  ['a code point above the last one, U+13FFFF', 'f4 bf bf bf', 2],
  ['the lead byte f5', 'f5 80 80 80', 1],
  ['the lead byte f6', 'f6 80 80 80', 1],
  ['the lead byte f7', 'f7 bf bf bf', 1],
  ['five bytes, f8', 'f8 88 80 80 80', 1],
  ['five bytes, fb', 'fb bf bf bf bf', 1],
  ['six bytes, fc', 'fc 84 80 80 80 80', 1],
  ['six bytes, fd', 'fd bf bf bf bf bf', 1],
  ['the byte fe', 'fe', 1],
  ['the byte ff', 'ff', 1],
  ['a UTF-16 byte order mark', 'fe ff', 1],
  ['two bytes cut short by ASCII', 'c2 41', 2],
  ['three bytes cut short by ASCII after one', 'e1 41', 2],
  ['three bytes cut short by ASCII after two', 'e1 80 41', 3],
  ['four bytes cut short by ASCII after one', 'f1 41', 2],
  ['four bytes cut short by ASCII after two', 'f1 80 41', 3],
  ['four bytes cut short by ASCII after three', 'f1 80 80 41', 4],
  ['two bytes cut short by another character', 'c3 c3 a9', 2],
  ['three bytes cut short by another character', 'e2 82 e2 82 ac', 3],
  ['four bytes cut short by another character', 'f0 9f 98 f0 9f 98 80', 4],
  ['Latin-1', '63 61 66 e9 20 21', 5],
  ['two bytes, the second missing', 'c2'],
  ['two bytes of three, e0', 'e0 a0'],
  ['one byte of three', 'e1'],
  ['two bytes of three', 'ef bf'],
  ['one byte of four', 'f0'],
  ['two bytes of four', 'f0 90'],
  ['three bytes of four', 'f4 8f bf'],
];

/** Every kind of invalid UTF-8 (RFC 3629), in its shortest form. */
export const INVALID_TEXTS: readonly InvalidText[] = BROKEN.map(([title, bytes, decidedAt]) => ({
  title,
  bytes: hex(bytes),
  decidedAt,
}));

/** A Greek word whose second letter has three bytes, the others two. */
const GREEK = 'ce ba e1 bd b9 cf 83 ce bc ce b5';

/** Texts of the Autobahn suite that are not in {@link VALID_TEXTS}. */
export const MORE_VALID_TEXTS: readonly ValidText[] = [
  ...['24', 'A2', '20AC', '24B62'].map((point) => ({
    title: `hello U+${point} world`,
    bytes: Buffer.from(`hello${String.fromCodePoint(Number.parseInt(point, 16))}world`),
  })),
  ...[2, 5, 7, 9, 11].map((size) => ({
    title: `the first ${size} bytes of a Greek word`,
    bytes: hex(GREEK).subarray(0, size),
  })),
];

/** Returns `first` to `last`, each before a space. */
function beforeSpaces(first: number, last: number): Buffer {
  return Buffer.from(
    Array.from({ length: last - first + 1 }, (_, at) => [first + at, 0x20]).flat(),
  );
}

/** Characters without their last byte. */
const CUT_OFF = [
  'c0',
  'e0 80',
  'f0 80 80',
  'f8 80 80 80',
  'fc 80 80 80 80',
  'df',
  'ef bf',
  'f7 bf bf',
  'fb bf bf bf',
  'fd bf bf bf bf',
];

/** Texts of the Autobahn suite that are not in {@link INVALID_TEXTS}. */
export const MORE_INVALID_TEXTS: readonly ValidText[] = [
  ...[1, 3, 4, 6, 8, 10].map((size) => ({
    title: `the first ${size} bytes of a Greek word, which end within a letter`,
    bytes: hex(GREEK).subarray(0, size),
  })),
  ...[3, 4, 5, 6].map((count) => ({
    title: `${count} continuation bytes`,
    bytes: hex('80 bf 80 bf 80 bf').subarray(0, count),
  })),
  {
    title: 'all continuation bytes',
    bytes: Buffer.from(Array.from({ length: 64 }, (_, at) => 0x80 + at)),
  },
  { title: 'all lead bytes of two, each before a space', bytes: beforeSpaces(0xc0, 0xdf) },
  { title: 'all lead bytes of three, each before a space', bytes: beforeSpaces(0xe0, 0xef) },
  { title: 'all lead bytes of four, each before a space', bytes: beforeSpaces(0xf0, 0xf7) },
  { title: 'all lead bytes of five, each before a space', bytes: beforeSpaces(0xf8, 0xfb) },
  { title: 'all lead bytes of six, each before a space', bytes: beforeSpaces(0xfc, 0xfd) },
  ...CUT_OFF.map((bytes) => ({
    title: `a character without its last byte, ${bytes}`,
    bytes: hex(bytes),
  })),
  { title: 'ten characters without their last bytes', bytes: hex(CUT_OFF.join(' ')) },
  { title: 'fe fe ff ff', bytes: hex('fe fe ff ff') },
  ...[
    'f8 80 80 80 af',
    'fc 80 80 80 80 af',
    'f8 87 bf bf bf',
    'fc 83 bf bf bf bf',
    'f8 80 80 80 80',
    'fc 80 80 80 80 80',
  ].map((bytes) => ({ title: `an overlong character, ${bytes}`, bytes: hex(bytes) })),
];
