import { MessageBuffers } from '@ws/codec';
import { poolsAreDebugged } from '@ws/codec/internal';
import { describe, expect, it } from 'vitest';
import { simd } from '../../src/masking/simd.ts';

describe('MessageBuffers', () => {
  it.each([
    [0, 4096],
    [4097, 8192],
    [65536, 65536],
    [1_000_000, 1_048_576],
    [5_000_000, 8_388_608],
  ])('leases %d bytes as %d', (bytes, size) => {
    const buffers = new MessageBuffers();
    const buffer = buffers.take(bytes);
    expect(buffer.length).toBe(size);
    buffers.give(buffer);
  });

  it('leases the SIMD memory first, then ordinary memory', () => {
    // `debugPools` gives the SIMD memory a quarter of its size.
    const size = (poolsAreDebugged() ? 4 : 16) * 1024 * 1024;
    const buffers = new MessageBuffers({ maxFreeBytes: 3 * size, debug: false });
    const lent = Array.from({ length: 8 }, () => buffers.take(size));
    const inside = lent.filter((buffer) => buffer.buffer === simd()!.buffer);
    expect(inside.length).toBeGreaterThan(0);
    expect(inside.length).toBeLessThanOrEqual(4);
    for (const buffer of lent) buffers.give(buffer);
    expect(buffers.freeBytes).toBe(3 * size);
    const again = Array.from({ length: 8 }, () => buffers.take(size));
    expect(buffers.freeBytes).toBe(0);
    expect(again.filter((buffer) => lent.includes(buffer)).length).toBeGreaterThanOrEqual(6);
    for (const buffer of again) buffers.give(buffer);
  });

  it.each([
    { inSimd: true, debug: false },
    { inSimd: true, debug: true },
    { inSimd: false, debug: false },
    { inSimd: false, debug: true },
  ])('lends 16 bytes before each buffer: SIMD $inSimd, debug $debug', ({ inSimd, debug }) => {
    const buffers = new MessageBuffers({ simd: inSimd, debug });
    for (let round = 0; round < 3; round++) {
      const lent = [1, 4096, 65_536, 65_536, 1_048_576].map((bytes) => buffers.take(bytes));
      const whole = lent.map(
        ({ buffer, byteOffset, length }) => new Uint8Array(buffer, byteOffset - 16, 16 + length),
      );
      whole.forEach((bytes, i) => bytes.fill(i));
      whole.forEach((bytes, i) => expect(bytes.every((byte) => byte === i)).toBe(true));
      for (const buffer of lent) buffers.give(buffer);
    }
  });

  it('needs 16 bytes for the headroom of a large buffer, not the next power of two', () => {
    const buffers = new MessageBuffers({ simd: false, debug: false });
    expect(buffers.take(65_536).buffer.byteLength).toBe(65_536 + 16);
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

  it('returns undefined from takeFree when a length needs more memory', () => {
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

  it('rejects a buffer that it has not leased', () => {
    const buffers = new MessageBuffers();
    const buffer = buffers.take(1);
    expect(() => buffers.give(new Uint8Array(4096))).toThrow('not leased');
    expect(() => buffers.give(buffer.subarray(0, 10))).toThrow('not leased');
    expect(buffers.lent).toBe(1);
    buffers.give(buffer);
    expect(buffers.lent).toBe(0);
    // A pool with debugging says that the same buffer came twice.
    expect(() => buffers.give(buffer)).toThrow(/not leased|released twice/);
  });
});
