import { type Slab, SlabPool, type SlabSource } from '@ws/codec';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SlabWriter } from '../../src/frames/slab-writer.ts';
import { simd } from '../../src/masking/simd.ts';
import { LARGEST_SLAB } from '../../src/memory/slab.ts';
import { writeUtf8 } from '../../src/text/utf8-automaton.ts';
import { bytes } from '../support.ts';

const KEY = 0x37fa213d;

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.resetModules();
});

/** The unmasked bytes, computed one by one. */
function masked(payload: Uint8Array): Uint8Array {
  return payload.map((byte, i) => byte ^ (KEY >>> (8 * (3 - (i % 4)))));
}

/** Appends as an encoder does: reserves room, writes bytes, moves `pos`. */
function append(out: SlabWriter, payload: Uint8Array, key = 0): void {
  out.reserve(payload.length);
  out.fill(out.pos, payload, 0, payload.length, key);
  out.pos += payload.length;
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

/** The contents of each segment. */
function contents({ sealed }: SlabWriter): Uint8Array[] {
  return Array.from({ length: sealed.count }, (_, i) =>
    sealed.buf(i).slice(sealed.start(i), sealed.end(i)),
  );
}

describe('SlabWriter', () => {
  it('holds no memory before a reserve, and after it has sealed', () => {
    const pool = new SlabPool({ debug: true });
    const out = new SlabWriter(pool, 4096, undefined, writeUtf8);
    const empty = { pos: 0, limit: 0 };
    expect(out).toMatchObject(empty);
    out.seal();
    expect([out.bytes.length, out.view.byteLength, pool.lent]).toEqual([0, 0, 0]);
    append(out, bytes(10));
    expect(out).toMatchObject({ pos: 10, limit: 4096 });
    out.seal();
    expect(out).toMatchObject(empty);
    expect([out.bytes.length, out.view.byteLength, pool.lent]).toEqual([0, 0, 1]);
    expect(contents(out)).toEqual([bytes(10)]);
    expect(out.sealed.startsFrame(0)).toBe(true);
    out.sealed.drop(0);
    expect(pool.lent).toBe(0);
  });

  it('releases an unused slab', () => {
    const pool = new SlabPool({ debug: true });
    const out = new SlabWriter(pool, 4096, undefined, writeUtf8);
    out.reserve(10);
    expect(pool.lent).toBe(1);
    out.seal();
    expect([pool.lent, out.sealed.count]).toEqual([0, 0]);
  });

  it('moves rarely, also where a pool lends no more than it is asked for', () => {
    const { asked, pool } = exactPool();
    const out = new SlabWriter(pool, 4096, undefined, writeUtf8);
    for (let i = 0; i < 640; i++) append(out, bytes(100));
    append(out, bytes(1000));
    expect(asked).toEqual([4096, 8192, 16384, 32768, LARGEST_SLAB]);
    expect([out.pos, out.sealed.count]).toEqual([65000, 0]);
  });

  it('moves to a larger slab as the pending bytes grow, and takes another when one is full', () => {
    const pool = new SlabPool({ debug: true });
    const out = new SlabWriter(pool, 4096, undefined, writeUtf8);
    append(out, bytes(4096, 1));
    const { bytes: first } = out;
    out.reserve(0);
    expect(out.bytes).toBe(first);
    append(out, bytes(1, 2));
    expect(out.limit).toBe(16384);
    expect(pool.lent).toBe(1);
    append(out, bytes(LARGEST_SLAB - 4097, 3));
    expect([out.pos, out.limit, out.sealed.count]).toEqual([LARGEST_SLAB, LARGEST_SLAB, 0]);
    append(out, bytes(1, 4));
    expect([out.pos, out.limit, out.sealed.count, pool.lent]).toEqual([1, LARGEST_SLAB, 1, 2]);
    out.seal();
    const [large, small] = contents(out);
    expect(large!.slice(0, 4096)).toEqual(bytes(4096, 1));
    expect(large!.slice(4096, 4097)).toEqual(bytes(1, 2));
    expect(Buffer.compare(large!.subarray(4097), bytes(LARGEST_SLAB - 4097, 3))).toBe(0);
    expect(small).toEqual(bytes(1, 4));
    out.sealed.drop(0);
    expect(pool.lent).toBe(0);
  });

  it('leases a first slab of the configured size, or with room for as much as recent turns', () => {
    const { asked, pool } = exactPool();
    const out = new SlabWriter(pool, 300, undefined, writeUtf8);
    for (const n of [10, 10, 1000, 10, 10, 10, 10]) {
      append(out, bytes(n));
      out.seal();
    }
    expect(asked).toEqual([300, 300, 1000, 1000, 500, 300, 300]);
  });

  it('moves no bytes in a turn of the same size as the turn before', () => {
    const { asked, pool } = exactPool();
    const out = new SlabWriter(pool, 4096, undefined, writeUtf8);
    for (let turn = 0; turn < 3; turn++) {
      for (let i = 0; i < 16; i++) append(out, bytes(1028));
      out.seal();
    }
    expect(asked).toEqual([4096, 8192, 16384, 32768, 16448, 16448]);
  });

  it('begins with a larger slab when more is reserved', () => {
    const out = new SlabWriter(new SlabPool(), 4096, undefined, writeUtf8);
    out.reserve(5000);
    expect(out.limit).toBe(16384);
  });

  it('uses at most the largest slab of a larger memory', () => {
    const pool = { take: () => ({ bytes: new Uint8Array(LARGEST_SLAB + 1), release: () => {} }) };
    const out = new SlabWriter(pool, 4096, undefined, writeUtf8);
    out.reserve(10);
    expect(out.limit).toBe(LARGEST_SLAB);
  });

  it.each([0, 1, 11, 12, 13, 100, 3000])('masks %d bytes in any memory', (n) => {
    const foreign = {
      take: (least: number) => ({
        bytes: new Uint8Array(least + 20).subarray(13),
        release: () => {},
      }),
    };
    for (const pool of [new SlabPool(), foreign]) {
      const out = new SlabWriter(pool, 4096, () => KEY, writeUtf8);
      append(out, bytes(3, 9));
      append(out, bytes(n), KEY);
      append(out, bytes(n), KEY);
      append(out, bytes(3, 9));
      out.seal();
      const [segment] = contents(out);
      expect(segment).toEqual(
        Uint8Array.of(...bytes(3, 9), ...masked(bytes(n)), ...masked(bytes(n)), ...bytes(3, 9)),
      );
    }
  });

  it('copies ranges of several payloads in any order', () => {
    const chunks = [bytes(1000, 1), Buffer.from(bytes(1000, 2)), bytes(1000, 3).subarray(500)];
    const out = new SlabWriter(new SlabPool(), 4096, undefined, writeUtf8);
    const expected: number[] = [];
    out.reserve(4096);
    for (const i of [0, 0, 1, 0, 2, 2, 1]) {
      const [start, end] = [expected.length % 97, (expected.length % 97) + 200];
      out.fill(out.pos, chunks[i]!, start, end, 0);
      out.pos += 200;
      expected.push(...chunks[i]!.subarray(start, end));
    }
    out.seal();
    expect(contents(out)).toEqual([Uint8Array.from(expected)]);
  });

  it('keeps no payload after a seal', () => {
    const payload = bytes(1000);
    const out = new SlabWriter(new SlabPool(), 4096, undefined, writeUtf8);
    out.reserve(1000);
    out.fill(0, payload, 0, 500, 0);
    out.pos = 500;
    expect(Object.values(out)).toContain(payload.buffer);
    out.seal();
    const values = Object.values(out);
    expect([values.includes(payload), values.includes(payload.buffer)]).toEqual([false, false]);
  });

  it('uses the SIMD kernel in its memory, from the first address on', () => {
    const xor = vi.spyOn(simd()!, 'xor');
    for (const memory of [new Uint8Array(simd()!.buffer, 0, 64), new Uint8Array(64)]) {
      const out = new SlabWriter(
        { take: () => ({ bytes: memory, release: () => {} }) },
        64,
        () => KEY,
        writeUtf8,
      );
      append(out, bytes(20));
      append(out, bytes(20), KEY);
      expect(memory.slice(0, 40)).toEqual(Uint8Array.of(...bytes(20), ...masked(bytes(20))));
    }
    expect(xor.mock.calls.map(([at, end]) => [at, end])).toEqual([[20, 40]]);
  });

  it('does not create the SIMD memory', async () => {
    const Memory = vi.fn(function refuse() {
      throw new RangeError('could not allocate memory');
    });
    vi.stubGlobal('WebAssembly', { Memory });
    vi.resetModules();
    const fresh = await import('../../src/frames/slab-writer.ts');
    const pool = { take: () => ({ bytes: new Uint8Array(64), release: () => {} }) };
    new fresh.SlabWriter(pool, 64, undefined, writeUtf8).reserve(1);
    new fresh.SlabWriter(pool, 64, () => KEY, writeUtf8).reserve(1);
    expect(Memory).not.toHaveBeenCalled();
  });

  it('reads the words of its slab once, for what is no shorter than twelve bytes', () => {
    let taken = 0;
    const slab = {
      bytes: new Uint8Array(64),
      release: () => {},
      get words() {
        taken++;
        return new BigInt64Array(this.bytes.buffer);
      },
    };
    const out = new SlabWriter({ take: () => slab }, 64, () => KEY, writeUtf8);
    append(out, bytes(11), KEY);
    append(out, bytes(11), KEY);
    expect(taken).toBe(0);
    append(out, bytes(12), KEY);
    append(out, bytes(12), KEY);
    expect(taken).toBe(1);
  });

  it('writes through its view to the same memory', () => {
    const pool = { take: () => ({ bytes: new Uint8Array(50).subarray(7), release: () => {} }) };
    const out = new SlabWriter(pool, 16, undefined, writeUtf8);
    out.reserve(4);
    out.view.setInt32(0, 0x01020304);
    expect(out.bytes.slice(0, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(out.view.byteLength).toBe(out.bytes.length);
  });

  it('records where the next frame begins after a frame of several slabs', () => {
    const out = new SlabWriter(new SlabPool(), 4096, undefined, writeUtf8);
    append(out, bytes(10));
    out.nextSlab();
    append(out, bytes(20));
    out.nextSlab();
    append(out, bytes(30));
    out.endLarge();
    append(out, bytes(5));
    out.seal();
    const { sealed } = out;
    expect([0, 1, 2].map((i) => sealed.startsFrame(i))).toEqual([true, false, false]);
    // The rest of a frame is kept whole, and no later frame.
    sealed.shift(1);
    sealed.truncate();
    expect(contents(out).map(({ length }) => length)).toEqual([20, 30]);
  });

  it('records no boundary for a frame within its slab', () => {
    const out = new SlabWriter(new SlabPool(), 4096, undefined, writeUtf8);
    append(out, bytes(10));
    out.endLarge();
    append(out, bytes(10));
    out.seal();
    expect(out.sealed.startsFrame(0)).toBe(true);
  });

  it('removes the appended bytes', () => {
    const pool = new SlabPool({ debug: true });
    const out = new SlabWriter(pool, 4096, undefined, writeUtf8);
    append(out, bytes(10));
    append(out, bytes(20));
    out.nextSlab();
    append(out, bytes(30));
    out.undo(0, 10);
    expect(contents(out)).toEqual([bytes(10)]);
    expect([out.pos, pool.lent]).toEqual([0, 1]);
  });
});
