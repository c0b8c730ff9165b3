import { afterEach, describe, expect, it, vi } from 'vitest';
import { HEADROOM, SimdBlocks } from '../../src/masking/simd-blocks.ts';

// Node's types without those of browsers have it as a namespace only.
const { WebAssembly: real } = globalThis as unknown as {
  WebAssembly: {
    Memory: new (descriptor: object) => object;
    Module: unknown;
    Instance: unknown;
    CompileError: new (message: string) => Error;
  };
};

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

describe('simd', () => {
  it('creates one memory per thread, when it is first asked', async () => {
    const memories: unknown[] = [];
    const { Memory, Module, Instance } = real;
    class Counting extends Memory {
      constructor(descriptor: object) {
        super(descriptor);
        memories.push(descriptor);
      }
    }
    vi.stubGlobal('WebAssembly', { Memory: Counting, Module, Instance });
    const { simd } = await import('../../src/masking/simd.ts');
    expect(memories).toEqual([]);
    expect(simd()).toBe(simd());
    expect(memories).toEqual([{ initial: 1034, maximum: 1034 }]);
  });

  it.each([
    [16_384, 32],
    [65_536, 96],
    [1_048_576, 96],
  ])('starts no block of %d bytes in the first %d of a 4 KiB page', async (size, least) => {
    const { simd } = await import('../../src/masking/simd.ts');
    const { blocks } = simd()!;
    const leased: Uint8Array[] = [];
    for (let block; leased.length < 300 && (block = blocks.acquire(size)) !== undefined; ) {
      leased.push(block);
    }
    expect(leased.length).toBeGreaterThan(60);
    const offsets = leased.map(({ byteOffset }) => byteOffset % 4096);
    expect(Math.min(...offsets)).toBeGreaterThanOrEqual(least);
    for (const block of leased) blocks.release(block);
  });

  it('has one read buffer, apart from the blocks', async () => {
    const { simd, simdReadBuffer } = await import('../../src/masking/simd.ts');
    const buffer = simdReadBuffer()!;
    expect(simdReadBuffer()).toBe(buffer);
    expect(buffer.length).toBe(256 * 1024);
    const { blocks } = simd()!;
    const whole = blocks.acquire(64 * 1024 * 1024)!;
    expect(whole.byteOffset - 16).toBeGreaterThanOrEqual(buffer.byteOffset + buffer.length);
    blocks.release(whole);
  });

  it.each([
    { says: 'there is no WebAssembly', stub: undefined },
    {
      says: 'memory is refused',
      stub: {
        Memory: function refuse() {
          throw new RangeError('could not allocate memory');
        },
      },
    },
    {
      says: 'SIMD is unknown',
      stub: {
        Memory: real.Memory,
        Module: function refuse() {
          throw new real.CompileError('invalid opcode');
        },
      },
    },
  ])('is undefined where $says, and everything works without', async ({ stub }) => {
    vi.stubGlobal('WebAssembly', stub);
    const { simd, simdReadBuffer } = await import('../../src/masking/simd.ts');
    expect(simd()).toBeUndefined();
    expect(simdReadBuffer()).toBeUndefined();
    const codec = await import('../../src/index.ts');
    const payload = new Uint8Array(300_000).map((_, i) => i * 7);
    const encoder = new codec.FrameEncoder({ role: 'client' });
    encoder.frame(2, true, 0, payload);
    const decoder = new codec.FrameDecoder({ role: 'server' });
    const got: Buffer[] = [];
    const wire = encoder.bytes();
    for (let i = 0; i < wire.length; i += 65_536) {
      decoder.push(wire.slice(i, i + 65_536));
      for (let event = decoder.next(); event !== codec.NEED_MORE; event = decoder.next()) {
        if (event === codec.FRAME_DATA) got.push(Buffer.from(decoder.copy()));
      }
    }
    expect(Buffer.compare(Buffer.concat(got), payload)).toBe(0);
    const foreign = payload.slice();
    codec.unmask(foreign, 0, foreign.length, 5);
    codec.unmask(foreign, 0, foreign.length, 5);
    expect(Buffer.compare(foreign, payload)).toBe(0);
  });
});

describe('SimdBlocks', () => {
  const KIB = 1024;
  const make = (bytes = 64 * KIB): SimdBlocks =>
    new SimdBlocks(new ArrayBuffer(SimdBlocks.memoryFor(bytes) + 8), 8, bytes);
  const withHeadroom = (block: Uint8Array): Uint8Array =>
    new Uint8Array(block.buffer, block.byteOffset - HEADROOM, HEADROOM + block.length);

  it('leases powers of two that do not overlap, until nothing is left', () => {
    const blocks = make();
    const lent = [5000, 4096, 1, 16384, 16385].map((n) => blocks.acquire(n));
    expect(lent.map((block) => block?.length)).toEqual([8192, 4096, 4096, 16384, 32768]);
    expect(blocks.acquire(1)).toBeUndefined();
    const all = lent.map((block) => withHeadroom(block!));
    all.forEach((bytes, i) => bytes.fill(i + 1));
    all.forEach((bytes, i) => expect(bytes.every((byte) => byte === i + 1)).toBe(true));
    for (const block of lent) expect(blocks.release(block!)).toBe(true);
    expect(blocks.acquire(64 * KIB)?.length).toBe(64 * KIB);
  });

  it('returns the same view for the same block', () => {
    const blocks = make();
    const first = blocks.acquire(4096)!;
    blocks.release(first);
    expect(blocks.acquire(4096)).toBe(first);
  });

  it('keeps large blocks whole by using the tightest block', () => {
    const blocks = make();
    const [a, b] = [blocks.acquire(16384)!, blocks.acquire(4096)!];
    blocks.release(a);
    expect(blocks.acquire(4096)!.byteOffset - b.byteOffset).toBe(4096 + HEADROOM);
    expect(blocks.acquire(32768)).toBeDefined();
  });

  it('rejects a size that is too large and a block that it has not leased', () => {
    const blocks = make();
    expect(blocks.acquire(65 * KIB)).toBeUndefined();
    const block = blocks.acquire(4096)!;
    expect(blocks.release(new Uint8Array(4096))).toBe(false);
    expect(blocks.release(block.subarray(0))).toBe(false);
    expect(blocks.release(block)).toBe(true);
    expect(blocks.release(block)).toBe(false);
  });

  it('leases disjoint blocks in any order, and is one free block again afterwards', () => {
    const blocks = make(256 * KIB);
    let seed = 1;
    const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
    const lent: Uint8Array[] = [];
    for (let i = 0; i < 3000; i++) {
      if (lent.length > 0 && random(2) === 0) {
        const block = lent.splice(random(lent.length), 1)[0]!;
        expect(new Set(withHeadroom(block)).size).toBe(1);
        blocks.release(block);
      } else {
        const block = blocks.acquire(1 << (10 + random(8)));
        if (block === undefined) continue;
        withHeadroom(block).fill(i);
        lent.push(block);
      }
    }
    for (const block of lent) blocks.release(block);
    expect(blocks.acquire(256 * KIB)).toBeDefined();
  });
});
