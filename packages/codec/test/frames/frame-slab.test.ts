// Frames of several connections in one slab, with the classes that @ws/conn shares.
import { type Slab, SlabPool, type SlabSource, sharedMessageBuffers } from '@ws/codec';
import {
  type FrameCoding,
  FrameQueue,
  FrameSlab,
  LARGEST_SLAB,
  noRelease,
} from '@ws/codec/internal';
import { naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { SLAB_PAYLOAD } from '../../src/frames/frame-queue.ts';
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

  it('stays leased until the last transport releases its bytes', () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      const { slab, pool } = slabAndPool();
      const chunks = [0, 1, 2].map((i) => {
        const queue = new FrameQueue(slab, coding());
        add(queue, bytes(100, i));
        return take(queue);
      });
      for (const i of order) {
        expect([pool.lent, pool.asked.length]).toEqual([1, 1]);
        expect(chunks[i]!.wire).toEqual(naive(bytes(100, i)));
        chunks[i]!.release();
      }
      expect(pool.lent).toBe(kept);
    }
  });

  it('ignores the second release of a transport', () => {
    const { slab, pool } = slabAndPool();
    const [a, b, c] = [0, 1, 2].map(() => new FrameQueue(slab, coding()));
    add(a!, bytes(50, 1));
    const first = take(a!);
    add(b!, bytes(50, 2));
    const second = take(b!);
    first.release();
    first.release();
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

  it('is replaced when it is full, and released by the last transport that reads it', () => {
    const { slab, pool } = slabAndPool();
    const queue = new FrameQueue(slab, coding());
    add(queue, bytes(4_000, 1));
    const first = take(queue);
    add(queue, bytes(4_000, 2));
    expect(pool.lent).toBe(2);
    first.release();
    expect(pool.lent).toBe(1);
    expect(flush(queue)).toEqual(naive(bytes(4_000, 2)));
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

  it('has no frame after its user removes them, and continues after bytes that are lent', () => {
    const { slab, pool } = slabAndPool();
    const queue = new FrameQueue(slab, coding());
    add(queue, bytes(50, 1));
    const { wire, release } = take(queue);
    add(queue, bytes(50, 2));
    slab.removeFrames(queue);
    expect([slab.hasFramesOf(queue), pool.lent]).toEqual([false, 1]);
    add(new FrameQueue(slab, coding()), bytes(50, 3));
    expect(wire).toEqual(naive(bytes(50, 1)));
    release();
    expect(pool.lent).toBe(1);
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

  it('rejects a text whose writeUtf8 takes or drops the frames, and mixes no bytes', () => {
    for (const drops of [true, false]) {
      const { slab, pool } = slabAndPool();
      const reader = new FrameQueue(slab, coding());
      add(reader, bytes(30));
      const held = take(reader);
      const sent: Uint8Array[] = [];
      const writeUtf8 = (): number => {
        if (drops) queue.discard();
        else sent.push(flush(queue));
        return 1;
      };
      const queue: FrameQueue = new FrameQueue(slab, coding({ writeUtf8 }));
      add(queue, bytes(10));
      expect(() => queue.addText(TEXT, 'é')).toThrow(new Error(MISUSED));
      add(queue, bytes(20));
      sent.push(flush(queue));
      expect(sent).toEqual([...(drops ? [] : [naive(bytes(10))]), naive(bytes(20))]);
      expect(held.wire).toEqual(naive(bytes(30)));
      held.release();
      expect(pool.lent).toBe(kept);
    }
  });

  it.each([0, 1])('writes the frame for which its pool sends %d earlier ones', (before) => {
    const { slab, pool } = slabAndPool();
    const queue = new FrameQueue(slab, coding());
    for (let i = 0; i < before; i++) add(queue, bytes(10));
    const sent: Uint8Array[] = [];
    pool.within = () => sent.push(flush(queue));
    add(queue, bytes(5_000));
    sent.push(flush(queue));
    const earlier = Array.from({ length: before }, () => naive(bytes(10)));
    expect(join(sent)).toEqual(join([...earlier, naive(bytes(5_000))]));
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

  it('keeps the frames of a connection whose next frame fails', () => {
    const { slab, pool } = slabAndPool();
    const queue = new FrameQueue(
      slab,
      coding({
        writeUtf8() {
          throw new Error('mine');
        },
      }),
    );
    add(queue, bytes(50));
    expect(() => queue.addText(TEXT, 'é')).toThrow('mine');
    pool.within = () => {
      throw new Error('no slab');
    };
    expect(() => add(queue, bytes(5_000))).toThrow('no slab');
    expect(queue.bytes).toBe(52);
    expect(flush(queue)).toEqual(naive(bytes(50)));
    expect(pool.lent).toBe(kept);
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

  it('is filled to its last byte, also by frames that move to a larger one', () => {
    const pool = new RecordingPool();
    const queue = new FrameQueue(new FrameSlab(pool, 4_096, false), coding());
    for (const size of [1_000, 3_096]) add(queue, bytes(size - 4));
    expect([pool.asked.length, flush(queue).length]).toEqual([1, 4_096]);
    for (const size of [1_000, LARGEST_SLAB - 1_000]) add(queue, bytes(size - 4));
    const { start, end, release } = queue.take()!;
    expect([start, end, queue.bytes]).toEqual([0, LARGEST_SLAB, 0]);
    release!();
    expect(pool.lent).toBe(0);
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

  it('has room for the unsent frames alone, and next for as many', () => {
    const pool = new RecordingPool();
    const queue = new FrameQueue(new FrameSlab(pool, LARGEST_SLAB, false), coding());
    add(queue, bytes(40_000 - 4));
    const held = take(queue);
    for (const size of [500, 25_100]) add(queue, bytes(size - 4));
    const { start, end, release } = queue.take()!;
    expect([start, end, queue.bytes, pool.lent]).toEqual([0, 25_600, 0, 2]);
    for (const each of [held.release, release!]) each();
    expect(pool.lent).toBe(0);
  });

  it('expects as many bytes as left last, not those that a transport still reads', () => {
    const pool = new RecordingPool();
    const queue = new FrameQueue(new FrameSlab(pool, 1, false), coding());
    const releases = [1, 2].map(() => {
      add(queue, bytes(500 - 4));
      return take(queue).release;
    });
    for (const release of releases) release();
    add(queue, bytes(1));
    expect(pool.asked.map(([minBytes]) => minBytes)).toEqual([500, 500]);
    queue.discard();
    expect(pool.lent).toBe(0);
  });

  it('starts at its first byte when no transport reads it', () => {
    const pool = new RecordingPool();
    const slab = new FrameSlab(pool, 4_096, true);
    const queue = new FrameQueue(slab, coding());
    for (let i = 0; i < 20; i++) {
      add(queue, bytes(1_000));
      expect(slab.start).toBe(0);
      expect(flush(queue).length).toBe(1_004);
    }
    expect(pool.asked.length).toBe(1);
  });

  it('is not replaced when its user takes the frames out of a full slab', () => {
    const asked: number[] = [];
    const lend = (minBytes: number): Slab => {
      asked.push(minBytes);
      return { bytes: new Uint8Array(minBytes), release() {} };
    };
    // The third frame fits the slab to its last byte.
    const slab = new FrameSlab({ take: lend }, SLAB_PAYLOAD + 4, true);
    const queue = new FrameQueue(slab, { ...coding(), lendFrom: LARGEST_SLAB });
    const payloads = [bytes(40_000, 1), bytes(40_000, 2), bytes(SLAB_PAYLOAD, 3)];
    for (const payload of payloads) add(queue, payload);
    expect(asked).toEqual([SLAB_PAYLOAD + 4]);
    expect(Buffer.compare(flush(queue), join(payloads.map((each) => naive(each))))).toBe(0);
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
