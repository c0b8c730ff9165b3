import { SlabPool } from '@ws/codec';
import { poolsAreDebugged } from '@ws/codec/internal';
import { describe, expect, it } from 'vitest';
import { simd } from '../../src/masking/simd.ts';

describe('SlabPool', () => {
  it.each([
    [0, 4096],
    [4096, 4096],
    [4097, 16384],
    [16385, 65536],
    [65536, 65536],
    [65537, 65537],
  ])('leases a slab of %d bytes as one of %d', (least, size) => {
    const pool = new SlabPool();
    const slab = pool.take(least, true);
    expect(slab.bytes.length).toBe(size);
    slab.release();
    expect(pool.freeBytes).toBe(size <= 65536 ? size : 0);
  });

  it('keeps no more than its limit, and gives blocks of the SIMD memory back', () => {
    const pool = new SlabPool({ maxFreeBytes: 65536 });
    const before = simd()!.blocks.acquire(8 * 1024 * 1024);
    expect(before).toBeDefined();
    const slabs = Array.from({ length: 128 }, () => pool.take(65536, true));
    for (const slab of slabs) slab.release();
    expect(pool.freeBytes).toBe(65536);
    expect(pool.lent).toBe(0);
    simd()!.blocks.release(before!);
  });

  it.each([true, false])(
    'discards free slabs of a kind that is not in use (masks: %s)',
    (masks) => {
      const pool = new SlabPool({ maxFreeBytes: 65536 });
      pool.take(65536, !masks).release();
      const slab = pool.take(65536, masks);
      const { bytes } = slab;
      slab.release();
      expect(pool.freeBytes).toBe(65536);
      expect(pool.take(65536, masks).bytes).toBe(bytes);
    },
  );

  it('ignores a release of an earlier lease, after any number of leases', () => {
    const pool = new SlabPool({ debug: false });
    const { release } = pool.take(4096);
    release();
    for (let i = 0; i < 200; i++) {
      const slab = pool.take(4096);
      release();
      expect(pool.lent).toBe(1);
      slab.release();
    }
    expect(pool.lent).toBe(0);
  });

  it('uses ordinary memory when the SIMD memory is full, or not wanted', () => {
    const pool = new SlabPool({ maxFreeBytes: 0 });
    const slabs = Array.from({ length: 1100 }, () => pool.take(65536, true));
    const inside = slabs.filter((slab) => slab.bytes.buffer === simd()!.buffer);
    // `debugPools` gives it a quarter of its size.
    expect(inside.length).toBeGreaterThan(poolsAreDebugged() ? 100 : 500);
    expect(inside.length).toBeLessThan(1100);
    for (const slab of slabs) slab.release();
    const plain = new SlabPool({ simd: false }).take(1, true);
    expect(plain.bytes.buffer).not.toBe(simd()!.buffer);
  });

  it('keeps the SIMD memory for masking', () => {
    const pool = new SlabPool({ debug: false });
    const [plain, masking] = [pool.take(1), pool.take(1, true)];
    expect(plain.bytes.buffer).not.toBe(simd()!.buffer);
    expect(masking.bytes.buffer).toBe(simd()!.buffer);
    plain.release();
    masking.release();
    expect(pool.take(1, true)).toBe(masking);
    expect(pool.take(1)).toBe(plain);
    expect(pool.freeBytes).toBe(0);
  });

  describe.each([true, false])('with debug, with `simd` %s', (inSimd) => {
    const made = (): SlabPool => new SlabPool({ debug: true, simd: inSimd });

    it('throws when a slab is released twice, also when it was lent again meanwhile', () => {
      const pool = made();
      const slab = pool.take(1, true);
      expect([slab.words?.length, slab.view?.byteOffset]).toEqual([512, slab.bytes.byteOffset]);
      slab.release();
      expect(slab.release).toThrow('slab released twice');
      const again = pool.take(1, true);
      expect(again.bytes).toBe(slab.bytes);
      expect(slab.release).toThrow('slab released twice');
      expect(pool.lent).toBe(1);
      again.bytes[0] = 1;
      again.release();
      expect(pool.lent).toBe(0);
    });

    it('keeps no more than its limit, and gives blocks of the SIMD memory back', () => {
      const pool = new SlabPool({ debug: true, simd: inSimd, maxFreeBytes: 0 });
      const room = simd()!.blocks.acquire(8 * 1024 * 1024)!;
      simd()!.blocks.release(room);
      const slabs = Array.from({ length: 20 }, () => pool.take(65_536, true));
      for (const slab of slabs) slab.release();
      expect(pool.freeBytes).toBe(0);
      // The same block is free again: none of it is leased.
      expect(simd()!.blocks.acquire(8 * 1024 * 1024)).toBe(room);
      simd()!.blocks.release(room);
    });
  });
});
