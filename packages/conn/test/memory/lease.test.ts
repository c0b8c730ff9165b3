import type * as Codec from '@ws/codec';
import { describe, expect, it, vi } from 'vitest';
import type * as Buffers from '../src/deflate/plain-buffers.ts';
import type * as Leases from '../src/lease.ts';

interface Fresh {
  readonly codec: typeof Codec;
  readonly conn: typeof Leases & typeof Buffers;
}

/** The packages once more, with pools of their own. */
async function fresh(): Promise<Fresh> {
  vi.resetModules();
  const codec = await import('@ws/codec');
  const lease = await import('../src/lease.ts');
  return { codec, conn: { ...lease, ...(await import('../src/deflate/plain-buffers.ts')) } };
}

describe('a Lease that a transport releases twice', () => {
  it('takes nothing away from who has the memory by then', async () => {
    const { codec, conn } = await fresh();
    const late = conn.Lease.take(100_000);
    late.release();
    const next = conn.Lease.take(100_000);
    expect(next.bytes).toBe(late.bytes);
    late.release();
    expect(codec.sharedMessageBuffers().lent).toBe(1);
    expect(conn.Lease.take(100_000).bytes).not.toBe(next.bytes);
  });

  it('is not kept twice, to be lent to two', async () => {
    const { conn } = await fresh();
    const buffers = new conn.PlainBuffers();
    const lease = buffers.take(100);
    lease.release();
    lease.release();
    expect(buffers.take(100)).toBe(lease);
    expect(buffers.take(100)).not.toBe(lease);
  });

  it('waits for its pins when it is lent again', async () => {
    const { conn } = await fresh();
    const buffers = new conn.PlainBuffers();
    const lease = buffers.take(100);
    lease.release();
    expect(buffers.take(100)).toBe(lease);
    lease.pin();
    lease.release();
    expect(buffers.take(100)).not.toBe(lease);
    lease.release();
    expect(buffers.take(100)).toBe(lease);
  });

  it('throws where pools are made to debug', async () => {
    const { codec, conn } = await fresh();
    codec.debugPools();
    const late = conn.Lease.take(100_000);
    late.release();
    expect(late.release).toThrow('not lent');
    const plain = new conn.PlainBuffers().take(100);
    plain.release();
    expect(plain.release).toThrow('not lent');
  });
});
