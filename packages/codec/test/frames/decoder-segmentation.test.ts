import { FrameDecoder, type Role, SlabPool } from '@ws/codec';
import { naiveDecode, naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { withoutSimd } from '../../src/masking/simd.ts';
import { bytes, cut, Feeder, type Frame, join } from '../support.ts';

const modes = ['push', 'commit', 'mixed'] as const;
const holdLimits = [0, 125, 4112];

/** All tests share them: a pool keeps slabs of the thread's SIMD memory for reuse. */
const pools = {
  simd: new SlabPool({ debug: true, simd: true }),
  ordinary: new SlabPool({ debug: true, simd: false }),
};

/** A short stream with every kind of frame, and every form of length but the longest. */
function shortStream(role: Role): Uint8Array {
  const mask = (key: number): object => (role === 'server' ? { mask: key } : {});
  return join([
    naiveEncode(1, bytes(5), { fin: false, rsv: 0x40, ...mask(0x01020304) }),
    naiveEncode(9, bytes(3), mask(0xff00ff00)),
    naiveEncode(0, bytes(0), { fin: false, ...mask(7) }),
    naiveEncode(0, bytes(130), mask(0x9abcdef0)),
    naiveEncode(2, bytes(0), mask(0)),
    naiveEncode(8, bytes(2), mask(1)),
  ]);
}

/** Decodes pieces and expects the naive decoder's result for the whole. */
function compare(
  pieces: readonly Uint8Array[],
  role: Role,
  mode: (typeof modes)[number],
  options: { holdLimit: number; simd?: boolean; maxFramePayload?: number },
): void {
  const decode = () => compareNow(pieces, role, mode, options);
  if (options.simd ?? true) decode();
  else withoutSimd(decode);
}

function compareNow(
  pieces: readonly Uint8Array[],
  role: Role,
  mode: (typeof modes)[number],
  { holdLimit, simd = true, maxFramePayload = Infinity }: Parameters<typeof compare>[3],
): void {
  const naive = naiveDecode(join(pieces), role, { allowedRsv: 0x40, maxFramePayload });
  const pool = simd ? pools.simd : pools.ordinary;
  const { lent } = pool;
  const decoder = new FrameDecoder(
    { role, allowedRsv: 0x40, pool, maxFramePayload },
    { holdLimit },
  );
  const feeder = new Feeder(decoder, mode);
  for (const piece of pieces) feeder.feed(piece);
  const facts = ({ opcode, fin, rsv }: Frame): object => ({ opcode, fin, rsv });
  expect(feeder.frames.map(facts)).toEqual(naive.frames.map(facts));
  // toEqual is a thousand times slower for large arrays.
  feeder.frames.forEach(({ payload }, i) => {
    expect(Buffer.compare(payload, naive.frames[i]!.payload)).toBe(0);
  });
  expect(feeder.failed).toBe(naive.failure !== undefined);
  expect(decoder.error?.closeCode).toBe(naive.failure?.closeCode);
  if (!feeder.failed) expect(decoder.atFrameBoundary).toBe(naive.held === 0);
  decoder.reset();
  expect(pool.lent).toBe(lent);
}

describe.each(['server', 'client'] as const)('FrameDecoder as a %s', (role) => {
  const stream = shortStream(role);

  it.each(holdLimits)('reads the same at every single cut, holdLimit %d', (holdLimit) => {
    for (const mode of modes) {
      for (let at = 0; at <= stream.length; at++) {
        compare(cut(stream, [at]), role, mode, { holdLimit });
      }
    }
  });

  it('reads the same at every pair of cuts, with each way and holdLimit in turn', () => {
    const expected = naiveDecode(stream, role, { allowedRsv: 0x40 }).frames.map((f) => f.payload);
    for (let a = 0; a <= stream.length; a++) {
      for (let b = a; b <= stream.length; b++) {
        const holdLimit = holdLimits[b % 3]!;
        const decoder = new FrameDecoder({ role, allowedRsv: 0x40 }, { holdLimit });
        const feeder = new Feeder(decoder, modes[(a + b) % 3]);
        for (const piece of cut(stream, [a, b])) feeder.feed(piece);
        decoder.reset();
        const same = feeder.frames.every((f, i) => Buffer.compare(f.payload, expected[i]!) === 0);
        if (!same || feeder.frames.length !== expected.length) expect([a, b]).toEqual('no matter');
      }
    }
  });

  it.each(modes)('reads the same byte by byte, by %s', (mode) => {
    for (const holdLimit of holdLimits) {
      compare(
        Array.from(stream, (byte) => Uint8Array.of(byte)),
        role,
        mode,
        { holdLimit },
      );
    }
  });
});

describe('a frame with a 64-bit length', () => {
  it.each([1, 8, 20, 28, 29])('is incomplete while its last %d bytes are missing', (missing) => {
    const wire = naiveEncode(2, bytes(65536), { mask: 0x37fa213d });
    compare([wire.subarray(0, -missing)], 'server', 'push', { holdLimit: 0 });
    compare(cut(wire, [wire.length - missing]), 'server', 'push', { holdLimit: 0 });
  });
});

describe('several decoders', () => {
  it('are independent, also when one is fed inside the other', () => {
    const wire = join(
      Array.from({ length: 40 }, (_, i) => naiveEncode(2, bytes(i * 37, i), { mask: i * 77 })),
    );
    const inner = new Feeder(new FrameDecoder({ role: 'server' }));
    const outer = new FrameDecoder({ role: 'server' });
    const twin = new Feeder(outer);
    let at = 0;
    for (let i = 0; i < wire.length; i += 97) {
      outer.push(wire.slice(i, i + 97));
      while (outer.next() !== 0) {
        const { opcode, fin, rsv, buf, start, end } = outer;
        inner.feed(wire.slice(at, (at += 61)));
        twin.frames.push({ opcode, fin, rsv, payload: buf.slice(start, end) });
      }
    }
    inner.feed(wire.slice(at));
    const expected = naiveDecode(wire, 'server').frames.map((frame) => frame.payload);
    expect(twin.frames.map((frame) => frame.payload)).toEqual(expected);
    expect(inner.frames.map((frame) => frame.payload)).toEqual(expected);
  });
});
