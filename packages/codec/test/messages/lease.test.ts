import { describe, expect, it, vi } from 'vitest';
import type * as Codec from '../../src/index.ts';
import type * as Leases from '../../src/messages/lease.ts';

type Fresh = typeof Codec & typeof Leases;

/** The package once more, with pools of its own. */
async function fresh(): Promise<Fresh> {
  vi.resetModules();
  const codec = await import('../../src/index.ts');
  return { ...codec, ...(await import('../../src/messages/lease.ts')) };
}

describe('a Lease that a transport releases twice', () => {
  it('leaves the memory to its next owner', async () => {
    const codec = await fresh();
    const late = codec.Lease.acquire(100_000);
    late.release();
    const next = codec.Lease.acquire(100_000);
    expect(next.memory).toBe(late.memory);
    late.release();
    expect(codec.sharedMessageBuffers().lent).toBe(1);
    expect(codec.Lease.acquire(100_000).bytes).not.toBe(next.bytes);
  });

  it('shows its memory only while it is lent', async () => {
    const codec = await fresh();
    const pooled = codec.Lease.acquire(100);
    const kept = codec.Lease.acquire(100);
    for (const lease of [pooled, kept]) {
      lease.pin();
      lease.release();
      expect(lease.bytes.length).toBeGreaterThanOrEqual(100);
      lease.release();
      expect(() => lease.bytes).toThrow('used after its release');
    }
  });

  it('returns to the pool once', async () => {
    const codec = await fresh();
    const lease = codec.Lease.acquire(100);
    lease.release();
    lease.release();
    expect(codec.Lease.acquire(100)).toBe(lease);
    expect(codec.Lease.acquire(100)).not.toBe(lease);
  });

  it('waits for its pins when it is reused', async () => {
    const codec = await fresh();
    const lease = codec.Lease.acquire(100);
    lease.release();
    expect(codec.Lease.acquire(100)).toBe(lease);
    lease.pin();
    lease.release();
    expect(codec.Lease.acquire(100)).not.toBe(lease);
    lease.release();
    expect(codec.Lease.acquire(100)).toBe(lease);
  });

  it('is not found by a view that was kept', async () => {
    const codec = await fresh();
    const lease = codec.Lease.acquire(100);
    const view = lease.bytes.subarray(0, 10);
    expect(codec.leaseOf(view)).toBe(lease);
    lease.release();
    expect(codec.leaseOf(view)).toBeUndefined();
    expect(codec.Lease.acquire(100)).toBe(lease);
    expect(codec.leaseOf(view)).toBe(lease);
  });

  it('throws in the debug mode of pools', async () => {
    const codec = await fresh();
    codec.debugPools();
    const late = codec.Lease.acquire(100_000);
    late.release();
    expect(late.release).toThrow('not leased');
    const plain = codec.Lease.acquire(100);
    plain.release();
    expect(plain.release).toThrow('not leased');
  });
});
