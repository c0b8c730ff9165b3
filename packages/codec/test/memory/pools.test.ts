// What both pools do: SlabPool and MessageBuffers.
import { MessageBuffers, SlabPool, sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { describe, expect, it, vi } from 'vitest';
import { simd } from '../../src/masking/simd.ts';

type Options = { debug?: boolean; simd?: boolean; maxFreeBytes?: number };
type Lease = { bytes: Uint8Array; release: () => void };

const KINDS = {
  slab: {
    sizes: [
      [1, 4_096],
      [5_000, 16_384],
      [20_000, 65_536],
      [70_000, 70_000],
    ],
    largestInSimd: 65_536,
    /** Whether free memory is kept that is in the SIMD memory. */
    keepsSimd: true,
    /** Places outside of 4 KiB that no leaseholder may write to. */
    outside: [-64, -1, 4_096, 4_159],
    make: (options: Options) => {
      const pool = new SlabPool(options);
      return { pool, take: (bytes: number): Lease => pool.take(bytes, true) };
    },
    shared: sharedSlabPool,
  },
  'message buffer': {
    sizes: [
      [1, 4_096],
      [5_000, 8_192],
    ],
    largestInSimd: Infinity,
    keepsSimd: false,
    outside: [-80, -17, 4_096, 4_159],
    make: (options: Options) => {
      const pool = new MessageBuffers(options);
      const take = (size: number): Lease => {
        const bytes = pool.take(size);
        return { bytes, release: () => pool.give(bytes) };
      };
      return { pool, take };
    },
    shared: sharedMessageBuffers,
  },
} as const;

describe.each(Object.entries(KINDS))('the pool of a %s', (what, { make, ...kind }) => {
  const sizes: readonly (readonly [number, number])[] = kind.sizes;

  describe.each([true, false])('with debug, with `simd` %s', (inSimd) => {
    const made = (): ReturnType<typeof make> => make({ debug: true, simd: inSimd });

    it.each(sizes)('leases %d bytes as %d, filled with 0xDB', (least, size) => {
      const { pool, take } = made();
      const { bytes, release } = take(least);
      expect(bytes.length).toBe(size);
      expect(bytes.buffer === simd()!.buffer).toBe(inSimd && least <= kind.largestInSimd);
      expect(bytes.every((byte) => byte === 0xdb)).toBe(true);
      release();
      expect(pool.lent).toBe(0);
    });

    it('shows 0xDB in a view that was retained, and throws at a second release', () => {
      const { pool, take } = made();
      const { bytes, release } = take(1);
      const view = bytes.fill(1).subarray(10, 20);
      release();
      expect([...bytes, ...view].every((byte) => byte === 0xdb)).toBe(true);
      expect(release).toThrow(`${what} released twice`);
      expect(pool.lent).toBe(0);
    });

    it.each(kind.outside)('throws when byte %d was written to', (at) => {
      const { bytes, release } = made().take(4_096);
      new Uint8Array(bytes.buffer)[bytes.byteOffset + at] = 1;
      expect(release).toThrow(
        `${what} of 4096 bytes: byte ${at} is outside of it and was written to`,
      );
    });
  });

  it.each([0, 1, 2, 3, 4, 2_047, 4_095])('throws at a take when byte %d was written to', (at) => {
    const { take } = make({ debug: true, simd: kind.keepsSimd && at % 2 === 0 });
    const { bytes, release } = take(1);
    (function theCulprit() {
      release();
    })();
    bytes[at] = 0xab;
    let thrown = new Error('nothing was thrown');
    try {
      take(1);
    } catch (error) {
      thrown = error as Error;
    }
    expect(thrown.message).toBe(
      `${what} of 4096 bytes was written to after its release: byte ${at} is 0xab; find the code that kept a view`,
    );
    expect(thrown.cause).toMatchObject({ message: 'released here' });
    expect((thrown.cause as Error).stack).toContain('theCulprit');
  });

  it.each([false, true])('keeps no memory that was detached; debug: %s', (debug) => {
    const { pool, take } = make({ debug, simd: false });
    const { bytes, release } = take(4_096);
    const lists = vi.spyOn(Map.prototype, 'set');
    structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] });
    release();
    const made = lists.mock.calls.length;
    lists.mockRestore();
    expect([pool.lent, pool.freeBytes, made]).toEqual([0, 0, 0]);
    expect(take(4_096).bytes).toHaveLength(4_096);
  });

  it.each([-1, Number.NaN, '1'])('rejects the number %s', (number) => {
    expect(() => make({ maxFreeBytes: number as number })).toThrow(RangeError);
    expect(() => make({}).take(number as number)).toThrow(RangeError);
  });

  it('has one shared instance per thread', () => {
    expect(kind.shared()).toBe(kind.shared());
  });
});
