import type * as Codec from '@ws/codec';
import { poolGuard } from '@ws/codec';
import { describe, expect, it, vi } from 'vitest';
import type * as Simd from '../src/simd.ts';

describe('debugPools', () => {
  it('refuses to come after a pool, which nobody would watch over', async () => {
    const { codec } = await fresh();
    expect(codec.poolGuard('leaf')).toBeUndefined();
    expect(codec.debugPools).toThrow('a pool was made already; call debugPools() before all else');
    expect(codec.poolGuard('leaf')).toBeUndefined();
  });

  it('holds for the shared pools, and for those that do not say otherwise', async () => {
    const { codec, inside } = await fresh();
    codec.debugPools();
    codec.debugPools();
    for (const pool of [codec.sharedSlabPool(), new codec.SlabPool()]) {
      const { bytes, release } = pool.take(1);
      release();
      expect(bytes[0]).toBe(0xdb);
      expect(release).toThrow('slab released twice');
    }
    for (const buffers of [codec.sharedMessageBuffers(), new codec.MessageBuffers()]) {
      const buffer = buffers.take(1);
      expect(buffer[0]).toBe(0xdb);
      buffers.give(buffer);
      expect(() => buffers.give(buffer)).toThrow('message buffer released twice');
    }
    expect(inside.simd()!.slots.take(4096)![4095]).toBe(0xdb);
    const usual = new codec.SlabPool({ debug: false }).take(1);
    usual.release();
    expect(usual.release).not.toThrow();
  });

  it('finds what was written to a free slot of the SIMD memory', async () => {
    const { codec, inside } = await fresh();
    codec.debugPools();
    const { slots } = inside.simd()!;
    const slot = slots.take(8192)!;
    slot.fill(1);
    expect(slots.give(slot)).toBe(true);
    expect(slot.every((byte) => byte === 0xdb)).toBe(true);
    slot[5000] = 2;
    expect(() => slots.take(8192)).toThrow(
      'a free slot of 8192 bytes was written to after its release: byte 5000 is 0x02',
    );
  });

  it('changes nothing where it was not called', async () => {
    const { codec, inside } = await fresh();
    const slab = new codec.SlabPool().take(1);
    slab.bytes.fill(5);
    slab.release();
    slab.release();
    expect(slab.bytes[9]).toBe(5);
    const buffers = new codec.MessageBuffers();
    const buffer = buffers.take(1).fill(6);
    buffers.give(buffer);
    expect(buffer[9]).toBe(6);
    const { slots } = inside.simd()!;
    const slot = slots.take(4096)!.fill(7);
    slots.give(slot);
    expect(slot[9]).toBe(7);
  });
});

describe('poolGuard', () => {
  it('watches over a pool of your own', () => {
    const guard = poolGuard('leaf', true)!;
    const leaf = new Uint8Array(30).fill(1);
    guard.lend(leaf);
    expect(leaf.every((byte) => byte === 0xdb)).toBe(true);
    leaf.fill(2);
    guard.takeBack(leaf);
    expect(leaf.every((byte) => byte === 0xdb)).toBe(true);
    expect(() => guard.takeBack(leaf)).toThrow('leaf released twice');
    guard.lend(leaf);
    guard.takeBack(leaf);
    leaf[29] = 0;
    expect(() => guard.lend(leaf)).toThrow('leaf of 30 bytes was written to after its release');
    expect(() => guard.takeBack(new Uint8Array(30))).toThrow('leaf is not lent by this pool');
  });

  it('looks at memory of any alignment', () => {
    const guard = poolGuard('leaf', true)!;
    const memory = new Uint8Array(64);
    for (let at = 0; at < 8; at++) {
      const leaf = memory.subarray(at, at + 21);
      guard.lend(leaf);
      guard.takeBack(leaf);
      leaf[20]! ^= 1;
      expect(() => guard.lend(leaf)).toThrow('byte 20 is 0xda');
    }
  });

  it('leaves alone what was detached while it was lent', () => {
    const guard = poolGuard('leaf', true)!;
    const leaf = new Uint8Array(30);
    guard.lend(leaf);
    structuredClone(leaf.buffer, { transfer: [leaf.buffer] });
    guard.takeBack(leaf);
    expect(() => guard.lend(leaf)).not.toThrow();
    const enclosed = guard.enclose(new Uint8Array(30 + 128), 30);
    structuredClone(enclosed.buffer, { transfer: [enclosed.buffer as ArrayBuffer] });
    expect(() => guard.takeBack(enclosed)).not.toThrow();
  });
});

/** The package once more, with nothing made yet. */
async function fresh(): Promise<{
  readonly codec: typeof Codec;
  readonly inside: typeof Simd;
}> {
  vi.resetModules();
  return { codec: await import('@ws/codec'), inside: await import('../src/simd.ts') };
}
