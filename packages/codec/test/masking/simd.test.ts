import { afterEach, describe, expect, it, vi } from 'vitest';
import { SimdSlots } from '../../src/masking/simd-blocks.ts';

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
    expect(memories).toEqual([{ initial: 257, maximum: 257 }]);
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
    const { simd } = await import('../../src/masking/simd.ts');
    expect(simd()).toBeUndefined();
    expect(simd()).toBeUndefined();
    const codec = await import('../../src/index.ts');
    const payload = new Uint8Array(300_000).map((_, i) => i * 7);
    const encoder = new codec.FrameEncoder({ role: 'client' });
    encoder.frame(2, true, 0, payload);
    const decoder = new codec.FrameDecoder({ role: 'server' });
    const target = new codec.MessageBuffers().take(payload.length);
    for (let i = 0; i < encoder.segments; i++) {
      decoder.push(encoder.segBuf(i).slice(encoder.segStart(i), encoder.segEnd(i)));
      for (let event = decoder.next(); event !== codec.NEED_MORE; event = decoder.next()) {
        if (event === codec.FRAME_BEGIN) decoder.assembleInto(target, 0);
      }
    }
    encoder.discard();
    expect(Buffer.compare(target.subarray(0, payload.length), payload)).toBe(0);
    const foreign = payload.slice();
    codec.unmask(foreign, 0, foreign.length, 5);
    codec.unmask(foreign, 0, foreign.length, 5);
    expect(Buffer.compare(foreign, payload)).toBe(0);
  });
});

describe('SimdSlots', () => {
  const KIB = 1024;
  const make = (bytes = 64 * KIB): SimdSlots => new SimdSlots(new ArrayBuffer(bytes + 8), 8, bytes);

  it('leases powers of two that do not overlap, until nothing is left', () => {
    const slots = make();
    const lent = [5000, 4096, 1, 16384, 16385].map((n) => slots.take(n));
    expect(lent.map((slot) => slot?.length)).toEqual([8192, 4096, 4096, 16384, 32768]);
    expect(slots.take(1)).toBeUndefined();
    lent.forEach((slot, i) => slot!.fill(i + 1));
    lent.forEach((slot, i) => expect(slot!.every((byte) => byte === i + 1)).toBe(true));
    for (const slot of lent) expect(slots.give(slot!)).toBe(true);
    expect(slots.take(64 * KIB)?.length).toBe(64 * KIB);
  });

  it('returns the same view for the same slot', () => {
    const slots = make();
    const first = slots.take(4096)!;
    slots.give(first);
    expect(slots.take(4096)).toBe(first);
  });

  it('keeps large blocks whole by using the tightest block', () => {
    const slots = make();
    const [a, b] = [slots.take(16384)!, slots.take(4096)!];
    slots.give(a);
    expect(slots.take(4096)!.byteOffset - b.byteOffset).toBe(4096);
    expect(slots.take(32768)).toBeDefined();
  });

  it('rejects a size that is too large and a slot that it has not leased', () => {
    const slots = make();
    expect(slots.take(65 * KIB)).toBeUndefined();
    const slot = slots.take(4096)!;
    expect(slots.give(new Uint8Array(4096))).toBe(false);
    expect(slots.give(slot.subarray(0))).toBe(false);
    expect(slots.give(slot)).toBe(true);
    expect(slots.give(slot)).toBe(false);
  });

  it('is one free block again after any order of leases', () => {
    const slots = make(256 * KIB);
    let seed = 1;
    const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
    const lent: Uint8Array[] = [];
    for (let i = 0; i < 3000; i++) {
      if (lent.length > 0 && random(2) === 0) {
        slots.give(lent.splice(random(lent.length), 1)[0]!);
      } else {
        const slot = slots.take(1 << (10 + random(8)));
        if (slot !== undefined) lent.push(slot);
      }
    }
    for (const slot of lent) slots.give(slot);
    expect(slots.take(256 * KIB)).toBeDefined();
  });
});
