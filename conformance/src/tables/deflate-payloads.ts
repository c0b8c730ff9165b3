import { constants, deflateRawSync, type ZlibOptions } from 'node:zlib';
import { hex, letters, noise, utf8 } from '../wire/bytes.ts';
import { fixedBlock, storedBlock } from '../wire/deflate.ts';

/** A compressed payload of a special form, and the message that it contains. */
export interface CompressedMessage {
  readonly title: string;
  readonly compressed: Buffer;
  readonly plain: Buffer;
}

const HELLO = utf8('Hello');
/**
 * Header of the empty stored block at the end of a message, without `00 00 ff ff` (RFC 7692,
 * 7.2.1).
 */
const EMPTY_BLOCK_HEADER = hex('00');
/** A complete empty stored block, for use within a message. */
const EMPTY_BLOCK = hex('00 0000ffff');

function byZlib(plain: Buffer, options: ZlibOptions): Buffer {
  return deflateRawSync(plain, { ...options, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

const made = (title: string, plain: Buffer, ...blocks: readonly Buffer[]): CompressedMessage => ({
  title,
  plain,
  compressed: Buffer.concat(blocks),
});

const PROSE = letters(3000);

/** Valid DEFLATE data of every kind. */
export const COMPRESSED_MESSAGES: readonly CompressedMessage[] = [
  made('RFC 7692, 7.2.3.1: one block with fixed codes', HELLO, hex('f2 48 cd c9 c9 07 00')),
  made('RFC 7692, 7.2.3.3: one stored block', HELLO, hex('00 05 00 fa ff 48 65 6c 6c 6f 00')),
  made('RFC 7692, 7.2.3.4: a final block', HELLO, hex('f3 48 cd c9 c9 07 00 00')),
  made('RFC 7692, 7.2.3.5: two blocks', HELLO, hex('f2 48 05 00 00 00 ff ff ca c9 c9 07 00')),
  made(
    'RFC 7692, 7.2.3.6: an empty message as an empty stored block',
    utf8(''),
    EMPTY_BLOCK_HEADER,
  ),
  made('an empty message as an empty block with fixed codes', utf8(''), fixedBlock([])),
  made(
    'an empty message as three empty stored blocks',
    utf8(''),
    EMPTY_BLOCK,
    EMPTY_BLOCK,
    EMPTY_BLOCK_HEADER,
  ),
  made(
    'an empty message as an empty final block',
    utf8(''),
    fixedBlock([], true),
    EMPTY_BLOCK_HEADER,
  ),
  made('a stored block that is final', HELLO, storedBlock(HELLO, true), EMPTY_BLOCK_HEADER),
  made(
    'ten stored blocks of one byte',
    letters(10),
    ...Array.from(letters(10), (byte) => storedBlock(Buffer.from([byte]))),
    EMPTY_BLOCK_HEADER,
  ),
  made(
    'a stored block of 65,535 bytes',
    letters(65_535),
    storedBlock(letters(65_535)),
    EMPTY_BLOCK_HEADER,
  ),
  made(
    'two stored blocks of 65,535 bytes',
    Buffer.concat([letters(65_535), letters(65_535)]),
    storedBlock(letters(65_535)),
    storedBlock(letters(65_535)),
    EMPTY_BLOCK_HEADER,
  ),
  made('an empty stored block before the text', HELLO, EMPTY_BLOCK, fixedBlock([...HELLO])),
  made(
    'ten empty stored blocks before the text',
    HELLO,
    ...Array.from({ length: 10 }, () => EMPTY_BLOCK),
    fixedBlock([...HELLO]),
  ),
  made('an empty stored block after the text', HELLO, hex('f2 48 cd c9 c9 07 00 00 00 ff ff 00')),
  made(
    'a final block, then another block',
    utf8('HelloHello'),
    fixedBlock([...HELLO], true),
    fixedBlock([...HELLO]),
  ),
  made(
    'two final blocks',
    utf8('HelloHello'),
    fixedBlock([...HELLO], true),
    fixedBlock([...HELLO], true),
    EMPTY_BLOCK_HEADER,
  ),
  made(
    'a match of distance 1',
    utf8('aaaaaaaaaaa'),
    fixedBlock([0x61, { length: 10, distance: 1 }]),
  ),
  made(
    'a match that overlaps itself',
    utf8('abcabcabcab'),
    fixedBlock([0x61, 0x62, 0x63, { length: 8, distance: 3 }]),
  ),
  made(
    'a match with the distance of the whole message',
    utf8('HelloHello'),
    fixedBlock([...HELLO, { length: 5, distance: 5 }]),
  ),
  made(
    'a match into a stored block',
    utf8('HelloHello'),
    storedBlock(HELLO),
    fixedBlock([{ length: 5, distance: 5 }]),
  ),
  ...[0, 1, 3, 6, 9].map((level) => made(`zlib level ${level}`, PROSE, byZlib(PROSE, { level }))),
  made(
    'only Huffman codes, no matches',
    PROSE,
    byZlib(PROSE, { strategy: constants.Z_HUFFMAN_ONLY }),
  ),
  made(
    'only run lengths',
    Buffer.alloc(3000, 0x61),
    byZlib(Buffer.alloc(3000, 0x61), { strategy: constants.Z_RLE }),
  ),
  made('only fixed codes', PROSE, byZlib(PROSE, { strategy: constants.Z_FIXED })),
  made(
    'the smallest memLevel of zlib, many blocks',
    letters(60_000),
    byZlib(letters(60_000), { memLevel: 1 }),
  ),
  made('a message that compression makes longer', letters(3), byZlib(letters(3), { level: 9 })),
];

/** Valid DEFLATE data for binary messages. */
export const COMPRESSED_BINARIES: readonly CompressedMessage[] = [
  made('noise at level 9', noise(5000), byZlib(noise(5000), { level: 9 })),
  made('noise in a stored block', noise(5000), storedBlock(noise(5000)), EMPTY_BLOCK_HEADER),
  made(
    'zeros with a ratio of a thousand to one',
    Buffer.alloc(100_000),
    byZlib(Buffer.alloc(100_000), { level: 9 }),
  ),
  made(
    'every byte value with fixed codes',
    Buffer.from(Array.from({ length: 256 }, (_, at) => at)),
    fixedBlock(Array.from({ length: 256 }, (_, at) => at)),
  ),
];

/** Invalid DEFLATE data (RFC 1951). */
export const INVALID_PAYLOADS: readonly (readonly [title: string, compressed: Buffer])[] = [
  ['a block of type 3', hex('07')],
  ['a block of type 3 after a good one', hex('f2 48 05 00 00 00 ff ff 07')],
  ['a stored block whose length contradicts itself', hex('00 05 00 00 00 48 65 6c 6c 6f 00')],
  [
    'a match that refers to bytes before the message',
    fixedBlock([0x61, { length: 3, distance: 2 }]),
  ],
  ['a match at the start', fixedBlock([{ length: 3, distance: 1 }])],
  ['a match with a distance of 30,000 bytes', fixedBlock([0x61, { length: 10, distance: 30_000 }])],
  ['only ff', Buffer.alloc(20, 0xff)],
  ['an invalid code length code', hex('04 e0 ff ff ff ff ff ff ff 00')],
  ['too many distance codes', hex('fc ff 00 00 00 00')],
  ['plain text marked as compressed', utf8('Hello, I am not compressed at all')],
];
