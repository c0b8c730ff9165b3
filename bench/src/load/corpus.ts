import { constants, deflateRawSync } from 'node:zlib';
import { generator } from '../harness/random.ts';
import { type Pieces, piecesOf } from './pieces.ts';

/** The agreed compression, seen from the client: whether messages refer back to earlier ones. */
type Context = 'none' | 'shared' | 'takeover';

/** The parameters of a corpus. */
export interface CorpusPlan {
  /** Bytes of each message. */
  readonly size: number;
  readonly count: number;
  readonly context: Context;
  /** Window of the client's messages. */
  readonly windowBits: number;
}

/** Messages that all differ, as plain text and as masked frames. */
export interface Corpus extends CorpusPlan {
  /** The plain text of all messages, concatenated. */
  readonly plain: Buffer;
  /** The frames of all messages. */
  readonly frames: Pieces;
}

/** The last bytes of a sync flush, which are not sent (RFC 7692, section 7.2.1). */
export const TAIL: Buffer = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/**
 * Creates a corpus. With context takeover each message is compressed with the text before it as its
 * dictionary, and the first without one. So the corpus can be sent repeatedly on one connection.
 */
export function makeCorpus(plan: CorpusPlan): Corpus {
  const { size, count, context, windowBits } = plan;
  const plain = Buffer.from(jsonLike(size * count));
  const frames: Buffer[] = [];
  const random = generator(7);
  for (let i = 0; i < count; i++) {
    const message = plain.subarray(i * size, (i + 1) * size);
    const dictionary =
      context === 'takeover'
        ? plain.subarray(Math.max(0, i * size - (1 << windowBits)), i * size)
        : undefined;
    const frame =
      context === 'none'
        ? maskedFrame(0x81, message, random())
        : maskedFrame(0xc1, deflate(message, windowBits, dictionary), random());
    frames.push(frame);
  }
  return { ...plan, plain, frames: piecesOf(frames) };
}

function deflate(message: Buffer, windowBits: number, dictionary: Buffer | undefined): Buffer {
  const compressed = deflateRawSync(message, {
    windowBits,
    finishFlush: constants.Z_SYNC_FLUSH,
    ...(dictionary !== undefined && dictionary.length > 0 && { dictionary }),
  });
  return compressed.subarray(0, compressed.length - TAIL.length);
}

/** A client's frame. `first` has FIN, RSV1 and the opcode. */
export function maskedFrame(first: number, payload: Uint8Array, maskKey: number): Buffer {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const frame = Buffer.alloc(6 + extended + length);
  frame[0] = first;
  frame[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) frame.writeUInt16BE(length, 2);
  if (extended === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  const at = 2 + extended;
  frame.writeUInt32BE(maskKey >>> 0, at);
  for (let i = 0; i < length; i++) frame[at + 4 + i] = payload[i]! ^ frame[at + (i & 3)]!;
  return frame;
}

const EVENTS: readonly string[] = ['trade', 'quote', 'book', 'login', 'chat', 'move', 'score'];
const WORDS: readonly string[] = [
  'about after again every first found great house large learn never other place plant point right',
  'small sound spell still study their there these thing think three water where which world would',
  'write system number people always between through another example together important river night',
  'light story father mother answer table north south money order voice power town fine certain fly',
  'unit lead cry dark machine note wait plan figure star box noun field rest correct able pound done',
  'beauty drive stood contain front teach week final gave green quick develop ocean warm free minute',
]
  .join(' ')
  .split(' ');

/**
 * JSON-like records, `bytes` bytes of ASCII. They compress to about a third at 4 KiB, as JSON often
 * does.
 */
export function jsonLike(bytes: number): string {
  const random = generator(5);
  const parts: string[] = [];
  let length = 0;
  while (length < bytes) {
    const record = jsonRecord(random);
    parts.push(record, ',');
    length += record.length + 1;
  }
  return parts.join('').slice(0, bytes);
}

/** One record as JSON, some 160 bytes. */
export function jsonRecord(random: () => number): string {
  const upTo = (n: number): number => (random() >>> 0) % n;
  return JSON.stringify({
    id: upTo(2 ** 32)
      .toString(16)
      .padStart(8, '0'),
    event: EVENTS[upTo(EVENTS.length)],
    user: `u${upTo(100_000)}`,
    at: 1_700_000_000_000 + upTo(1e9),
    price: upTo(1_000_000) / 100,
    text: Array.from({ length: 4 + upTo(8) }, () => WORDS[upTo(WORDS.length)]).join(' '),
    ok: upTo(2) === 1,
  });
}
