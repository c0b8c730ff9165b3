import { FixedDeflater, roomToDeflate } from '@ws/conn/internal';
import { pakoInflate } from '@ws/tests';
import { Input } from '../harness/input.ts';
import { bytesOf, ensure, ensureSame, type Target } from '../harness/target.ts';
import { inflateMessage } from '../oracles/inflate.ts';

/** Bytes around the output. */
const MARGIN = 16;
const CANARY = 0xa5;
const TAIL = Uint8Array.of(0x00, 0x00, 0xff, 0xff);
const NOTHING = Buffer.alloc(0);

/** Inflates each message of a FixedDeflater alone, in its window. */
export function fixedDeflater(
  create: (base: number) => Pick<FixedDeflater, 'deflate'> = (base) => new FixedDeflater(base),
): Target {
  return {
    name: 'fixed-deflater',
    description: 'zlib and pako inflate each message alone; none is larger than in stored blocks',
    covers: ['packages/conn/src/deflate/fixed-deflater.ts'],
    maxLength: 600,
    dictionary: bytesOf('aaa', 'abcabc', [0, 0, 0, 0], [0xff, 0xfe, 0xfd]),
    separators: [],
    seeds: bytesOf(
      // Window, position, then messages: a unit, repetitions, a gap.
      [7, 0, 0, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0, 0, 0],
      [7, 2, 1, 9, ...Buffer.from('one two 3'), 4, 0, 0, 3, ...Buffer.from('two'), 1, 9, 1],
      [7, 7, 1, 200, ...Buffer.alloc(200, 'abcdefghij'), 1, 100, 9],
    ),
    run(input) {
      const read = new Input(input);
      const windowBits = 8 + (read.byte() % 8);
      // With the second base, the positions start again after some bytes.
      const deflater = create(read.pick([1, 2 ** 31 - 1 - 16 * read.byte()]));
      while (!read.done) checkMessage(deflater, messageOf(read), windowBits);
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

function checkMessage(
  deflater: Pick<FixedDeflater, 'deflate'>,
  message: Buffer,
  windowBits: number,
): void {
  const input = Buffer.concat([Buffer.alloc(MARGIN, CANARY), message]);
  const room = roomToDeflate(message.length);
  const output = Buffer.alloc(room + MARGIN, CANARY);
  const size = deflater.deflate(input, MARGIN, input.length, output, windowBits);
  ensure(
    output.subarray(room).every((byte) => byte === CANARY),
    'bytes after the room are unchanged',
  );
  const stored = message.length + 5 * Math.ceil(message.length / 65_535) + 1;
  ensure(size > 0 && size <= stored, `${size} bytes for ${message.length}`);
  const payload = output.subarray(0, size);
  const plain = inflateMessage(payload, NOTHING);
  ensure(typeof plain === 'object' && plain.complete === 'yes', 'zlib inflates the message');
  ensure(plain.bytes.equals(message), 'zlib inflates to the same bytes');
  const byPako = pakoInflate(Buffer.concat([payload, TAIL]), NOTHING, windowBits);
  ensureSame(byPako.equals(message), true, `window of ${windowBits} bits`);
}
