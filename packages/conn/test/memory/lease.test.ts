import type * as Codec from '@ws/codec';
import { describe, expect, it, vi } from 'vitest';
import type * as Buffers from '../../src/deflate/inflate-buffers.ts';
import type * as Leases from '../../src/memory/lease.ts';

interface Fresh {
  readonly codec: typeof Codec;
  readonly conn: typeof Leases & typeof Buffers;
}

/** The packages once more, with pools of their own. */
async function fresh(): Promise<Fresh> {
  vi.resetModules();
  const codec = await import('@ws/codec');
  const lease = await import('../../src/memory/lease.ts');
  return { codec, conn: { ...lease, ...(await import('../../src/deflate/inflate-buffers.ts')) } };
}

describe('a Lease that a transport releases twice', () => {
  it('leaves the memory to its next owner', async () => {
    const { codec, conn } = await fresh();
    const late = conn.Lease.acquire(100_000);
    late.release();
    const next = conn.Lease.acquire(100_000);
    expect(next.memory).toBe(late.memory);
    late.release();
    expect(codec.sharedMessageBuffers().lent).toBe(1);
    expect(conn.Lease.acquire(100_000).bytes).not.toBe(next.bytes);
  });

  it('shows its memory only while it is lent', async () => {
    const { conn } = await fresh();
    const pooled = conn.Lease.acquire(100);
    const kept = new conn.InflateBuffers().acquire(100);
    for (const lease of [pooled, kept]) {
      lease.pin();
      lease.release();
      expect(lease.bytes.length).toBeGreaterThanOrEqual(100);
      lease.release();
      expect(() => lease.bytes).toThrow('used after its release');
    }
  });

  it('returns to the pool once', async () => {
    const { conn } = await fresh();
    const buffers = new conn.InflateBuffers();
    const lease = buffers.acquire(100);
    lease.release();
    lease.release();
    expect(buffers.acquire(100)).toBe(lease);
    expect(buffers.acquire(100)).not.toBe(lease);
  });

  it('waits for its pins when it is reused', async () => {
    const { conn } = await fresh();
    const buffers = new conn.InflateBuffers();
    const lease = buffers.acquire(100);
    lease.release();
    expect(buffers.acquire(100)).toBe(lease);
    lease.pin();
    lease.release();
    expect(buffers.acquire(100)).not.toBe(lease);
    lease.release();
    expect(buffers.acquire(100)).toBe(lease);
  });

  it('is not found by a view that was kept', async () => {
    const { conn } = await fresh();
    const buffers = new conn.InflateBuffers();
    const lease = buffers.acquire(100);
    const view = lease.bytes.subarray(0, 10);
    expect(conn.leaseOf(view)).toBe(lease);
    lease.release();
    expect(conn.leaseOf(view)).toBeUndefined();
    expect(buffers.acquire(100)).toBe(lease);
    expect(conn.leaseOf(view)).toBe(lease);
  });

  it('throws in the debug mode of pools', async () => {
    const { codec, conn } = await fresh();
    codec.debugPools();
    const late = conn.Lease.acquire(100_000);
    late.release();
    expect(late.release).toThrow('not leased');
    const plain = new conn.InflateBuffers().acquire(100);
    plain.release();
    expect(plain.release).toThrow('not leased');
  });
});
