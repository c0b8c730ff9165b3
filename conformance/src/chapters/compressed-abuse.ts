import { constants, deflateRawSync } from 'node:zlib';
import type { TargetAttempt } from '../attempts/target-attempt.ts';
import type { AddCase, Chapter } from '../model/chapter.ts';
import { hex, letters, utf8 } from '../wire/bytes.ts';
import { storedBlock } from '../wire/deflate.ts';
import { checkAlive, closeCleanly, expectFailure } from '../wire/expect.ts';
import { BINARY, RSV1, TEXT } from '../wire/frame.ts';
import { expectSameOrFailure } from './compressed.ts';
import { fragments, sizesOf } from './fragments.ts';

/** Adds sections about data that ends too early, and about data that inflates too much. */
export function compressedAbuse(chapter: Chapter<TargetAttempt>): void {
  cutOff(chapter);
  bombs(chapter);
}

/** DEFLATE data that ends within a block, also after the receiver has added `00 00 ff ff`. */
const CUT_OFF: readonly (readonly [title: string, payload: Buffer])[] = [
  ['a stored block without its last 20 bytes', storedBlock(letters(30)).subarray(0, 15)],
  ['a stored block that ends within its length', hex('00 40')],
  ['a block with fixed codes that ends within the text', fixedWithoutEnd()],
  ['a block with dynamic codes that ends within the codes', dynamicWithoutEnd()],
];

function fixedWithoutEnd(): Buffer {
  const options = { strategy: constants.Z_FIXED, finishFlush: constants.Z_SYNC_FLUSH };
  return deflateRawSync(letters(26), options).subarray(0, 12);
}

function dynamicWithoutEnd(): Buffer {
  return deflateRawSync(utf8(letters(3000).toString('base64'))).subarray(0, 12);
}

function cutOff(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 6.2 and 7.2.2',
    // The RFC names no fault of the data. Many receivers take what zlib has inflated so far.
    level: 'advice',
    expects: 'the target fails the connection: the DEFLATE data ends within a block',
  });
  for (const [title, payload] of CUT_OFF) {
    add(title, async (attempt) => {
      const peer = await attempt.openDeflate();
      await peer.sendFrames({ opcode: BINARY, payload, rsv: RSV1 });
      await expectFailure(peer, [1007, 1002], 'the DEFLATE data ends within a block');
    });
  }
}

const MIB = 1024 * 1024;
const BOMB_SIZE = 128;

/** Returns data that inflates to {@link BOMB_SIZE} MiB of zeros: the same blocks again and again. */
function bomb(): Buffer {
  const part = deflateRawSync(Buffer.alloc(MIB), { level: 9, finishFlush: constants.Z_FULL_FLUSH });
  const parts = Array.from({ length: BOMB_SIZE }, () => part);
  return Buffer.concat([...parts, hex('00')]);
}

function bombs(chapter: Chapter<TargetAttempt>): void {
  const add = chapter.section({
    section: 'RFC 7692, 8; RFC 6455, 10.4',
    level: 'advice',
    expects: 'the target fails the connection with 1009, and other connections work',
  });
  for (const [title, size] of [
    ['in one frame', Number.POSITIVE_INFINITY],
    ['in fragments of 1000 bytes', 1000],
  ] as const) {
    add(`a message of 128 KiB that inflates to 128 MiB, ${title}`, async (attempt) => {
      const peer = await attempt.openDeflate();
      const payload = bomb();
      const [first, ...rest] = fragments(BINARY, payload, sizesOf(payload.length, size));
      await peer.sendList([{ ...first!, rsv: RSV1 }, ...rest]);
      await expectFailure(peer, [1009, 1008, 1013], 'the message inflates to 128 MiB');
      if (peer.role === 'server') return;
      const other = await attempt.open();
      await checkAlive(other);
      await closeCleanly(other);
    });
  }
  emptyBlocks(add);
}

/** Adds a message of blocks that inflate to nothing. */
function emptyBlocks(add: AddCase<TargetAttempt>): void {
  add(
    'a message of 100,000 empty blocks and a word',
    async (attempt) => {
      const peer = await attempt.openDeflate();
      const blocks = Array.from({ length: 100_000 }, () => storedBlock(new Uint8Array(0)));
      const payload = Buffer.concat([...blocks, hex('f2 48 cd c9 c9 07 00')]);
      await peer.sendFrames({ opcode: TEXT, payload, rsv: RSV1 });
      await expectSameOrFailure(peer, TEXT, utf8('Hello'));
    },
    { level: 'must', expects: 'the word comes back, or the target fails the connection' },
  );
}
