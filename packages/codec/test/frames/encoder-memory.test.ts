// Which memory an encoder leases, and when.
import { FrameEncoder, type Slab, SlabPool, type SlabSource } from '@ws/codec';
import { naiveDecode } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FrameQueue } from '../../src/frames/frame-queue.ts';
import { FrameSlab } from '../../src/frames/frame-slab.ts';
import { simd } from '../../src/masking/simd.ts';
import { LARGEST_SLAB } from '../../src/memory/slab.ts';
import { writeUtf8 } from '../../src/text/utf8-automaton.ts';
import { bytes, chunksOf, flush } from '../support.ts';

const KEY = 0x37fa213d;
const SHORT_HEADER = 2;
const LONG_HEADER = 4;

afterEach(() => {
  vi.restoreAllMocks();
});

/** The encoder of a client that writes to `memory`. */
function clientIn(memory: Uint8Array): FrameEncoder {
  return new FrameEncoder({
    role: 'client',
    pool: { take: () => ({ bytes: memory, release() {} }) },
    slabBytes: memory.length,
    nextKey: () => KEY,
  });
}

/** A pool that leases exactly the requested bytes, and records them. */
function exactPool(): { asked: number[]; pool: SlabSource } {
  const asked: number[] = [];
  const take = (minBytes: number): Slab => {
    asked.push(minBytes);
    return { bytes: new Uint8Array(minBytes), release() {} };
  };
  return { asked, pool: { take } };
}

describe('the memory of a FrameEncoder', () => {
  it('doubles, also where a pool lends no more than it is asked for', () => {
    const { asked, pool } = exactPool();
    const encoder = new FrameEncoder({ role: 'server', pool });
    for (let i = 0; i < 640; i++) encoder.frame(2, true, 0, bytes(100 - SHORT_HEADER));
    expect(asked).toEqual([4_096, 8_000, 16_000, 32_000, 64_000]);
    encoder.frame(2, true, 0, bytes(0));
    expect(asked.at(-1)).toBe(LARGEST_SLAB);
    expect(chunksOf(encoder).map(({ length }) => length)).toEqual([64_002]);
  });

  it('has the configured size first, or room for as much as recent turns', () => {
    const { asked, pool } = exactPool();
    const encoder = new FrameEncoder({ role: 'server', pool, slabBytes: 300 });
    for (const n of [10, 10, 1_000, 10, 10, 10, 10]) {
      encoder.frame(2, true, 0, bytes(n - (n < 126 ? SHORT_HEADER : LONG_HEADER)));
      encoder.flush((_chunk, release) => release());
    }
    expect(asked).toEqual([300, 300, 1_000, 1_000, 500, 300, 300]);
  });

  it('is leased once in a turn of the same size as the turn before', () => {
    const { asked, pool } = exactPool();
    const encoder = new FrameEncoder({ role: 'server', pool });
    for (let turn = 0; turn < 3; turn++) {
      for (let i = 0; i < 16; i++) encoder.frame(2, true, 0, bytes(1_024));
      flush(encoder);
    }
    const size = 16 * (1_024 + LONG_HEADER);
    expect(asked.slice(-2)).toEqual([size, size]);
    expect(asked.length).toBeLessThan(8);
  });

  it('continues after a chunk that the transport still reads', () => {
    const { asked, pool } = exactPool();
    const encoder = new FrameEncoder({ role: 'server', pool });
    const held: Uint8Array[] = [];
    for (let i = 0; i < 4; i++) {
      encoder.frame(2, true, 0, bytes(500, i));
      encoder.flush((chunk) => held.push(chunk));
    }
    expect(asked).toEqual([4_096]);
    const payloads = held.map((chunk) => naiveDecode(chunk, 'client').frames[0]!.payload);
    expect(payloads).toEqual([0, 1, 2, 3].map((i) => bytes(500, i)));
  });

  it('has at most the size of the largest slab in a larger memory', () => {
    const take = (): Slab => ({ bytes: new Uint8Array(LARGEST_SLAB + 1), release() {} });
    const encoder = new FrameEncoder({ role: 'server', pool: { take } });
    for (let i = 0; i < 200; i++) encoder.frame(2, true, 0, bytes(1_000));
    const sizes = chunksOf(encoder).map(({ length }) => length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(LARGEST_SLAB);
    expect(sizes.length).toBe(4);
  });

  it('is the memory of the pool for a large frame too, with room for the header', () => {
    for (const role of ['client', 'server'] as const) {
      const { asked, pool } = exactPool();
      const encoder = new FrameEncoder({ role, pool, borrowFrom: Infinity, nextKey: () => KEY });
      encoder.frame(2, true, 0, bytes(70_000));
      expect(asked).toEqual([70_000 + 16]);
      const { frames } = naiveDecode(flush(encoder), role === 'client' ? 'server' : 'client');
      expect(Buffer.compare(frames[0]!.payload, bytes(70_000))).toBe(0);
    }
  });

  it.each([
    { role: 'client', header: 8 },
    { role: 'server', header: 4 },
  ] as const)('is a slab while a frame fits the largest one, as a $role', ({ role, header }) => {
    const { asked, pool } = exactPool();
    const encoder = new FrameEncoder({ role, pool });
    for (const append of [
      () => encoder.frame(2, true, 0, bytes(LARGEST_SLAB - 16)),
      () => encoder.frame(2, true, 0, bytes(LARGEST_SLAB - 15)),
      () => encoder.text(1, true, 0, 'x'.repeat((LARGEST_SLAB - 16) / 3)),
    ]) {
      append();
      encoder.discard();
    }
    const slab = LARGEST_SLAB - 16 + header;
    expect(asked).toEqual([slab, LARGEST_SLAB + 1, slab]);
  });

  it('is as large as the part of a payload that it holds', () => {
    const { asked, pool } = exactPool();
    const encoder = new FrameEncoder({ role: 'server', pool, borrowFrom: Infinity });
    for (const length of [10_000, 70_000]) {
      encoder.frame(2, true, 0, bytes(200_000), 60_000, 60_000 + length);
      encoder.discard();
    }
    expect(asked).toEqual([10_000 + LONG_HEADER, 70_000 + 16]);
  });

  it('grows for a long text only when its characters need more', () => {
    const { asked, pool } = exactPool();
    const encoder = new FrameEncoder({ role: 'server', pool });
    const room = 2 * 4_096 + 16;
    for (const text of ['x'.repeat(21_841), 'x'.repeat(99_000)]) {
      encoder.text(1, true, 0, text);
      expect(asked.splice(0)).toEqual([text.length + room]);
    }
    encoder.text(1, true, 0, 'é'.repeat(99_000));
    // Twelve pieces of 4,096 units fit. There are three bytes for each further unit.
    const written = 12 * 4_096;
    expect(asked).toEqual([99_000 + room, 2 * written + 3 * (99_000 - written) + 16]);
    encoder.discard();
  });

  it('is masked by the SIMD kernel in its memory, from the first address on', () => {
    const xor = vi.spyOn(simd()!, 'xor');
    for (const memory of [new Uint8Array(simd()!.buffer, 0, 64), new Uint8Array(64)]) {
      const encoder = clientIn(memory);
      encoder.frame(2, true, 0, bytes(20));
      const { frames } = naiveDecode(flush(encoder), 'server');
      expect(frames[0]!.payload).toEqual(bytes(20));
    }
    expect(xor.mock.calls.map(([at, end]) => [at, end])).toEqual([[6, 26]]);
  });

  it('gets ranges of the SIMD memory masked in one pass, from the first address on', () => {
    const [move, xor] = [vi.spyOn(simd()!, 'move'), vi.spyOn(simd()!, 'xor')];
    const payload = new Uint8Array(simd()!.buffer, 1_024, 200);
    payload.set(bytes(200));
    for (const memory of [new Uint8Array(simd()!.buffer, 0, 256), new Uint8Array(256)]) {
      const encoder = clientIn(memory);
      encoder.frame(2, true, 0, payload, 50, 150);
      const { frames } = naiveDecode(flush(encoder), 'server');
      expect(frames[0]!.payload).toEqual(bytes(200).slice(50, 150));
    }
    expect(move.mock.calls.map(([at, end, , to]) => [at, end, to])).toEqual([[1_074, 1_174, 6]]);
    expect(xor).not.toHaveBeenCalled();
  });

  it('is not masked for a server', () => {
    const xor = vi.spyOn(simd()!, 'xor');
    const take = (): Slab => ({ bytes: new Uint8Array(simd()!.buffer, 0, 128), release() {} });
    const encoder = new FrameEncoder({ role: 'server', pool: { take }, slabBytes: 128 });
    encoder.frame(2, true, 0, bytes(20));
    encoder.text(1, true, 0, 'x'.repeat(17));
    expect(xor).not.toHaveBeenCalled();
  });

  it('gives its words once, for payloads of twelve bytes and more', () => {
    let taken = 0;
    const slab = {
      bytes: new Uint8Array(128),
      release: () => {},
      get words() {
        taken++;
        return new BigInt64Array(this.bytes.buffer);
      },
    };
    const encoder = new FrameEncoder({
      role: 'client',
      pool: { take: () => slab },
      slabBytes: 128,
      nextKey: () => KEY,
    });
    for (let i = 0; i < 2; i++) encoder.frame(2, true, 0, bytes(11));
    expect(taken).toBe(0);
    for (let i = 0; i < 2; i++) encoder.frame(2, true, 0, bytes(12));
    expect(taken).toBe(1);
  });
});

describe('FrameSlab', () => {
  it('keeps no payload when its frames have left', () => {
    const payload = bytes(1_000);
    const slab = new FrameSlab(new SlabPool(), 4_096, true);
    const queue = new FrameQueue(slab, { masks: false, nextKey: () => 0, writeUtf8 });
    queue.addCopy(0x82, payload, 0, 500);
    expect(Object.values(slab.out)).toContain(payload.buffer);
    const { release } = queue.take()!;
    const values = Object.values(slab.out);
    expect([values.includes(payload), values.includes(payload.buffer)]).toEqual([false, false]);
    release!();
  });
});
