// Planted faults: they show that the search can fail.
import { deflateRawSync } from 'node:zlib';
import { encodeFrame, FrameEncoder, SlabPool } from '@ws/codec';
import type { Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Alphabet, alphabetsOf } from './alphabet.ts';
import { MemoryWire } from './memory-wire.ts';
import { DeliverySearch, WireSearch } from './search.ts';
import { fillPools, traffic } from './traffic.ts';

const ours = alphabetsOf(3);
const another = alphabetsOf(4);
const ROLES: readonly Role[] = ['server', 'client'];
const BINARY = 2;

function searchOf(role: Role, takeover?: boolean): WireSearch {
  return new WireSearch('#3', role, ours.sends, ours.reads, { takeover });
}

function own(size: number): Uint8Array {
  return ours.sends.bytes.subarray(0, size);
}

describe.each(ROLES)('WireSearch of a %s', (role) => {
  const mask = role === 'client' ? { maskKey: 0x1f2e3d4c } : {};
  const frame = (opcode: number, payload: Uint8Array, rsv = 0): Uint8Array =>
    encodeFrame(opcode, payload, { rsv, ...mask });

  it('accepts frames of its own letters, split anywhere', () => {
    const sizes = [0, 1, 125, 126, 65_535, 65_536];
    const stream = Buffer.concat(sizes.map((size) => frame(BINARY, own(size))));
    for (const piece of [997, 5_000, stream.length]) {
      const search = searchOf(role);
      for (let at = 0; at < stream.length; at += piece) {
        search.take(stream.subarray(at, at + piece));
      }
      expect([search.frames, search.hits]).toEqual([6, 0]);
    }
  });

  it.each([1, 2, 8, 9, 10])('finds one foreign byte in opcode %d', (opcode) => {
    for (const letter of [another.sends.bytes[0]!, another.reads.bytes[0]!, 0xc5, 0xdb, 0]) {
      const bytes = Uint8Array.from(own(100));
      bytes[50] = letter;
      if (opcode === 8) bytes.set([0x03, 0xe8]);
      const search = searchOf(role);
      search.take(frame(opcode, bytes));
      expect(search.hits).toBe(1);
    }
  });

  it('finds foreign bytes in a compressed message', () => {
    for (const takeover of [true, false]) {
      const search = searchOf(role, takeover);
      for (const bytes of [
        own(500),
        Buffer.concat([own(500), another.sends.bytes.subarray(0, 3)]),
      ]) {
        const packed = deflateRawSync(bytes, { finishFlush: 2 }).subarray(0, -4);
        search.take(frame(BINARY, packed, 0x40));
      }
      expect(search.hits).toBe(3);
    }
  });

  it('finds bytes after the end of a segment', () => {
    const pool = new SlabPool();
    const old = pool.take(1);
    old.bytes.fill(0xc5);
    old.release();
    const encoder = new FrameEncoder({ role, pool });
    encoder.frame(BINARY, true, 0, own(20), 0, 20);
    expect(encoder.segments).toBe(1);
    const search = searchOf(role);
    search.take(encoder.segBuf(0).subarray(0, encoder.segEnd(0)));
    expect([search.frames, search.hits]).toEqual([1, 0]);
    search.take(encoder.segBuf(0).subarray(encoder.segEnd(0), encoder.segEnd(0) + 2));
    expect(search.hits).toBe(1);
  });

  it.each([true, false])('finds a segment sent after its release; debug: %s', (debug) => {
    const pool = new SlabPool({ debug });
    const encoder = new FrameEncoder({ role, pool });
    const segmentOf = (bytes: Uint8Array): Uint8Array => {
      encoder.frame(BINARY, true, 0, bytes, 0, bytes.length);
      expect(encoder.segments).toBe(1);
      const segment = encoder.segBuf(0).subarray(0, encoder.segEnd(0));
      encoder.segRelease(0)?.();
      encoder.shift(1);
      return segment;
    };
    const released = segmentOf(own(30));
    if (!debug) segmentOf(another.sends.bytes.subarray(0, 30));
    const search = searchOf(role);
    search.take(released);
    expect(search.hits).toBeGreaterThan(0);
  });

  it('finds an invalid header', () => {
    for (const bytes of [
      [0x83, 0],
      [0xc2, 0],
      [0x82, role === 'client' ? 0 : 0x80],
      [0x09, 0],
    ]) {
      const search = searchOf(role);
      search.take(Uint8Array.from(bytes));
      expect(search.hits).toBe(1);
    }
  });
});

describe('traffic', () => {
  it('finds a transport that releases bytes early', async () => {
    const wire = (): MemoryWire => Object.assign(new MemoryWire(), { releasesEarly: true });
    const seen = await traffic(5_000, 7, { wire });
    expect(seen.hits).toBeGreaterThan(10);
  });

  it('finds a pool that lends one buffer twice', async () => {
    const buffer = new Uint8Array(4096);
    const writeBufferPool = { get: () => buffer, put: () => {} };
    const seen = await traffic(5_000, 7, { settings: { writeBufferPool } });
    expect(seen.hits).toBeGreaterThan(10);
  });

  it('finds data of another reader', () => {
    const search = new DeliverySearch('#3', ours.reads);
    search.take(ours.reads.bytes.subarray(0, 1_000));
    expect(search.hits).toBe(0);
    search.take(another.reads.bytes.subarray(0, 10));
    search.take(ours.sends.bytes.subarray(0, 10));
    expect(search.hits).toBe(20);
  });

  it('finds memory that is read into again before it is lent', async () => {
    const memory = new Uint8Array(300_000);
    const wire = (): MemoryWire => {
      const made = new MemoryWire();
      const feed = made.feed.bind(made);
      return Object.assign(made, {
        feed(chunk: Uint8Array): void {
          memory.set(chunk);
          setImmediate(() => feed(memory.subarray(0, chunk.length)));
        },
      });
    };
    const seen = await traffic(60_000, 7, { wire });
    expect(seen.hits).toBeGreaterThan(10);
  });

  it('gives every connection its own letters', () => {
    const letters = Array.from({ length: 14 }, (_, i) => alphabetsOf(i)).flatMap(
      ({ sends, reads }) =>
        [sends, reads].map((alphabet: Alphabet) => [...new Set(alphabet.bytes)]),
    );
    expect(letters.flat().length).toBe(new Set(letters.flat()).size);
    expect(letters.every((own) => own.length === 3)).toBe(true);
  });

  it('fills the pools with the canary byte', () => {
    const pool = new SlabPool({ debug: false });
    fillPools(pool);
    const { bytes } = pool.take(1);
    expect(bytes.every((byte) => byte === 0xc5)).toBe(true);
  });
});
