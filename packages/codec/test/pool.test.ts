import { SlabPool, sharedSlabPool } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { simd } from '../src/simd.ts';

describe('SlabPool', () => {
  it.each([
    [0, 4096],
    [4096, 4096],
    [4097, 16384],
    [16385, 65536],
    [65536, 65536],
    [65537, 65537],
  ])('lends %d bytes as a slab of %d', (least, size) => {
    const pool = new SlabPool();
    const slab = pool.take(least);
    expect(slab.bytes.length).toBe(size);
    slab.release();
    expect(pool.freeBytes).toBe(size <= 65536 ? size : 0);
  });

  it('gives the slab that came back last, with the same release function', () => {
    const pool = new SlabPool();
    const [a, b] = [pool.take(1), pool.take(1)];
    const { release } = b;
    a.release();
    release();
    expect(pool.take(1)).toBe(b);
    expect(pool.take(1)).toBe(a);
    expect(b.release).toBe(release);
    expect(pool.lent).toBe(2);
  });

  it('keeps no more than it may, and gives slots of the SIMD memory back', () => {
    const pool = new SlabPool({ maxFreeBytes: 65536 });
    const before = simd()!.slots.take(8 * 1024 * 1024);
    expect(before).toBeDefined();
    const slabs = Array.from({ length: 128 }, () => pool.take(65536));
    for (const slab of slabs) slab.release();
    expect(pool.freeBytes).toBe(65536);
    expect(pool.lent).toBe(0);
    simd()!.slots.give(before!);
  });

  it('goes on in ordinary memory when the SIMD memory is full, or not wanted', () => {
    const pool = new SlabPool({ maxFreeBytes: 0 });
    const slabs = Array.from({ length: 300 }, () => pool.take(65536));
    const inside = slabs.filter((slab) => slab.bytes.buffer === simd()!.buffer);
    expect(inside.length).toBeGreaterThan(100);
    expect(inside.length).toBeLessThan(300);
    for (const slab of slabs) slab.release();
    const plain = new SlabPool({ simd: false }).take(1);
    expect(plain.bytes.buffer).not.toBe(simd()!.buffer);
  });

  it('keeps views with each slab', () => {
    const slab = new SlabPool().take(1);
    expect(slab.words).toBe(slab.words);
    expect(slab.words?.length).toBe(512);
    expect(slab.view).toBe(slab.view);
    expect(slab.view?.byteOffset).toBe(slab.bytes.byteOffset);
    expect(slab.view?.byteLength).toBe(4096);
  });

  it('ignores a second release, so that no slab is lent twice', () => {
    const pool = new SlabPool();
    const slab = pool.take(1);
    slab.release();
    slab.release();
    expect(pool.lent).toBe(0);
    expect(pool.take(1)).not.toBe(pool.take(1));
  });

  it('throws and poisons when it is made to debug', () => {
    const pool = new SlabPool({ debug: true });
    const slab = pool.take(1);
    slab.bytes.fill(1);
    slab.release();
    expect(slab.bytes.every((byte) => byte === 0xdb)).toBe(true);
    expect(slab.release).toThrow('slab released twice');
  });

  it('refuses bad numbers', () => {
    expect(() => new SlabPool({ maxFreeBytes: -1 })).toThrow(RangeError);
    expect(() => new SlabPool({ maxFreeBytes: Number.NaN })).toThrow(RangeError);
    expect(() => new SlabPool().take(-1)).toThrow(RangeError);
    expect(() => new SlabPool().take(Number.NaN)).toThrow(RangeError);
    expect(() => new SlabPool().take('1' as never)).toThrow(RangeError);
  });

  it('exists once for the thread as the shared one', () => {
    expect(sharedSlabPool()).toBe(sharedSlabPool());
  });
});
