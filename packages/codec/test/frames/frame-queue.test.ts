// What a queue does with frames until a transport gets them.
import { type FrameEncoder, type Role, SlabPool } from '@ws/codec';
import { FrameQueue, FrameSlab, simdReadBuffer } from '@ws/codec/internal';
import { describe, expect, it } from 'vitest';
import { writeUtf8 } from '../../src/text/utf8-automaton.ts';
import { bytes, chunksOf, encoderOf, flush, join, KEY, naiveFrame as naive } from '../support.ts';

const MINE = new Error('mine');
/** All tests share it: a pool keeps slabs of the thread's SIMD memory for reuse. */
const pool = new SlabPool({ debug: true });

const make = (role: Role, options: object = {}): FrameEncoder =>
  encoderOf(role, { pool, ...options });

describe.each(['server', 'client'] as const)('the release of a copied payload, as a %s', (role) => {
  const lengths = [20, 5_000, 100_000];

  it('is called once, when the payload may change', () => {
    const encoder = make(role, { borrowFrom: Infinity });
    for (const length of lengths) {
      const payload = bytes(length);
      let calls = 0;
      encoder.frame(2, true, 0, payload, 0, length, () => {
        calls++;
        payload.fill(0xff);
      });
      expect(calls).toBe(1);
    }
    const expected = join(lengths.map((length) => naive(role, 2, bytes(length))));
    expect(Buffer.compare(flush(encoder), expected)).toBe(0);
    expect(pool.lent).toBe(0);
  });

  it.each([
    { does: 'flushes the encoder', sends: true },
    { does: 'drops the frames', sends: false },
  ])('that $does and throws counts no byte twice', ({ sends }) => {
    for (const before of [0, 1]) {
      const encoder = make(role);
      const sent: Uint8Array[] = [];
      for (let i = 0; i < before; i++) encoder.frame(9, true, 0, bytes(3));
      const release = (): never => {
        if (sends) sent.push(flush(encoder));
        else encoder.discard();
        throw MINE;
      };
      expect(() => encoder.frame(2, true, 0, bytes(20), 0, 20, release)).toThrow(MINE);
      expect([encoder.pending, pool.lent]).toEqual([0, 0]);
      const pings = Array.from({ length: before }, () => naive(role, 9, bytes(3)));
      expect(join(sent)).toEqual(sends ? join([...pings, naive(role, 2, bytes(20))]) : bytes(0));
      encoder.frame(2, true, 0, bytes(7));
      expect(flush(encoder)).toEqual(naive(role, 2, bytes(7)));
    }
  });

  it('that flushes, appends a frame of the same size and throws leaves the new frame', () => {
    const encoder = make(role);
    const sent: Uint8Array[] = [];
    const release = (): never => {
      sent.push(flush(encoder));
      encoder.frame(2, true, 0, bytes(20, 2));
      throw MINE;
    };
    expect(() => encoder.frame(2, true, 0, bytes(20, 1), 0, 20, release)).toThrow(MINE);
    sent.push(flush(encoder));
    expect(sent).toEqual([naive(role, 2, bytes(20, 1)), naive(role, 2, bytes(20, 2))]);
  });

  it.each([3, 80_000])('that appends a frame of %d bytes and throws leaves both', (length) => {
    const encoder = make(role);
    const release = (): never => {
      encoder.frame(2, true, 0, bytes(length));
      throw MINE;
    };
    expect(() => encoder.frame(2, true, 0, bytes(20), 0, 20, release)).toThrow(MINE);
    const expected = join([naive(role, 2, bytes(20)), naive(role, 2, bytes(length))]);
    expect(encoder.pending).toBe(expected.length);
    expect(Buffer.compare(flush(encoder), expected)).toBe(0);
    expect(pool.lent).toBe(0);
  });
});

describe.each(['server', 'client'] as const)('a text of several pieces, as a %s', (role) => {
  it.each([1, 3, 20])('releases its memory when writeUtf8 throws at call %d', (failing) => {
    let calls = 0;
    const encoder = make(role, {
      writeUtf8(into: Uint8Array, at: number, text: string) {
        if (++calls === failing) throw MINE;
        return writeUtf8(into, at, text);
      },
    });
    encoder.frame(2, true, 0, bytes(5));
    expect(() => encoder.text(1, true, 0, 'ä'.repeat(99_000))).toThrow(MINE);
    expect([calls, pool.lent]).toEqual([failing, 1]);
    expect(flush(encoder)).toEqual(naive(role, 2, bytes(5)));
    expect(pool.lent).toBe(0);
  });
});

describe('writeUtf8', () => {
  it.each([5_000, 50_000])('gets whole characters in short pieces, of %d', (characters) => {
    const pieces: string[] = [];
    const encoder = make('server', {
      writeUtf8: (into: Uint8Array, at: number, text: string) => {
        pieces.push(text);
        return writeUtf8(into, at, text);
      },
    });
    // The first piece would end within a character.
    const text = `x${'😀'.repeat(characters)}`;
    encoder.text(1, true, 0, text);
    encoder.discard();
    expect(pieces.every((piece) => piece.endsWith('😀'))).toBe(true);
    expect(pieces[0]!.length).toBe(4_095);
    expect(Math.max(...pieces.map(({ length }) => length))).toBe(4_096);
    expect(pieces.join('') === text).toBe(true);
  });

  it.each([0, 1, 3 * 30])('may return %d for a text of 30 units', (written) => {
    const encoder = make('server', {
      writeUtf8: (into: Uint8Array, at: number) => {
        into.fill(7, at, at + written);
        return written;
      },
    });
    expect(encoder.text(1, true, 0, 'x'.repeat(30))).toBe(2 + written);
    expect(flush(encoder)).toEqual(naive('server', 1, new Uint8Array(written).fill(7)));
  });
});

describe.each(['server', 'client'] as const)('parts of payloads, as a %s', (role) => {
  it('are copied from any memory, alternating', () => {
    const encoder = make(role);
    const memory = simdReadBuffer()!;
    memory.set(bytes(4_000, 1));
    const large = bytes(4_000, 2);
    const payloads = [memory, large, memory.subarray(100), large.subarray(33), Buffer.from(large)];
    const expected: Uint8Array[] = [];
    for (const length of [0, 10, 71, 72, 73, 500, 2_000]) {
      for (const payload of payloads) {
        for (const start of [0, 5, 6]) {
          encoder.frame(2, true, 0, payload, start, start + length);
          expected.push(naive(role, 2, payload.slice(start, start + length)));
        }
      }
    }
    expect(Buffer.compare(flush(encoder), join(expected))).toBe(0);
    expect(Buffer.compare(memory.subarray(0, 4_000), bytes(4_000, 1))).toBe(0);
  });
});

describe('FrameQueue', () => {
  function queueOf(masks = false): FrameQueue {
    const slab = new FrameSlab(pool, 4_096, false, pool);
    return new FrameQueue(slab, { masks, nextKey: () => KEY, writeUtf8 });
  }

  it('has a key for each frame of a client, and 0 for those of a server', () => {
    expect([queueOf(true).nextKey(), queueOf(false).nextKey()]).toEqual([KEY, 0]);
  });

  it('says where a frame begins, and lets no frame grow into memory that it borrows', () => {
    const queue = queueOf();
    const payload = bytes(100);
    queue.addCopy(0x82, bytes(5), 0, 5);
    queue.addReference(0x82, payload, 10, 90, undefined);
    queue.addCopy(0x82, bytes(70_000), 0, 70_000);
    queue.addText(0x81, 'end');
    const seen: unknown[] = [];
    for (let chunk = queue.take(); chunk !== undefined; chunk = queue.take()) {
      const { start, end, startsFrame, grows, release } = chunk;
      seen.push([end - start, startsFrame, grows]);
      release?.();
    }
    expect(seen).toEqual([
      [7 + 2, true, false],
      [80, false, false],
      [70_010, true, false],
      [5, true, false],
    ]);
    expect([queue.bytes, pool.lent]).toEqual([0, 0]);
  });

  it('appends frames after all earlier ones are taken', () => {
    const encoder = make('server', { borrowFrom: 10 });
    for (let turn = 0; turn < 3; turn++) {
      encoder.frame(2, true, 0, bytes(20, turn));
      encoder.frame(2, true, 0, bytes(5, turn));
      expect(join(chunksOf(encoder))).toEqual(
        join([naive('server', 2, bytes(20, turn)), naive('server', 2, bytes(5, turn))]),
      );
    }
  });

  it('appends frames after those that are not taken yet', () => {
    const queue = queueOf();
    const sent: Uint8Array[] = [];
    for (const i of [0, 1, 2, 3]) {
      queue.addCopy(0x82, bytes(70_000, i), 0, 70_000);
      if (i < 2) continue;
      const { bytes: memory, start, end, release } = queue.take()!;
      sent.push(memory.slice(start, end));
      release!();
    }
    const expected = [0, 1].map((i) => naive('server', 2, bytes(70_000, i)));
    expect(sent.map((wire, i) => Buffer.compare(wire, expected[i]!))).toEqual([0, 0]);
    expect(queue.bytes).toBe(2 * 70_010);
    queue.discard();
    expect([queue.bytes, pool.lent]).toEqual([0, 0]);
  });

  it('rejects a range of no numbers, and keeps the frames before it', () => {
    const queue = queueOf();
    queue.addCopy(0x82, bytes(5), 0, 5);
    expect(() => queue.addCopy(0x82, bytes(5), 0, Number.NaN)).toThrow(
      new RangeError('the frame does not fit the slab'),
    );
    expect(queue.bytes).toBe(7);
    const { bytes: memory, start, end, release } = queue.take()!;
    expect(memory.slice(start, end)).toEqual(naive('server', 2, bytes(5)));
    release!();
    expect(pool.lent).toBe(0);
  });

  /** A queue, and the sizes of the memory that it takes for large frames. */
  function largeOf(): { queue: FrameQueue; takes: number[] } {
    const takes: number[] = [];
    const source = {
      take(size: number) {
        takes.push(size);
        return { bytes: new Uint8Array(size), release: () => {} };
      },
    };
    const coding = { masks: false, nextKey: () => KEY, writeUtf8 };
    return { queue: new FrameQueue(new FrameSlab(pool, 4_096, false, source), coding), takes };
  }

  it('encodes a long ASCII text in one piece of memory', () => {
    const { queue, takes } = largeOf();
    expect(queue.addText(0x81, 'x'.repeat(6 * 4_096))).toBe(6 * 4_096 + 4);
    expect(takes.length).toBe(1);
  });

  it('takes memory for a frame that no slab has room for: of its size, and of 16 bytes before', () => {
    const { queue, takes } = largeOf();
    queue.addCopy(0x82, bytes(80_000), 10_000, 75_520);
    queue.addText(0x81, 'x'.repeat(21_840));
    expect(takes).toEqual([]);
    queue.addCopy(0x82, bytes(80_000), 10_000, 75_521);
    expect(takes).toEqual([65_521 + 16]);
    queue.discard();
    expect(pool.lent).toBe(0);
  });

  it('calls every release of dropped frames, and throws the first error', () => {
    const queue = queueOf();
    const released: number[] = [];
    for (const i of [0, 1, 2]) {
      queue.addReference(0x82, bytes(20), 0, 20, () => {
        released.push(i);
        if (i > 0) throw new Error(`release ${i}`);
      });
    }
    expect(() => queue.discard()).toThrow(new Error('release 1'));
    expect([released, queue.bytes, pool.lent]).toEqual([[0, 1, 2], 0, 0]);
    queue.discard();
    expect(released.length).toBe(3);
  });
});
