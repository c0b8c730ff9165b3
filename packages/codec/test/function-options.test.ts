// Every function that a caller gives to the codec, with a function that throws, rejects, never
// settles, and returns nonsense: the call that uses it throws, and nothing is unhandled.

import { mine, nothingUnhandled, WRONG_FUNCTIONS, type Wrong, type WrongFunction } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  FrameDecoder,
  type FrameDecoderOptions,
  FrameEncoder,
  MaskKeys,
  NEED_MORE,
  type Slab,
  SlabPool,
  UTF8_ACCEPT,
  UTF8_REJECT,
  utf8Step,
} from '../src/index.ts';
import { bytes, flush } from './support.ts';

nothingUnhandled();

const encodes =
  (options: (wrong: WrongFunction) => object, role: 'client' | 'server' = 'server') =>
  (wrong: WrongFunction): void => {
    const encoder = new FrameEncoder({ role, ...options(wrong) });
    try {
      encoder.text(1, true, 0, 'ü'.repeat(200));
    } finally {
      expect(encoder.pending === 0 || flush(encoder).length > 0).toBe(true);
    }
  };

/** A pool whose slabs have `release`. */
const releasing = (release: WrongFunction): object => ({
  pool: {
    take: (minBytes: number): Slab => ({
      bytes: new Uint8Array(minBytes),
      release,
    }),
  },
});

const synchronous = (name: string): string => `${name} must be synchronous: it returned a promise`;
const promises = (name: string, nonsense: string | undefined): Record<Wrong, unknown> => ({
  throws: mine,
  rejects: synchronous(name),
  'never settles': synchronous(name),
  'returns nonsense': nonsense,
});

/** Uses the function; the error of that, or undefined where the result has no meaning. */
const uses: Record<string, readonly [(wrong: WrongFunction) => void, Record<Wrong, unknown>]> = {
  'FrameEncoder nextKey': [
    encodes((nextKey) => ({ nextKey }), 'client'),
    // The nonsense is a valid key.
    promises('nextKey', undefined),
  ],
  'FrameEncoder writeUtf8': [
    encodes((writeUtf8) => ({ writeUtf8 })),
    promises('writeUtf8', 'writeUtf8 must return the number of bytes it wrote'),
  ],
  'FrameEncoder pool.take': [
    encodes((take) => ({ pool: { take } })),
    promises('pool.take', 'pool.take must return a slab of at least'),
  ],
  'FrameEncoder frame release': [
    (release) => {
      new FrameEncoder({ role: 'client' }).frame(2, true, 0, bytes(10), 0, 10, release);
    },
    promises('release', undefined),
  ],
  'FrameEncoder discard, release of the pool': [
    (release) => {
      const encoder = new FrameEncoder({ role: 'server', ...releasing(release) });
      encoder.frame(2, true, 0, bytes(10));
      encoder.discard();
    },
    promises('release', undefined),
  ],
  'FrameDecoder pool.take': [
    (take) => {
      new FrameDecoder({ role: 'server', pool: { take: take as never } }).writable();
    },
    promises('pool.take', 'pool.take must return a slab of at least'),
  ],
  'FrameDecoder reset, release of the pool': [
    (release) => {
      const decoder = new FrameDecoder({ role: 'server', ...releasing(release) });
      decoder.writable();
      decoder.reset();
    },
    promises('release', undefined),
  ],
  'utf8Step isUtf8': [
    (isUtf8) => {
      const text = new TextEncoder().encode('ü'.repeat(100));
      // The text is valid, and a result other than true is no proof of that.
      const state = utf8Step(UTF8_ACCEPT, text, 0, text.length, isUtf8 as () => boolean);
      expect(state).toBe(UTF8_REJECT);
    },
    promises('isUtf8', undefined),
  ],
  'MaskKeys randomFill': [
    (fill) => void new MaskKeys(fill).next(),
    promises('randomFill', undefined),
  ],
};

describe.each(Object.entries(uses))('%s', (_, [use, outcomes]) => {
  it.each(Object.entries(outcomes) as [Wrong, unknown][])('that %s', (wrong, outcome) => {
    const call = (): void => use(WRONG_FUNCTIONS[wrong]);
    if (outcome === undefined) expect(call).not.toThrow();
    else expect(call).toThrow(outcome);
  });
});

describe('FrameDecoder with a pool whose release throws', () => {
  let fails = true;
  /** Slabs that are released, then throw. Their memory is filled: a decoder must not read it. */
  function failing(
    use: ConstructorParameters<typeof FrameDecoder>[1],
    options: Partial<FrameDecoderOptions> = {},
  ): { decoder: FrameDecoder; pool: SlabPool } {
    const pool = new SlabPool({ debug: false });
    fails = true;
    const take = (minBytes: number): Slab => {
      const slab = pool.take(minBytes);
      const { release } = slab;
      return {
        bytes: slab.bytes,
        release() {
          slab.bytes.fill(0xff);
          release();
          if (fails) throw mine;
        },
      };
    };
    return { decoder: new FrameDecoder({ role: 'client', pool: { take }, ...options }, use), pool };
  }

  function push(decoder: FrameDecoder, ...chunks: number[][]): void {
    for (const chunk of chunks) {
      decoder.push(Uint8Array.from(chunk));
      while (decoder.next() > NEED_MORE);
    }
  }

  it('stays failed when a fault frees its memory', () => {
    const { decoder, pool } = failing({});
    push(decoder, [0x82]);
    decoder.push(Uint8Array.of(0x85, 0x82, 0, 0x82, 0));
    expect(() => decoder.next()).toThrow(mine);
    expect(decoder.error?.faults).toEqual(['bad MASK']);
    expect(decoder.next()).toBe(FAILED);
    expect(pool.lent).toBe(0);
  });

  it('is new after reset', () => {
    const { decoder, pool } = failing({});
    push(decoder, [0x01, 0x01, 0x61], [0x82]);
    expect(() => decoder.reset()).toThrow(mine);
    expect(pool.lent).toBe(0);
    decoder.push(Uint8Array.of(0x82, 0x01, 0x07));
    expect(decoder.next()).toBe(FRAME);
    expect(decoder.buf[decoder.start]).toBe(7);
  });

  it.each([
    ['with payload', [0x03, 0x82, 0x00], [FRAME_BEGIN, FRAME_DATA, NEED_MORE], [0x00]],
    ['without payload', [0x03], [FRAME_BEGIN, NEED_MORE], [0x82, 0x00, 0x00]],
  ])(
    'reports the frame of a header %s, and reads no payload as a header',
    (_, chunk, events, rest) => {
      const { decoder } = failing({ holdLimit: 0 });
      push(decoder, [0x82]);
      decoder.push(Uint8Array.from(chunk));
      expect(() => decoder.next()).toThrow(mine);
      expect(() => decoder.push(Uint8Array.of(0))).toThrow('events are pending');
      expect(events.map(() => decoder.next())).toEqual(events);
      expect([decoder.opcode, decoder.length]).toEqual([2, 3]);
      push(decoder, rest);
      expect([decoder.error, decoder.atFrameBoundary]).toEqual([undefined, true]);
    },
  );

  it('reports the begin of a frame with a 64-bit length, whose payload is whole', () => {
    const { decoder } = failing({ holdLimit: 0 });
    push(decoder, [0x82]);
    decoder.push(new Uint8Array(9 + 65_536).fill(0).with(0, 127).with(6, 1));
    expect(() => decoder.next()).toThrow(mine);
    const events = [FRAME_BEGIN, FRAME_DATA, FRAME_END, NEED_MORE];
    expect(events.map(() => decoder.next())).toEqual(events);
  });

  it('keeps the tail when the memory for reading grows', () => {
    const { decoder, pool } = failing({}, { readBufferSize: 1 });
    const place = decoder.writable();
    const { length } = place;
    place.fill(0);
    // One frame fills the place except for one byte, the first of the next frame.
    place.set([0x82, 126, (length - 5) >> 8, (length - 5) & 255]);
    place[length - 1] = 0x81;
    decoder.commit(length);
    expect(decoder.next()).toBe(FRAME);
    expect(decoder.next()).toBe(NEED_MORE);
    expect(() => decoder.writable()).toThrow(mine);
    expect(pool.lent).toBe(1);
    fails = false;
    decoder.writable().set([0x01, 0x61]);
    decoder.commit(2);
    expect([decoder.next(), decoder.opcode, decoder.buf[decoder.start]]).toEqual([FRAME, 1, 0x61]);
    decoder.reset();
    expect(pool.lent).toBe(0);
  });
});
