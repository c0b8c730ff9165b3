import { type History, InflateCorrupt, InflateDone, InflateMore } from '@ws/conn';
import type { Engines } from './engines.ts';

/** Room for a part of the text. */
const ROOM = 500;

/**
 * Tries everything that is asked of engines, once: a millisecond or two of code that is not warm yet.
 *
 * @throws Error when something is not as it should be.
 */
export function selfTest({ inflater, deflater }: Engines): void {
  const plain = new Uint8Array(600).map((_, i) => 97 + ((i * i) % 23));
  const history: History = {
    length: plain.length,
    copyTo: (into, at) => into.set(plain, at),
  };
  const packed = new Uint8Array(1024);
  const output = new Uint8Array(1024);
  const inflate = inflater();
  const deflate = deflater(1, 15);
  try {
    for (const context of [undefined, undefined, history, undefined, history]) {
      output.fill(0);
      deflate.reset(context);
      const whole = deflate.write(plain, 0, plain.length, true, packed, 0, packed.length);
      const size = deflate.produced - 4;
      expect(whole && deflate.used === plain.length && size > 0, 'deflates');

      // Into a room that is too small, and on behind it.
      inflate.limit = plain.length;
      inflate.reset(context);
      const first = inflate.write(packed, 0, size, true, output, 0, ROOM);
      expect(first === InflateMore && inflate.produced === ROOM, 'stops where the room ends');
      const rest = inflate.write(packed, inflate.used, size, true, output, ROOM, output.length);
      expect(rest === InflateDone && ROOM + inflate.produced === plain.length, 'goes on');
      expect(
        plain.every((byte, i) => output[i] === byte),
        'inflates to the same',
      );

      inflate.limit = plain.length;

      inflate.reset(context);
      const cut = inflate.write(packed, 0, size - 1, true, output, 0, output.length);
      expect(cut === InflateCorrupt, 'finds what is cut off');
      inflate.limit = plain.length;
      inflate.reset(context);
      // A block of a type that does not exist (RFC 1951, section 3.2.3).
      packed[0] = 0x07;
      const broken = inflate.write(packed, 0, size, true, output, 0, output.length);
      expect(broken === InflateCorrupt, 'finds what is broken');
    }
  } finally {
    inflate.close();
    deflate.close();
  }
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(`zlib by its handle: a test whether it ${what} has failed`);
}
