import { naiveEncode, toHex } from '@ws/tests';
import fc from 'fast-check';

// Streams of mostly valid frames in a valid order, with sizes around limits, rarely with a fault.

/** Sizes around the limits of length forms, of the hold limit and of the kernels. */
const size = fc.oneof(
  { weight: 12, arbitrary: fc.nat(40) },
  { weight: 4, arbitrary: fc.integer({ min: 120, max: 130 }) },
  { weight: 2, arbitrary: fc.nat(2000) },
  { weight: 2, arbitrary: fc.integer({ min: 4085, max: 4125 }) },
  { weight: 1, arbitrary: fc.integer({ min: 65_530, max: 65_545 }) },
);

const key = fc.oneof(fc.integer(), fc.constant(0));

/** A payload made from a length and one number: cheap to generate and to shrink. */
export const payload: fc.Arbitrary<Uint8Array> = fc
  .tuple(size, fc.nat(255))
  .map(([length, first]) => new Uint8Array(length).map((_, i) => first + i * 7));

type Maker = (masked: boolean, open: boolean) => { bytes: Uint8Array; open: boolean };

const data: fc.Arbitrary<Maker> = fc
  .record({
    type: fc.constantFrom(1, 2),
    fin: fc.boolean(),
    rsv: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.constantFrom(0x40, 0x20, 0x10)),
    payload,
    key,
  })
  .map(({ type, fin, rsv, payload, key }) => (masked, open) => ({
    bytes: naiveEncode(open ? 0 : type, payload, {
      fin,
      rsv: open ? 0 : rsv,
      ...(masked ? { mask: key } : {}),
    }),
    open: !fin,
  }));

const control: fc.Arbitrary<Maker> = fc
  .record({ opcode: fc.constantFrom(8, 9, 10), length: fc.nat(125), key })
  .map(({ opcode, length, key }) => (masked, open) => ({
    bytes: naiveEncode(opcode, new Uint8Array(length).fill(0x61), masked ? { mask: key } : {}),
    open,
  }));

/** Any header bits and any length form. */
const broken: fc.Arbitrary<Maker> = fc
  .record({
    opcode: fc.nat(15),
    fin: fc.boolean(),
    rsv: fc.nat(7),
    length: fc.nat(300),
    lengthBits: fc.constantFrom(undefined, 16 as const, 64 as const),
    flipMask: fc.boolean(),
    key,
  })
  .map(({ opcode, fin, rsv, length, lengthBits, flipMask, key }) => (masked, open) => ({
    bytes: naiveEncode(opcode, new Uint8Array(length), {
      fin,
      rsv: rsv << 4,
      ...(lengthBits === undefined ? {} : { lengthBits }),
      ...(masked === flipMask ? {} : { mask: key }),
    }),
    open: opcode < 3 ? !fin : open,
  }));

/** A header with any 64-bit length, and some bytes of payload. */
const huge: fc.Arbitrary<Maker> = fc
  .record({
    length: fc.oneof(
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      fc.constantFrom(65_535n, (1n << 53n) - 1n, 1n << 53n, (1n << 63n) - 1n, 1n << 63n),
    ),
    rest: fc.uint8Array({ maxLength: 40 }),
  })
  .map(({ length, rest }) => (masked, open) => {
    const bytes = new Uint8Array(10 + rest.length);
    bytes[0] = open ? 0x80 : 0x82;
    bytes[1] = masked ? 0xff : 0x7f;
    new DataView(bytes.buffer).setBigUint64(2, length);
    bytes.set(rest, 10);
    return { bytes, open: false };
  });

const noise: fc.Arbitrary<Maker> = fc
  .uint8Array({ maxLength: 30 })
  .map((bytes) => (_, open) => ({ bytes, open }));

const frames = fc.array(
  fc.oneof(
    { weight: 30, arbitrary: data },
    { weight: 10, arbitrary: control },
    { weight: 1, arbitrary: broken },
    { weight: 1, arbitrary: huge },
    { weight: 1, arbitrary: noise },
  ),
  { maxLength: 12 },
);

/** A stream for each role: the same frames, masked and unmasked. */
export interface Stream {
  readonly masked: Uint8Array;
  readonly unmasked: Uint8Array;
}

/** A sequence of frames. Sometimes the last one is cut off. */
export const stream: fc.Arbitrary<Stream> = fc
  .tuple(frames, fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(20)))
  .map(([makers, cut]) => {
    const make = (masked: boolean): Uint8Array => {
      const pieces: Uint8Array[] = [];
      let open = false;
      for (const maker of makers) {
        const made = maker(masked, open);
        pieces.push(made.bytes);
        open = made.open;
      }
      const whole = Buffer.concat(pieces);
      return Uint8Array.from(whole.subarray(0, Math.max(0, whole.length - cut)));
    };
    const bytes = { masked: make(true), unmasked: make(false) };
    // The format of the files in broken/.
    const print = (): string => `masked ${toHex(bytes.masked)} | unmasked ${toHex(bytes.unmasked)}`;
    return { ...bytes, [fc.toStringMethod]: print };
  });

/** Lengths of the chunks of a stream. Repeats. */
export const cuts: fc.Arbitrary<number[]> = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5000 }), fc.constant(65_536)),
  { minLength: 1, maxLength: 6 },
);

/** Copies `bytes` in chunks, at most about 400: the oracle reads all bytes after each chunk. */
export function* chunksOf(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  const least = Math.ceil(bytes.length / 400);
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = at + Math.max(least, lengths[i % lengths.length]!);
    yield bytes.slice(at, end);
    at = end;
  }
}
