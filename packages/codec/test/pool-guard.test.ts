import type * as Codec from '@ws/codec';
import type * as Internal from '@ws/codec/internal';
import { poolGuard } from '@ws/codec/internal';
import { describe, expect, it, vi } from 'vitest';
import type * as Simd from '../src/masking/simd.ts';

describe('debugPools', () => {
  it('throws when a pool without checks exists', async () => {
    const { codec, internal } = await fresh();
    expect(internal.poolGuard('leaf')).toBeUndefined();
    expect(codec.debugPools).toThrow('a pool exists already; call debugPools() first');
    expect(internal.poolGuard('leaf')).toBeUndefined();
  });

  it('applies to the shared pools and to pools without the option', async () => {
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
    expect(inside.simd()!.blocks.acquire(4096)![4095]).toBe(0xdb);
    const usual = new codec.SlabPool({ debug: false }).take(1);
    usual.release();
    expect(usual.release).not.toThrow();
  });

  it('finds a write to a free block of the SIMD memory', async () => {
    const { codec, inside } = await fresh();
    codec.debugPools();
    const { blocks } = inside.simd()!;
    const block = blocks.acquire(8192)!;
    block.fill(1);
    expect(blocks.release(block)).toBe(true);
    expect(block.every((byte) => byte === 0xdb)).toBe(true);
    block[5000] = 2;
    expect(() => blocks.acquire(8192)).toThrow(
      'a free block of 8192 bytes was written to after its release: byte 5000 is 0x02',
    );
  });

  it('changes nothing when it was not called', async () => {
    const { codec, inside } = await fresh();
    const { bytes, release } = new codec.SlabPool().take(1);
    bytes.fill(5);
    release();
    release();
    expect(bytes[9]).toBe(5);
    const buffers = new codec.MessageBuffers();
    const buffer = buffers.take(1).fill(6);
    buffers.give(buffer);
    expect(buffer[9]).toBe(6);
    const { blocks } = inside.simd()!;
    const block = blocks.acquire(4096)!.fill(7);
    blocks.release(block);
    expect(block[9]).toBe(7);
  });
});

describe('poolGuard', () => {
  it('guards the memory of another pool', () => {
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
    expect(() => guard.takeBack(new Uint8Array(30))).toThrow('leaf is not leased from this pool');
  });

  it('ignores memory that was detached during its lease', () => {
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

/** A second copy of the package, in its initial state. */
async function fresh(): Promise<{
  readonly codec: typeof Codec;
  readonly internal: typeof Internal;
  readonly inside: typeof Simd;
}> {
  vi.resetModules();
  return {
    codec: await import('@ws/codec'),
    internal: await import('@ws/codec/internal'),
    inside: await import('../src/masking/simd.ts'),
  };
}
