// Frames of several connections in one slab, with the classes that @ws/conn shares.
import { SlabPool, type SlabSource, sharedMessageBuffers } from '@ws/codec';
import { type FrameCoding, FrameQueue, FrameSlab, noRelease } from '@ws/codec/internal';
import { naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytes, join } from '../support.ts';

const KEY = 0x37fa213d;
const BINARY = 0x82;
const TEXT = 0x81;
const MISUSED = 'writeUtf8 and pools must not send, flush or drop frames';
/** Slabs are kept, or are released when they are empty. */
const KEEPS = [true, false];

/** A pool that records what it is asked for. */
class RecordingPool implements SlabSource {
  readonly asked: [minBytes: number, masks: boolean | undefined][] = [];
  readonly #lender = new SlabPool({ debug: true, simd: false });

  get lent(): number {
    return this.#lender.lent;
  }

  /** Called before each lease. */
  within = (): void => {};

  take(minBytes: number, masks?: boolean) {
    this.asked.push([minBytes, masks]);
    this.within();
    return this.#lender.take(minBytes);
  }
}

/** Writes a text as its length in bytes, each of `fill`: shows whose function has run. */
const writerOf =
  (fill: number): FrameCoding['writeUtf8'] =>
  (into, at, text) => {
    into.fill(fill, at, at + text.length);
    return text.length;
  };

function coding(options: Partial<FrameCoding> = {}): FrameCoding {
  return { masks: false, nextKey: () => KEY, writeUtf8: writerOf(0), ...options };
}

function add(queue: FrameQueue, payload: Uint8Array): void {
  queue.addCopy(BINARY, payload, 0, payload.length);
}

/** Takes all frames out of a queue. Their memory stays lent. */
function take(queue: FrameQueue): { wire: Uint8Array; release: () => void } {
  const chunks: Uint8Array[] = [];
  const releases: (() => void)[] = [];
  for (let chunk = queue.take(); chunk !== undefined; chunk = queue.take()) {
    chunks.push(chunk.bytes.subarray(chunk.start, chunk.end));
    releases.push(chunk.release ?? noRelease);
  }
  return { wire: join(chunks), release: () => releases.forEach((release) => release()) };
}

/** Takes all frames out of a queue and releases their memory. */
function flush(queue: FrameQueue): Uint8Array {
  const { wire, release } = take(queue);
  const copy = wire.slice();
  release();
  return copy;
}

const naive = (payload: Uint8Array, options: object = {}): Uint8Array =>
  naiveEncode(2, payload, options);

describe.each(KEEPS)('a FrameSlab of several connections, kept: %s', (keeps) => {
  const kept = keeps ? 1 : 0;

  function slabAndPool(): { slab: FrameSlab; pool: RecordingPool } {
    const pool = new RecordingPool();
    return { slab: new FrameSlab(pool, 4_096, keeps), pool };
  }

  it('sends to each its frames, in order, although they alternate', () => {
    const { slab, pool } = slabAndPool();
    const server = new FrameQueue(slab, coding());
    const client = new FrameQueue(slab, coding({ masks: true }));
    const expected: [Uint8Array[], Uint8Array[]] = [[], []];
    for (const length of [5, 100, 300, 2_000, 0, 9_000, 7]) {
      add(server, bytes(length, 1));
      expected[0].push(naive(bytes(length, 1)));
      add(client, bytes(length, 2));
      expected[1].push(naive(bytes(length, 2), { mask: KEY }));
    }
    expect([server.bytes, client.bytes]).toEqual(expected.map((frames) => join(frames).length));
    expect(flush(server)).toEqual(join(expected[0]));
    expect(flush(client)).toEqual(join(expected[1]));
    expect([server.bytes, client.bytes, pool.lent]).toEqual([0, 0, kept]);
  });

  it('writes the text of each with its function', () => {
    const { slab } = slabAndPool();
    const queues = [1, 2].map((i) => new FrameQueue(slab, coding({ writeUtf8: writerOf(i) })));
    for (const text of ['x'.repeat(20), 'y'.repeat(30)]) {
      for (const queue of queues) queue.addText(TEXT, text);
    }
    const frame = (fill: number, length: number): Uint8Array =>
      naiveEncode(1, new Uint8Array(length).fill(fill));
    expect(queues.map(flush)).toEqual([
      join([frame(1, 20), frame(1, 30)]),
      join([frame(2, 20), frame(2, 30)]),
    ]);
  });

  it.each([true, false])('ends no other lease by a second release, with debug %s', (debug) => {
    const pool = new SlabPool({ debug, simd: false });
    const slab = new FrameSlab(pool, 4_096, keeps);
    const [a, b, c] = [0, 1, 2].map(() => new FrameQueue(slab, coding()));
    add(a!, bytes(50, 1));
    const first = take(a!);
    add(b!, bytes(50, 2));
    const second = take(b!);
    first.release();
    if (debug) expect(first.release).toThrow('chunk released twice');
    else first.release();
    expect(pool.lent).toBe(1);
    add(c!, bytes(50, 3));
    expect(second.wire).toEqual(naive(bytes(50, 2)));
    second.release();
    expect(flush(c!)).toEqual(naive(bytes(50, 3)));
    expect(pool.lent).toBe(kept);
  });

  it('writes no frame over bytes that a transport reads, in a slab of any room', () => {
    const { slab, pool } = slabAndPool();
    const queue = new FrameQueue(slab, coding());
    const held = [1_000, 1_000, 1_000, 1_000, 60_000, 5_000, 10].map((length, i) => {
      add(queue, bytes(length, i));
      return { expected: naive(bytes(length, i)), ...take(queue) };
    });
    for (const { wire, expected } of held) expect(Buffer.compare(wire, expected)).toBe(0);
    expect(pool.lent).toBeGreaterThan(1);
    for (const { release } of held) release();
    expect(pool.lent).toBe(kept);
  });

  it('keeps the frames of others when a connection drops its frames', () => {
    const { slab, pool } = slabAndPool();
    const [a, b] = [new FrameQueue(slab, coding()), new FrameQueue(slab, coding())];
    add(a, bytes(50, 1));
    add(b, bytes(50, 2));
    a.discard();
    a.spill();
    slab.removeFrames(a);
    expect(slab.hasFramesOf(b)).toBe(true);
    add(b, bytes(60, 2));
    expect(flush(b)).toEqual(join([naive(bytes(50, 2)), naive(bytes(60, 2))]));
    expect([a.bytes, flush(a).length, pool.lent]).toEqual([0, 0, kept]);
  });

  it('rejects the frame of another connection within writeUtf8, and mixes no bytes', () => {
    const { slab, pool } = slabAndPool();
    const other = new FrameQueue(slab, coding());
    for (const before of [0, 1]) {
      const inner: unknown[] = [];
      const writeUtf8 = (): number => {
        for (const length of [5, 5_000]) {
          expect(() => add(other, bytes(length))).toThrow(new Error(MISUSED));
        }
        inner.push(other.bytes);
        return 1;
      };
      const queue = new FrameQueue(slab, coding({ writeUtf8 }));
      for (let i = 0; i < before; i++) add(queue, bytes(10));
      queue.addText(TEXT, 'é');
      expect(inner).toEqual([0]);
      expect(naiveEncode(2, bytes(10)).length * before + 3).toBe(queue.bytes);
      expect(flush(queue).subarray(0, -1)).toEqual(
        join([...Array.from({ length: before }, () => naive(bytes(10))), Uint8Array.of(TEXT, 1)]),
      );
    }
    add(other, bytes(5));
    expect(flush(other)).toEqual(naive(bytes(5)));
    expect(pool.lent).toBe(kept);
  });

  it('rejects a frame while the frames of another connection cannot leave, and keeps those', () => {
    const { slab, pool } = slabAndPool();
    class StuckQueue extends FrameQueue {
      stuck = true;
      override spill(): void {
        if (this.stuck) throw new Error('no memory');
        super.spill();
      }
    }
    const first = new StuckQueue(slab, coding());
    const second = new FrameQueue(slab, coding());
    add(first, bytes(50, 1));
    expect(() => add(second, bytes(50, 2))).toThrow('no memory');
    expect(second.bytes).toBe(0);
    first.stuck = false;
    add(second, bytes(50, 2));
    expect(flush(first)).toEqual(naive(bytes(50, 1)));
    expect(flush(second)).toEqual(naive(bytes(50, 2)));
    expect(pool.lent).toBe(kept);
  });

  it('rejects the frame of another connection within its pool, and mixes no bytes', () => {
    const { slab, pool } = slabAndPool();
    const [queue, other] = [new FrameQueue(slab, coding()), new FrameQueue(slab, coding())];
    let calls = 0;
    pool.within = () => {
      calls++;
      expect(() => add(other, bytes(5))).toThrow(new Error(MISUSED));
    };
    add(queue, bytes(3_000));
    add(queue, bytes(3_000));
    expect(calls).toBe(2);
    expect(flush(queue)).toEqual(join([naive(bytes(3_000)), naive(bytes(3_000))]));
    pool.within = () => {};
    add(other, bytes(5));
    expect(flush(other)).toEqual(naive(bytes(5)));
    expect(pool.lent).toBe(kept);
  });

  it.each(['writeUtf8', 'pool'])('keeps nothing of a frame whose %s fails', (fails) => {
    const { slab, pool } = slabAndPool();
    const fail = (): never => {
      throw new Error('mine');
    };
    const failing = new FrameQueue(slab, coding({ writeUtf8: fail }));
    const other = new FrameQueue(slab, coding());
    for (const others of [0, 1]) {
      for (let i = 0; i < others; i++) add(other, bytes(3_000));
      pool.within = fails === 'pool' ? fail : () => {};
      // A slab that is kept has room for a short text.
      const text = 'é'.repeat(fails === 'pool' ? 5_000 : 1);
      expect(() => failing.addText(TEXT, text)).toThrow('mine');
      pool.within = () => {};
      expect([failing.bytes, slab.hasFramesOf(failing)]).toEqual([0, false]);
      expect(Object.values(slab.out)).not.toContain(fail);
      expect(flush(other).length).toBe(others * 3_004);
      expect(pool.lent).toBe(fails === 'pool' && others === 0 ? 0 : kept);
    }
    add(other, bytes(5));
    expect(flush(other)).toEqual(naive(bytes(5)));
  });

  it('refers to no connection, payload or function when its frames have left', () => {
    const { slab, pool } = slabAndPool();
    const payload = bytes(1_000);
    const mine = coding();
    const queue = new FrameQueue(slab, mine);
    const ways: (() => () => void)[] = [
      () => take(queue).release,
      () => {
        queue.discard();
        return noRelease;
      },
      () => {
        slab.removeFrames(queue);
        return noRelease;
      },
    ];
    for (const leave of ways) {
      queue.addCopy(BINARY, payload, 0, 500);
      const out = Object.values(slab.out);
      for (const each of [payload, payload.buffer, mine.writeUtf8]) expect(out).toContain(each);
      const release = leave();
      const left = [...Object.values(slab), ...Object.values(slab.out)];
      for (const each of [payload, payload.buffer, mine.writeUtf8, queue]) {
        expect(left).not.toContain(each);
      }
      release();
    }
    const views = Object.values(slab.out).filter((value) => ArrayBuffer.isView(value));
    expect([pool.lent, views.some(({ byteLength }) => byteLength > 0)]).toEqual([kept, keeps]);
  });
});

describe('a FrameSlab', () => {
  it('asks for memory for masking when its frames are masked', () => {
    for (const masks of [true, false]) {
      const pool = new RecordingPool();
      const queue = new FrameQueue(new FrameSlab(pool, 4_096, false, pool), coding({ masks }));
      add(queue, bytes(100));
      expect(pool.asked).toEqual([[4_096, masks]]);
      if (masks) add(queue, bytes(70_000));
      if (masks) expect(pool.asked[1]).toEqual([70_016, true]);
      queue.discard();
    }
  });

  it('has room for the key of a client after frames of a server', () => {
    const pool = new RecordingPool();
    const slab = new FrameSlab(pool, 4_096, false);
    const server = new FrameQueue(slab, coding());
    const client = new FrameQueue(slab, coding({ masks: true }));
    add(server, bytes(996));
    // Without a key the frame would fill the slab to its last byte.
    add(client, bytes(3_092));
    expect(flush(client)).toEqual(naive(bytes(3_092), { mask: KEY }));
    expect(flush(server)).toEqual(naive(bytes(996)));
    expect(pool.lent).toBe(0);
  });

  it('lends message buffers for large frames, once for each', () => {
    const buffers = sharedMessageBuffers();
    const { lent } = buffers;
    for (const masks of [true, false]) {
      const pool = new RecordingPool();
      const queue = new FrameQueue(new FrameSlab(pool, 4_096, false), coding({ masks }));
      add(queue, bytes(100_000));
      const { wire, release } = take(queue);
      expect([buffers.lent, pool.asked]).toEqual([lent + 1, []]);
      expect(Buffer.compare(wire, naive(bytes(100_000), masks ? { mask: KEY } : {}))).toBe(0);
      release();
      const again = buffers.take(100_000);
      release();
      expect(buffers.lent).toBe(lent + 1);
      buffers.give(again);
    }
    expect(buffers.lent).toBe(lent);
  });
});
