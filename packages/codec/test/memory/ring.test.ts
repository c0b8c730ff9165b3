import { SlabPool } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { ReceiveRing } from '../../src/memory/ring.ts';
import { bytes } from '../support.ts';

const tail = (ring: ReceiveRing): Uint8Array => ring.bytes.slice(ring.base - ring.size, ring.base);

describe('ReceiveRing', () => {
  it('appends in order, for any pieces, and ends at its base', () => {
    const pool = new SlabPool({ debug: true });
    const ring = new ReceiveRing(pool, 4096, true);
    const from = bytes(4112);
    let at = 0;
    for (const n of [0, 1, 2, 13, 100, 1996, 2000]) {
      ring.append(from, at, at + n, 4112);
      at += n;
      expect(tail(ring)).toEqual(from.slice(0, at));
    }
    expect(pool.lent).toBe(1);
    ring.clear();
    expect({ lent: pool.lent, size: ring.size, base: ring.base }).toEqual({
      lent: 0,
      size: 0,
      base: 0,
    });
  });

  it('leases a larger slab when the frame needs it', () => {
    const pool = new SlabPool({ debug: true });
    const ring = new ReceiveRing(pool, 4096, true);
    ring.append(bytes(6), 0, 6, 14);
    expect(ring.base).toBe(4096);
    ring.append(bytes(4112), 6, 4112, 4112);
    expect(ring.base).toBe(16384);
    expect(tail(ring)).toEqual(bytes(4112));
    expect(pool.lent).toBe(1);
    ring.release();
    expect(pool.lent).toBe(0);
  });

  it('holds no memory while it holds no byte', () => {
    const pool = new SlabPool({ debug: true });
    const ring = new ReceiveRing(pool, 4096, true);
    ring.append(bytes(6), 3, 3, 14);
    expect(pool.lent).toBe(0);
    expect(ring.words.length).toBe(0);
    ring.release();
  });

  it('moves its tail before the landing place, and keeps both apart', () => {
    const ring = new ReceiveRing(new SlabPool(), 4096, true);
    ring.append(bytes(100), 0, 100, 200);
    const landing = ring.writable();
    landing.fill(0xaa);
    expect(tail(ring)).toEqual(bytes(100));
    ring.append(bytes(200), 100, 200, 200);
    expect(tail(ring)).toEqual(bytes(200));
    expect(landing.every((byte) => byte === 0xaa)).toBe(true);
  });

  it('keeps its slab, and its view, while there is a landing place', () => {
    const pool = new SlabPool();
    const ring = new ReceiveRing(pool, 4096, true);
    const landing = ring.writable();
    ring.keep(ring.base + 10, ring.base + 20);
    expect(ring.size).toBe(10);
    ring.clear();
    expect(pool.lent).toBe(1);
    expect(ring.writable()).toBe(landing);
    ring.release();
    expect(pool.lent).toBe(0);
  });

  it('grows when a read has filled its landing place, up to 64 KiB, and not before', () => {
    const ring = new ReceiveRing(new SlabPool(), 4096, true);
    const sizes: number[] = [];
    for (let i = 0; i < 4; i++) {
      const landing = ring.writable();
      ring.landed(landing.length - 1);
      expect(ring.writable()).toBe(landing);
      ring.landed(landing.length);
      sizes.push(ring.bytes.length);
    }
    expect(sizes).toEqual([16384, 65536, 65536, 65536]);
    ring.release();
  });

  it('leases one slab of the requested size', () => {
    const ring = new ReceiveRing(new SlabPool(), 100_000, true);
    const landing = ring.writable();
    expect(landing.length).toBe(100_000);
    ring.landed(100_000);
    expect(ring.writable()).toBe(landing);
  });

  it('creates the view when the slabs have none', () => {
    const source = { take: (n: number) => ({ bytes: new Uint8Array(n), release: () => {} }) };
    const ring = new ReceiveRing(source, 16, true);
    ring.writable();
    expect(ring.words.length).toBe((4112 + 16) / 8);
  });
});
