import { FrameEncoder, SlabPool } from '@ws/codec';
import { naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  bytes,
  chunksOf,
  flush,
  join,
  encoderOf as make,
  naiveFrame as naive,
  expectSame as same,
} from '../support.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** All tests share them: a pool keeps slabs of the thread's SIMD memory for reuse. */
const pools = {
  simd: new SlabPool({ debug: true, simd: true }),
  ordinary: new SlabPool({ debug: true, simd: false }),
};

describe.each(['server', 'client'] as const)('FrameEncoder as a %s', (role) => {
  const borders = [0, 1, 8, 16, 17, 24, 25, 125, 126, 127, 4082, 4096, 65521, 65522, 65523, 65526];

  it.each([...borders, 65535, 65536, 65537, 131_072, 200_003])(
    'encodes %d bytes as the naive encoder does, alone and after others',
    (length) => {
      for (const pool of [pools.simd, pools.ordinary]) {
        const encoder = make(role, { pool });
        const payload = bytes(length);
        const expected = naive(role, 2, payload);
        expect(encoder.frame(2, true, 0, payload)).toBe(expected.length);
        expect(encoder.pending).toBe(expected.length);
        same(flush(encoder), expected);
        encoder.frame(9, true, 0, bytes(3));
        encoder.frame(2, true, 0, payload);
        encoder.frame(2, true, 0, payload);
        same(flush(encoder), join([naive(role, 9, bytes(3)), expected, expected]));
        expect(encoder.pending).toBe(0);
        expect(pool.lent).toBe(0);
        same(payload, bytes(length));
      }
    },
  );

  it('writes fin, the reserved bits and a part of the payload', () => {
    const encoder = make(role);
    encoder.frame(1, false, 0x40, bytes(20), 5, 9);
    encoder.frame(0, true, 0x30, bytes(200), 100, 199);
    encoder.frame(2, true, 0, bytes(20), 5, 9);
    encoder.frame(9, true, 0, bytes(300), 100, 225);
    for (const text of ['part', 'é'.repeat(63)]) encoder.text(1, false, 0x40, text);
    const parts = [
      naive(role, 1, bytes(20).slice(5, 9), { fin: false, rsv: 0x40 }),
      naive(role, 0, bytes(200).slice(100, 199), { rsv: 0x30 }),
      naive(role, 2, bytes(20).slice(5, 9)),
      naive(role, 9, bytes(300).slice(100, 225)),
      naive(role, 1, 'part', { fin: false, rsv: 0x40 }),
      naive(role, 1, 'é'.repeat(63), { fin: false, rsv: 0x40 }),
    ];
    same(flush(encoder), join(parts));
  });

  it.each([
    [0, 1.5],
    [0.5, 2],
    [0.5, 1.5],
    [-0.5, 1],
    [Number.NaN, 1],
    ['0', 1],
  ])('rejects the range [%s, %s), in a new slab and after another frame', (start, end) => {
    const encoder = make(role);
    const append = (): unknown => encoder.frame(2, true, 0, bytes(5), start as number, end);
    expect(append).toThrow(RangeError);
    expect(encoder.pending).toBe(0);
    encoder.frame(2, true, 0, bytes(5));
    expect(append).toThrow(RangeError);
    same(flush(encoder), naive(role, 2, bytes(5)));
  });

  it('fills a slab to its last byte, and takes another for the next', () => {
    const pool = pools.simd;
    const encoder = make(role, { pool });
    const frames = [bytes(60_000), bytes(65536 - 60_000 - (role === 'client' ? 16 : 8)), bytes(0)];
    for (const payload of frames) encoder.frame(2, true, 0, payload);
    expect(pool.lent).toBe(2);
    const chunks = chunksOf(encoder);
    expect(chunks.map(({ length }) => length)).toEqual([65536, role === 'client' ? 6 : 2]);
    same(join(chunks), join(frames.map((payload) => naive(role, 2, payload))));
    encoder.frame(2, true, 0, frames[0]!);
    encoder.frame(2, true, 0, frames[1]!.subarray(1));
    encoder.frame(9, true, 0, bytes(0));
    expect(pool.lent).toBe(2);
    encoder.discard();
    expect(pool.lent).toBe(0);
  });

  it('writes no byte after its slab, for any room left', () => {
    const pool = new SlabPool();
    const around = Array.from({ length: 4 }, () => pool.take(65536));
    around[2]!.release();
    const others = [0, 1, 3].map((i) => around[i]!.bytes.fill(0x5a));
    const encoder = make(role, { pool });
    for (let length = 0; length < 40; length++) {
      const rest = [bytes(300), bytes(length)];
      const wire = rest.map((payload) => naive(role, 2, payload));
      const first = bytes(65536 - (role === 'client' ? 8 : 4) - join(wire).length, length);
      for (const payload of [first, ...rest]) encoder.frame(2, true, 0, payload);
      expect(encoder.pending).toBe(65536);
      const chunks = chunksOf(encoder);
      expect(chunks.length).toBe(1);
      same(chunks[0]!, join([naive(role, 2, first), ...wire]));
    }
    for (const other of others) expect(other.every((byte) => byte === 0x5a)).toBe(true);
  });

  it.each([
    { behind: 'nothing', before: [] },
    { behind: 'a frame, where a slab has room', before: [bytes(1)] },
  ])('rejects invalid frames, and appends no byte after $behind', ({ before }) => {
    const pool = new SlabPool();
    const encoder = make(role, { pool });
    for (const payload of before) encoder.frame(2, true, 0, payload);
    const { pending } = encoder;
    const frame = encoder.frame.bind(encoder) as (...args: unknown[]) => number;
    const text = encoder.text.bind(encoder) as (...args: unknown[]) => number;
    expect(() => frame(16, true, 0, bytes(1))).toThrow('opcode');
    expect(() => frame(Number.NaN, true, 0, bytes(1))).toThrow(RangeError);
    expect(() => frame(31, true, 0, bytes(1))).toThrow('opcode');
    expect(() => frame(1, true, 1, bytes(1))).toThrow('rsv');
    expect(() => frame(1, true, 0xf0, bytes(1))).toThrow('rsv');
    expect(() => frame(9, true, 0, bytes(126))).toThrow(
      new RangeError('the payload of a control frame has at most 125 bytes'),
    );
    expect(() => frame(8, false, 0, bytes(1))).toThrow(
      new RangeError('a control frame must not be fragmented'),
    );
    expect(() => frame(2, true, 0, 'text')).toThrow(TypeError);
    expect(() => frame(2, true, 0, bytes(4), 2, 5)).toThrow(RangeError);
    expect(() => frame(2, true, 0, bytes(4), 3, 2)).toThrow(RangeError);
    expect(() => frame(2, true, 0, bytes(4), Number.NaN)).toThrow(RangeError);
    expect(() => frame(2, true, 0, bytes(4), -1)).toThrow(RangeError);
    expect(() => frame(2, true, 0, bytes(4), 0, Number.NaN)).toThrow(RangeError);
    expect(() => frame(2, true, 0, new Int8Array(4))).toThrow(TypeError);
    expect(() => frame(2, true, 0, [1, 2, 3])).toThrow(TypeError);
    expect(() => frame(2, true, 0, undefined, 0, 1)).toThrow(TypeError);
    expect(() => text(1, true, 0, bytes(1))).toThrow(new TypeError('text must be a string'));
    expect(() => text(16, true, 0, 'x')).toThrow('opcode');
    expect(() => text(9, false, 0, 'x')).toThrow('fragmented');
    expect(() => text(9, true, 0, 'x'.repeat(126))).toThrow('at most 125');
    for (const opcode of [8, 9, 15]) {
      expect(() => text(opcode, true, 0, 'é'.repeat(63))).toThrow('at most 125');
      expect(() => frame(opcode, true, 0, bytes(126))).toThrow('at most 125');
    }
    expect(encoder.pending).toBe(pending);
    expect(pool.lent).toBe(before.length);
    encoder.text(10, true, 0, 'é'.repeat(62));
    const all = before.map((payload) => naive(role, 2, payload));
    same(flush(encoder), join([...all, naive(role, 10, utf8('é'.repeat(62)))]));
  });
});

describe('FrameEncoder chunks', () => {
  it('release a copied payload at once', () => {
    const encoder = make('client');
    let released = 0;
    encoder.frame(2, true, 0, bytes(10), 0, 10, () => released++);
    encoder.frame(2, true, 0, bytes(70_000), 0, 70_000, () => released++);
    expect(released).toBe(2);
    encoder.discard();
    expect(released).toBe(2);
  });

  it('borrow from the requested size on', () => {
    const encoder = make('server', { borrowFrom: 100 });
    const [small, large] = [bytes(100), bytes(101)];
    encoder.frame(2, true, 0, small);
    encoder.frame(2, true, 0, large);
    const buffers: unknown[] = [];
    const chunks: Uint8Array[] = [];
    encoder.flush((chunk) => {
      buffers.push(chunk.buffer);
      chunks.push(chunk);
    });
    expect([buffers.length, buffers[1]]).toEqual([2, large.buffer]);
    same(join(chunks), join([naive('server', 2, small), naive('server', 2, large)]));
  });

  it('stay unchanged until their release, while later frames are encoded', () => {
    for (const role of ['server', 'client'] as const) {
      const pool = pools.simd;
      const encoder = make(role, { pool });
      const held: { chunk: Uint8Array; release: () => void }[] = [];
      for (let i = 0; i < 200; i++) {
        encoder.frame(2, true, 0, bytes(1_000, i));
        encoder.flush((chunk, release) => held.push({ chunk, release }));
      }
      for (const [i, { chunk }] of held.entries()) same(chunk, naive(role, 2, bytes(1_000, i)));
      for (const { release } of held) release();
      expect(pool.lent).toBe(0);
    }
  });

  it('are dropped and released by discard', () => {
    const pool = pools.simd;
    const encoder = make('server', { pool });
    let released = 0;
    encoder.frame(2, true, 0, bytes(10));
    encoder.frame(2, true, 0, bytes(70_000), 0, 70_000, () => released++);
    encoder.frame(2, true, 0, bytes(10));
    encoder.discard();
    expect({ released, lent: pool.lent, pending: encoder.pending }).toEqual({
      released: 1,
      lent: 0,
      pending: 0,
    });
    encoder.discard();
    encoder.text(1, true, 0, 'again');
    same(flush(encoder), naive('server', 1, utf8('again')));
  });

  it('do not contain a copied payload whose release throws', () => {
    const pool = pools.simd;
    for (const before of [[], [bytes(3)]]) {
      const encoder = make('client', { pool });
      for (const payload of before) encoder.frame(9, true, 0, payload);
      const { pending } = encoder;
      for (const length of [20, 200_000]) {
        const release = (): never => {
          throw new Error('not mine');
        };
        const append = (): unknown => encoder.frame(2, true, 0, bytes(length), 0, length, release);
        expect(append).toThrow('not mine');
        expect([encoder.pending, pool.lent]).toEqual([pending, before.length]);
      }
      same(flush(encoder), join(before.map((payload) => naive('client', 9, payload))));
    }
  });
});

describe('FrameEncoder with a pool that fails', () => {
  it.each([
    { of: 'bytes', before: 0, append: (e: FrameEncoder) => e.frame(2, true, 0, bytes(200_000)) },
    { of: 'bytes', before: 9, append: (e: FrameEncoder) => e.frame(2, true, 0, bytes(200_000)) },
    { of: 'bytes', before: 9, append: (e: FrameEncoder) => e.frame(2, true, 0, bytes(20_000)) },
    { of: 'text', before: 0, append: (e: FrameEncoder) => e.text(1, true, 0, 'ä'.repeat(99_000)) },
    { of: 'text', before: 9, append: (e: FrameEncoder) => e.text(1, true, 0, 'ä'.repeat(99_000)) },
    { of: 'text', before: 9, append: (e: FrameEncoder) => e.text(1, true, 0, 'ä'.repeat(9_000)) },
  ])('appends no byte of $of after $before frames', ({ of, before, append }) => {
    const lender = new SlabPool();
    let left = Infinity;
    const pool = {
      take(least: number) {
        if (left-- === 0) throw new Error('no slab');
        return lender.take(least);
      },
    };
    const encoder = new FrameEncoder({ role: 'client', pool, borrowFrom: Infinity });
    // A long text may need more memory than it has units.
    for (let slabs = 0; slabs < (of === 'text' && before === 0 ? 2 : 1); slabs++) {
      for (let i = 0; i < before; i++) encoder.frame(2, true, 0, bytes(i));
      const { pending } = encoder;
      left = slabs;
      expect(() => append(encoder)).toThrow('no slab');
      expect(encoder.pending).toBe(pending);
      left = Infinity;
      encoder.frame(2, true, 0, bytes(70));
      const { frames } = naiveDecode(flush(encoder), 'server');
      const lengths = frames.map(({ payload }) => payload.length);
      expect(lengths).toEqual([...Array.from({ length: before }, (_, i) => i), 70]);
      expect(lender.lent).toBe(0);
    }
  });
});

describe('FrameEncoder options', () => {
  it('leases slabs of the requested size first, and larger ones during a large turn and for some turns after it', () => {
    const sizes: number[] = [];
    const pool = new SlabPool();
    const source = {
      take(least: number) {
        const slab = pool.take(least);
        sizes.push(slab.bytes.length);
        return slab;
      },
    };
    const encoder = make('server', { pool: source });
    for (let i = 0; i < 700; i++) encoder.frame(2, true, 0, bytes(100));
    flush(encoder);
    expect(sizes.splice(0)).toEqual([4096, 16384, 65536, 65536]);
    for (let turn = 0; turn < 5; turn++) {
      encoder.frame(2, true, 0, bytes(100));
      flush(encoder);
    }
    expect(sizes).toEqual([65536, 16384, 16384, 4096, 4096]);
    expect(pool.lent).toBe(0);
  });

  it('works with slabs at any offset and without cached views', () => {
    const source = {
      take: (least: number) => ({
        bytes: new Uint8Array(Math.max(least, 1000) + 13).subarray(13),
        release: () => {},
      }),
    };
    const encoder = make('client', { pool: source });
    const payloads = [bytes(20), bytes(200), bytes(3000), bytes(70_000)];
    for (const payload of payloads) encoder.frame(2, true, 0, payload);
    same(flush(encoder), join(payloads.map((payload) => naive('client', 2, payload))));
  });

  it('uses a new key for every frame', () => {
    const encoder = new FrameEncoder({ role: 'client' });
    for (let i = 0; i < 50; i++) encoder.frame(2, true, 0, bytes(0));
    const wire = flush(encoder);
    const keys = Array.from({ length: 50 }, (_, i) => wire.slice(i * 6 + 2, i * 6 + 6).join());
    expect(new Set(keys).size).toBe(50);
  });

  it('uses the given writer of text', () => {
    const calls: string[] = [];
    const encoder = make('server', {
      writeUtf8(into: Uint8Array, at: number, text: string) {
        calls.push(text);
        return new TextEncoder().encodeInto(text, into.subarray(at)).written;
      },
    });
    encoder.text(1, true, 0, 'ä');
    encoder.text(1, true, 0, 'x'.repeat(17));
    encoder.text(1, true, 0, 'short');
    encoder.text(1, true, 0, 'x'.repeat(16));
    expect(calls).toEqual(['ä', 'x'.repeat(17)]);
    expect(naiveDecode(flush(encoder), 'client').frames.length).toBe(4);
  });

  it.each([
    [{ role: 'peer' }, TypeError, 'role'],
    [{ slabBytes: 0 }, RangeError, 'slabBytes'],
    [{ slabBytes: Number.NaN }, RangeError, 'slabBytes'],
    [{ borrowFrom: -1 }, RangeError, 'borrowFrom'],
    [{ borrowFrom: Number.NaN }, RangeError, 'borrowFrom'],
    [{ nextKey: 5 }, TypeError, 'nextKey'],
    [{ writeUtf8: 'utf8' }, TypeError, 'writeUtf8'],
  ])('rejects %o by its name', (options, type, name) => {
    const create = (): unknown => new FrameEncoder({ role: 'server', ...options } as never);
    expect(create).toThrow(type);
    expect(create).toThrow(new RegExp(`^${name}(: expected| must be) `));
  });
});
