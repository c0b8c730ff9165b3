import { MessageBuffers, sharedMessageBuffers } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { simd } from '../src/simd.ts';

describe('MessageBuffers', () => {
  it.each([
    [0, 4096],
    [4097, 8192],
    [65536, 65536],
    [1_000_000, 1_048_576],
    [5_000_000, 8_388_608],
  ])('lends %d bytes as %d', (bytes, size) => {
    const buffers = new MessageBuffers();
    const buffer = buffers.take(bytes);
    expect(buffer.length).toBe(size);
    buffers.give(buffer);
  });

  it('lends the SIMD memory first, then ordinary memory', () => {
    const buffers = new MessageBuffers({ maxFreeBytes: 3 * 4_194_304 });
    const lent = Array.from({ length: 8 }, () => buffers.take(4_194_304));
    const inside = lent.filter((buffer) => buffer.buffer === simd()!.buffer);
    expect(inside.length).toBeGreaterThan(0);
    expect(inside.length).toBeLessThanOrEqual(4);
    for (const buffer of lent) buffers.give(buffer);
    expect(buffers.freeBytes).toBe(3 * 4_194_304);
    const again = Array.from({ length: 8 }, () => buffers.take(4_194_304));
    expect(buffers.freeBytes).toBe(0);
    expect(again.filter((buffer) => lent.includes(buffer)).length).toBeGreaterThanOrEqual(6);
    for (const buffer of again) buffers.give(buffer);
  });

  it('reuses ordinary memory by size', () => {
    const buffers = new MessageBuffers({ simd: false });
    const [a, b] = [buffers.take(5000), buffers.take(5000)];
    buffers.give(a);
    buffers.give(b);
    expect(buffers.take(8192)).toBe(b);
    expect(buffers.take(4096)).not.toBe(a);
    expect(buffers.freeBytes).toBe(8192);
  });

  it('tells when a length would need more memory', () => {
    const buffers = new MessageBuffers({ simd: false });
    expect(buffers.takeFree(8192)).toBeUndefined();
    const buffer = buffers.take(8192);
    buffers.give(buffer);
    expect(buffers.lent).toBe(0);
    expect(buffers.takeFree(5000)).toBe(buffer);
    expect(buffers.lent).toBe(1);
    expect(buffers.freeBytes).toBe(0);
    expect(buffers.takeFree(5000)).toBeUndefined();
    buffers.give(buffer);
    expect(() => buffers.takeFree(-1)).toThrow(RangeError);
  });

  it('refuses what it has not lent', () => {
    const buffers = new MessageBuffers();
    const buffer = buffers.take(1);
    expect(() => buffers.give(new Uint8Array(4096))).toThrow('not lent');
    expect(() => buffers.give(buffer.subarray(0, 10))).toThrow('not lent');
    expect(buffers.lent).toBe(1);
    buffers.give(buffer);
    expect(buffers.lent).toBe(0);
    expect(() => buffers.give(buffer)).toThrow('not lent');
  });

  it('refuses bad numbers', () => {
    expect(() => new MessageBuffers({ maxFreeBytes: Number.NaN })).toThrow(RangeError);
    expect(() => new MessageBuffers().take(-1)).toThrow(RangeError);
    expect(() => new MessageBuffers().take(Number.NaN)).toThrow(RangeError);
  });

  it('exists once for the thread as the shared one', () => {
    expect(sharedMessageBuffers()).toBe(sharedMessageBuffers());
  });
});
