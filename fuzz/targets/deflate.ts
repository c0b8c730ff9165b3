import type { Deflater } from '@ws/conn';
import { pureDeflate } from '@ws/conn/pure-deflate';
import { pakoInflate } from '@ws/tests';
import { Input } from '../harness/input.ts';
import { bytesOf, ensure, ensureSame, type Target } from '../harness/target.ts';
import { inflateMessage } from '../oracles/inflate.ts';

/** Bytes around input and output. */
const MARGIN = 16;
const CANARY = 0xa5;
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
/** An empty message, and the tail. */
const EMPTY = Buffer.from([0x00, 0x00, 0x00, 0xff, 0xff]);
const NOTHING = Buffer.alloc(0);
const WINDOW = 32_768;

/** Inflates the messages of a deflater, which may refer to those since its reset. */
export function deflate(
  create: (windowBits: number) => Deflater = (windowBits) => pureDeflate.deflater(1, windowBits),
): Target {
  return {
    name: 'deflate',
    description: 'zlib and pako inflate each message; none is larger than in stored blocks',
    covers: ['packages/conn/src/pure-deflate/'],
    maxLength: 600,
    dictionary: bytesOf('aaa', 'abcabc', [0, 0, 0, 0], [0xff, 0xfe, 0xfd]),
    separators: [],
    seeds: bytesOf(
      // Window, room, then messages: a reset before it, a unit, repetitions, a gap.
      [7, 200, 0, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0, 0, 0],
      [7, 2, 1, 9, ...Buffer.from('one two 3'), 4, 0, 0, 1, 3, ...Buffer.from('two'), 1, 9, 1],
      [7, 7, 1, 200, ...Buffer.alloc(200, 'abcdefghij'), 1, 100, 9],
    ),
    run(input) {
      const read = new Input(input);
      const windowBits = 8 + (read.byte() % 8);
      const room = 1 + 16 * read.byte();
      const engine = create(windowBits);
      engine.reset(undefined);
      let stream = NOTHING;
      let plain = NOTHING;
      const checkWindow = (): void => {
        const byPako = pakoInflate(stream, NOTHING, windowBits);
        ensureSame(byPako.equals(plain), true, `window of ${windowBits} bits`);
      };
      while (!read.done) {
        if (read.byte() % 2 === 0) {
          checkWindow();
          engine.reset(undefined);
          stream = plain = NOTHING;
        }
        const message = messageOf(read);
        const payload = compressed(engine, message, room);
        const got = inflateMessage(payload.subarray(0, -TAIL.length), plain.subarray(-WINDOW));
        ensure(typeof got === 'object' && got.complete === 'yes', 'zlib inflates the message');
        ensure(got.bytes.equals(message), 'zlib inflates to the same bytes');
        stream = Buffer.concat([stream, payload]);
        plain = Buffer.concat([plain, message]);
      }
      checkWindow();
    },
  };
}

/** Some bytes, repeated; the unit may be far from its repetition. */
function messageOf(read: Input): Buffer {
  const unit = read.bytes(read.byte());
  const times = read.byte() % 12;
  const gap = Buffer.alloc(read.byte() * (read.byte() % 16), 0xee);
  const repeated = Array<Uint8Array>(times).fill(unit);
  return Buffer.concat([unit, gap, ...repeated]);
}

/** Compresses a message into pieces of at most `room` bytes. The result includes the tail. */
function compressed(engine: Deflater, message: Buffer, room: number): Buffer {
  const margin = Buffer.alloc(MARGIN, CANARY);
  const input = Buffer.concat([margin, message, margin]);
  const end = MARGIN + message.length;
  const pieces: Buffer[] = [];
  let from = MARGIN;
  for (let whole = false; !whole; from += engine.used) {
    const output = Buffer.alloc(room + 2 * MARGIN, CANARY);
    whole = engine.write(input, from, end, true, output, MARGIN, MARGIN + room);
    const { produced } = engine;
    ensure(
      output.every((byte, i) => byte === CANARY || (i >= MARGIN && i < MARGIN + produced)),
      'bytes outside the room are unchanged',
    );
    pieces.push(output.subarray(MARGIN, MARGIN + produced));
  }
  const stream = Buffer.concat(pieces);
  if (message.length === 0) return EMPTY;
  const stored = message.length + 10;
  ensure(stream.length <= stored, `${stream.length} bytes for ${message.length}`);
  ensure(stream.subarray(-TAIL.length).equals(TAIL), 'the message ends with a flush');
  return stream;
}
