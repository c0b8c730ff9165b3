import { constants, deflateRawSync, type ZlibOptions } from 'node:zlib';
import { hex, letters, noise, utf8 } from '../wire/bytes.ts';
import { fixedBlock, storedBlock } from '../wire/deflate.ts';

/** The payload of a compressed message, made by other means than a plain call of zlib, and what it stands for. */
export interface PackedMessage {
  readonly says: string;
  readonly packed: Buffer;
  readonly plain: Buffer;
}

const HELLO = utf8('Hello');
/** The header of the empty stored block that ends a message; its `00 00 ff ff` is not sent (RFC 7692, 7.2.1). */
const EMPTY = hex('00');
/** The same within a message, whole. */
const WHOLE_EMPTY = hex('00 0000ffff');

function byZlib(plain: Buffer, options: ZlibOptions): Buffer {
  return deflateRawSync(plain, { ...options, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

const made = (says: string, plain: Buffer, ...packed: readonly Buffer[]): PackedMessage => ({
  says,
  plain,
  packed: Buffer.concat(packed),
});

const PROSE = letters(3000);

/** DEFLATE data of every kind that a peer may send. */
export const PACKED_MESSAGES: readonly PackedMessage[] = [
  made('RFC 7692, 7.2.3.1: one block of the fixed code', HELLO, hex('f2 48 cd c9 c9 07 00')),
  made('RFC 7692, 7.2.3.3: one stored block', HELLO, hex('00 05 00 fa ff 48 65 6c 6c 6f 00')),
  made('RFC 7692, 7.2.3.4: a final block', HELLO, hex('f3 48 cd c9 c9 07 00 00')),
  made('RFC 7692, 7.2.3.5: two blocks', HELLO, hex('f2 48 05 00 00 00 ff ff ca c9 c9 07 00')),
  made('RFC 7692, 7.2.3.6: nothing, as an empty stored block', utf8(''), EMPTY),
  made('nothing, as an empty block of the fixed code', utf8(''), fixedBlock([])),
  made('nothing, as three empty stored blocks', utf8(''), WHOLE_EMPTY, WHOLE_EMPTY, EMPTY),
  made('nothing, as an empty final block', utf8(''), fixedBlock([], true), EMPTY),
  made('a stored block that is final', HELLO, storedBlock(HELLO, true), EMPTY),
  made(
    'ten stored blocks of one byte',
    letters(10),
    ...Array.from(letters(10), (byte) => storedBlock(Buffer.from([byte]))),
    EMPTY,
  ),
  made('a stored block of 65,535 bytes', letters(65_535), storedBlock(letters(65_535)), EMPTY),
  made(
    'two stored blocks of 65,535 bytes',
    Buffer.concat([letters(65_535), letters(65_535)]),
    storedBlock(letters(65_535)),
    storedBlock(letters(65_535)),
    EMPTY,
  ),
  made('an empty stored block before the text', HELLO, WHOLE_EMPTY, fixedBlock([...HELLO])),
  made(
    'ten empty stored blocks before the text',
    HELLO,
    ...Array.from({ length: 10 }, () => WHOLE_EMPTY),
    fixedBlock([...HELLO]),
  ),
  made('an empty stored block after the text', HELLO, hex('f2 48 cd c9 c9 07 00 00 00 ff ff 00')),
  made(
    'a final block, and another block after it',
    utf8('HelloHello'),
    fixedBlock([...HELLO], true),
    fixedBlock([...HELLO]),
  ),
  made(
    'two final blocks',
    utf8('HelloHello'),
    fixedBlock([...HELLO], true),
    fixedBlock([...HELLO], true),
    EMPTY,
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
    'a match as far back as the message',
    utf8('HelloHello'),
    fixedBlock([...HELLO, { length: 5, distance: 5 }]),
  ),
  made(
    'a match into a stored block',
    utf8('HelloHello'),
    storedBlock(HELLO),
    fixedBlock([{ length: 5, distance: 5 }]),
  ),
  ...[0, 1, 3, 6, 9].map((level) => made(`zlib's level ${level}`, PROSE, byZlib(PROSE, { level }))),
  made('Huffman codes alone', PROSE, byZlib(PROSE, { strategy: constants.Z_HUFFMAN_ONLY })),
  made(
    'run lengths alone',
    Buffer.alloc(3000, 0x61),
    byZlib(Buffer.alloc(3000, 0x61), { strategy: constants.Z_RLE }),
  ),
  made('the fixed code alone', PROSE, byZlib(PROSE, { strategy: constants.Z_FIXED })),
  made(
    "zlib's smallest memory, many blocks",
    letters(60_000),
    byZlib(letters(60_000), { memLevel: 1 }),
  ),
  made('a message that compression makes longer', letters(3), byZlib(letters(3), { level: 9 })),
];

/** Payloads that no text could be: sent as binary messages. */
export const PACKED_BINARIES: readonly PackedMessage[] = [
  made('noise, at level 9', noise(5000), byZlib(noise(5000), { level: 9 })),
  made('noise, stored', noise(5000), storedBlock(noise(5000)), EMPTY),
  made(
    'zeros, a thousand to one',
    Buffer.alloc(100_000),
    byZlib(Buffer.alloc(100_000), { level: 9 }),
  ),
  made(
    'every byte by the fixed code',
    Buffer.from(Array.from({ length: 256 }, (_, at) => at)),
    fixedBlock(Array.from({ length: 256 }, (_, at) => at)),
  ),
];

/** What is no DEFLATE data (RFC 1951). */
export const BROKEN_PAYLOADS: readonly (readonly [says: string, packed: Buffer])[] = [
  ['a block of type 3', hex('07')],
  ['a block of type 3 after a good one', hex('f2 48 05 00 00 00 ff ff 07')],
  ['a stored block whose length contradicts itself', hex('00 05 00 00 00 48 65 6c 6c 6f 00')],
  [
    'a match that reaches back before the beginning',
    fixedBlock([0x61, { length: 3, distance: 2 }]),
  ],
  ['a match as the first thing', fixedBlock([{ length: 3, distance: 1 }])],
  ['a match that reaches 30,000 bytes back', fixedBlock([0x61, { length: 10, distance: 30_000 }])],
  ['only ff', Buffer.alloc(20, 0xff)],
  ['a code of lengths that is no code', hex('04 e0 ff ff ff ff ff ff ff 00')],
  ['more codes of distances than there are', hex('fc ff 00 00 00 00')],
  ['plain text that claims to be compressed', utf8('Hello, I am not compressed at all')],
];
