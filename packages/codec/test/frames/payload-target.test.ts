import { MessageBuffers } from '@ws/codec';
import { describe, expect, it, vi } from 'vitest';
import { PayloadTarget } from '../../src/frames/payload-target.ts';
import { swap } from '../../src/masking/mask.ts';
import { Simd, simd } from '../../src/masking/simd.ts';
import { bytes, join } from '../support.ts';

const KEY = 0x37fa213d;

/** The unmasked bytes, computed one by one. */
function masked(payload: Uint8Array): Uint8Array {
  return payload.map((byte, i) => byte ^ (KEY >>> (8 * (3 - (i % 4)))));
}

describe('PayloadTarget', () => {
  it.each([1, 31, 32, 33, 500])('appends pieces of %d bytes, unmasked', (n) => {
    const pieces = [bytes(n, 1), bytes(n, 2), bytes(n, 3)];
    const target = new Uint8Array(3 * n + 7).fill(0xee);
    const payload = new PayloadTarget();
    payload.set(target, 4, undefined);
    for (const piece of pieces) {
      const from = join([bytes(5), masked(piece), bytes(5)]);
      const before = from.slice();
      payload.append(from, 5, 5 + n, undefined, swap(KEY));
      expect(from).toEqual(before);
    }
    expect(target).toEqual(
      join([new Uint8Array(4).fill(0xee), ...pieces, Uint8Array.of(0xee, 0xee, 0xee)]),
    );
    expect([payload.at, payload.room]).toEqual([4 + 3 * n, 3]);
  });

  it('unmasks at indices of 2 GiB and more', () => {
    const start = 2 ** 31 - 64;
    const target = new Uint8Array(2 ** 31 + 200);
    const payload = new PayloadTarget();
    payload.set(target, start, undefined);
    const pieces = [bytes(128, 1), bytes(100, 2)];
    for (const piece of pieces)
      payload.append(masked(piece), 0, piece.length, undefined, swap(KEY));
    expect(target.slice(start, start + 232)).toEqual(join([...pieces, new Uint8Array(4)]));
    expect(target.slice(0, 64)).toEqual(new Uint8Array(64));
  });

  it.each([5, 100])('copies a whole chunk of %d bytes that is not masked', (n) => {
    const payload = new PayloadTarget();
    const target = new Uint8Array(n);
    payload.set(target, 0, undefined);
    payload.append(bytes(n), 0, n, undefined, 0);
    expect(target).toEqual(bytes(n));
  });

  it('copies from the given view, and creates no other view', () => {
    const payload = new PayloadTarget();
    const target = new Uint8Array(40);
    const from = bytes(60);
    payload.set(target, 0, undefined);
    payload.append(from, 10, 50, from.subarray(10, 50), 0);
    expect(target).toEqual(from.slice(10, 50));
  });

  it('unmasks in the SIMD memory, and in other memory after that', () => {
    const buffers = new MessageBuffers();
    const payload = new PayloadTarget();
    const inside = buffers.take(200);
    for (const target of [inside, new Uint8Array(200), inside]) {
      target.fill(0xee);
      payload.set(target, 8, simd());
      payload.append(masked(bytes(100)), 0, 100, undefined, swap(KEY));
      expect(target.slice(0, 116)).toEqual(
        join([new Uint8Array(8).fill(0xee), bytes(100), new Uint8Array(8).fill(0xee)]),
      );
    }
    buffers.give(inside);
  });

  it('uses the SIMD kernel in its memory, from the first address on', () => {
    const xor = vi.fn<Simd['xor']>(simd()!.xor);
    const counting = new Simd(simd()!, { xor, move: simd()!.move });
    const first = new Uint8Array(simd()!.buffer, 0, 200);
    const other = new Uint8Array(simd()!.buffer, 256, 200);
    for (const target of [first, other, new Uint8Array(200)]) {
      const payload = new PayloadTarget();
      payload.set(target, 8, counting);
      payload.append(masked(bytes(71)), 0, 71, undefined, swap(KEY));
      payload.append(masked(bytes(72)), 0, 72, undefined, swap(KEY));
      payload.append(bytes(40), 0, 40, undefined, 0);
      expect(target.slice(8, 191)).toEqual(join([bytes(71), bytes(72), bytes(40)]));
    }
    expect(xor.mock.calls).toEqual([
      [79, 151, swap(KEY)],
      [335, 407, swap(KEY)],
    ]);
  });

  it('copies a part of a Buffer without the view of a Buffer', () => {
    const payload = new PayloadTarget();
    const from = Buffer.from(bytes(100));
    const views = vi.spyOn(from, 'subarray');
    const target = new Uint8Array(400);
    payload.set(target, 0, undefined);
    payload.append(from, 4, 84, undefined, 0);
    expect(target.slice(0, 80)).toEqual(bytes(100).slice(4, 84));
    expect(views).not.toHaveBeenCalled();
  });

  it('continues at another index of the same target', () => {
    const payload = new PayloadTarget();
    const target = new Uint8Array(100);
    payload.set(target, 0, undefined);
    payload.append(masked(bytes(40)), 0, 40, undefined, swap(KEY));
    payload.set(target, 50, undefined);
    expect(payload.room).toBe(50);
    payload.append(masked(bytes(40)), 0, 40, undefined, swap(KEY));
    expect(target.slice(50, 90)).toEqual(bytes(40));
    expect(target.slice(0, 40)).toEqual(bytes(40));
  });

  it('drops its target', () => {
    const payload = new PayloadTarget();
    expect([payload.active, payload.target.length]).toEqual([false, 0]);
    payload.set(new Uint8Array(9), 0, undefined);
    expect([payload.active, payload.target.length]).toEqual([true, 9]);
    payload.clear();
    expect([payload.active, payload.target.length]).toEqual([false, 0]);
  });
});
