// A FrameQueue whose frames other queues send too, or whose slab other queues use.
import { SlabPool } from '@ws/codec';
import { Arena, Batch, FrameQueue, FrameSlab, LARGEST_SLAB } from '@ws/codec/internal';
import { naiveEncode } from '@ws/tests';
import { afterEach, describe, expect, it } from 'vitest';
import { SLAB_PAYLOAD } from '../../src/frames/frame-queue.ts';
import { writeUtf8 } from '../../src/text/utf8-automaton.ts';
import { bytes, join } from '../support.ts';

const BINARY = 0x82;
const LEND_FROM = 1_000;

const pool = new SlabPool({ debug: true, simd: false });
const coding = { masks: false, nextKey: () => 0, writeUtf8 };

/** Queues of one slab. */
function queues(count: number): FrameQueue[] {
  const slab = new FrameSlab(pool, 4_096, false, pool);
  return Array.from(
    { length: count },
    () => new FrameQueue(slab, { ...coding, lendFrom: LEND_FROM }),
  );
}

function add(queue: FrameQueue, payload: Uint8Array): void {
  queue.addCopy(BINARY, payload, 0, payload.length);
}

/** A batch of one frame in an arena. */
function batchOf(payload: Uint8Array): Batch {
  const arena = new Arena(payload.length + 10);
  arena.addFrame(0, BINARY, payload);
  return new Batch(arena, 0, arena.used);
}

/** The wire bytes of each segment. Releases their memory. */
function flush(queue: FrameQueue): Uint8Array[] {
  const wire: Uint8Array[] = [];
  for (let chunk = queue.take(); chunk !== undefined; chunk = queue.take()) {
    wire.push(chunk.bytes.slice(chunk.start, chunk.end));
    chunk.release?.();
  }
  return wire;
}

const naive = (payload: Uint8Array): Uint8Array => naiveEncode(2, payload);
const SHARED = bytes(30, 1);
const OWN = bytes(20, 2);

afterEach(() => {
  expect(pool.lent).toBe(0);
});

describe('FrameQueue with a batch', () => {
  it('counts its bytes, and gives it to the transport without a copy', () => {
    const [queue] = queues(1);
    const batch = batchOf(SHARED);
    queue!.share(batch);
    expect(queue!.bytes).toBe(batch.size);
    expect(queue!.takeBatch()).toBe(batch);
    expect([queue!.bytes, queue!.batch, queue!.take()]).toEqual([0, undefined, undefined]);
  });

  it('takes it as a segment in the memory of the batch', () => {
    const [queue] = queues(1);
    const batch = batchOf(SHARED);
    queue!.share(batch);
    const segment = queue!.take()!;
    expect(segment.bytes).toBe(batch.arena.bytes);
    expect([segment.start, segment.end, segment.startsFrame]).toEqual([0, batch.end, true]);
    expect([queue!.bytes, queue!.take()]).toEqual([0, undefined]);
  });

  const lease = { bytes: new Uint8Array(new ArrayBuffer(64), 24, 20), release: () => {} };
  it.each<[what: string, add: (queue: FrameQueue) => void, payload: Uint8Array]>([
    ['a copied frame', (queue) => add(queue, OWN), OWN],
    ['a text', (queue) => queue.addText(BINARY, 'text'), new TextEncoder().encode('text')],
    ['a reference', (queue) => queue.addReference(BINARY, OWN, 0, 20, undefined), OWN],
    [
      'memory with room for a header',
      (queue) => {
        lease.bytes.set(OWN);
        queue.addPinned(BINARY, lease.bytes, 20, lease.release);
      },
      OWN,
    ],
    ['another batch', (queue) => queue.addShared(batchOf(OWN)), OWN],
  ])('sends it before %s, and leaves its bytes unchanged', (_what, addFrame, payload) => {
    const [queue] = queues(1);
    const batch = batchOf(SHARED);
    queue!.share(batch);
    addFrame(queue!);
    expect(queue!.batch).toBeUndefined();
    const wire = join([naive(SHARED), naive(payload)]);
    expect(queue!.bytes).toBe(wire.length);
    expect(join(flush(queue!))).toEqual(wire);
    expect(queue!.bytes).toBe(0);
    expect(batch.arena.bytes.subarray(0, batch.end)).toEqual(naive(SHARED));
  });

  it.each([[], [OWN]])('follows other frames without a copy, and is dropped whole', (...own) => {
    const [queue] = queues(1);
    const batch = batchOf(SHARED);
    for (const drops of [false, true]) {
      for (const payload of own) add(queue!, payload);
      queue!.addShared(batch);
      if (drops) queue!.truncate();
      const wire = drops ? [] : [...own, SHARED].map(naive);
      expect(queue!.bytes).toBe(join(wire).length);
      expect(flush(queue!)).toEqual(wire);
    }
  });

  it.each([
    ['copies', SLAB_PAYLOAD, false],
    ['does not copy', SLAB_PAYLOAD + 1, true],
  ])('%s a batch of %d bytes before another frame', (_, size, stays) => {
    const [queue] = queues(1);
    const batch = batchOf(bytes(size - 4, 1));
    queue!.share(batch);
    add(queue!, OWN);
    expect(queue!.bytes).toBe(size + OWN.length + 2);
    expect(queue!.first!.bytes === batch.arena.bytes).toBe(stays);
    const wire = flush(queue!);
    expect(wire.map(({ length }) => length)).toEqual([batch.size, OWN.length + 2]);
  });

  it('keeps it when the pool has no memory for a copy', () => {
    const slab = new FrameSlab(
      {
        take() {
          throw new Error('no memory');
        },
      },
      4_096,
      false,
    );
    const queue = new FrameQueue(slab, { ...coding, lendFrom: LEND_FROM });
    const batch = batchOf(SHARED);
    queue.share(batch);
    expect(() => add(queue, OWN)).toThrow('no memory');
    expect([queue.batch, queue.bytes]).toEqual([batch, batch.size]);
  });

  it('drops it', () => {
    for (const drop of ['discard', 'truncate'] as const) {
      const [queue] = queues(1);
      queue!.share(batchOf(SHARED));
      queue![drop]();
      expect([queue!.bytes, queue!.take()]).toEqual([0, undefined]);
    }
  });
});

describe('FrameQueue in a slab that other queues use', () => {
  it('copies few bytes that leave the slab, one after the other, to one segment that grows', () => {
    const [queue, other] = queues(2);
    for (let i = 0; i < 5; i++) {
      add(queue!, bytes(100, i));
      add(other!, OWN);
      flush(other!);
    }
    expect(queue!.first).toMatchObject({ startsFrame: true, grows: true, next: undefined });
    const wire = flush(queue!);
    expect(wire).toEqual([join(Array.from({ length: 5 }, (_, i) => naive(bytes(100, i))))]);
  });

  it('doubles the memory of these copies only when it is full', () => {
    const [queue, other] = queues(2);
    const memory: Uint8Array[] = [];
    for (let i = 0; i < 5; i++) {
      add(queue!, bytes(98, i));
      add(other!, OWN);
      flush(other!);
      memory.push(queue!.first!.bytes);
    }
    expect(memory.map(({ length }) => length)).toEqual([100, 400, 400, 400, 1_000]);
    expect(memory[3]).toBe(memory[1]);
    queue!.discard();
  });

  it.each([
    ['copies', LEND_FROM - 1, true],
    ['lends', LEND_FROM, false],
  ])('%s %d bytes that leave the slab', (_, size, grows) => {
    const [queue, other] = queues(2);
    add(queue!, bytes(size - 4, 1));
    const { lent } = pool;
    add(other!, OWN);
    expect([queue!.first!.grows, pool.lent]).toEqual([grows, lent]);
    expect(flush(queue!)).toEqual([naive(bytes(size - 4, 1))]);
    expect(flush(other!)).toEqual([naive(OWN)]);
  });

  it.each<[way: string, leave: (queue: FrameQueue, other: FrameQueue) => Uint8Array[]]>([
    [
      'move to memory of the queue',
      (queue, other) => {
        add(other, bytes(0));
        expect(queue.first!.grows).toBe(true);
        flush(other);
        return flush(queue);
      },
    ],
    [
      'are lent',
      (queue) => {
        const { out, start } = queue.slab;
        const wire = out.bytes.slice(start, out.pos);
        queue.lendSlab()();
        return [wire];
      },
    ],
    ['are copied', (queue) => [queue.copySlab()]],
  ])('counts its own bytes alone when they %s', (_way, leave) => {
    const [reader, queue, other] = queues(3);
    add(reader!, bytes(900));
    const { release } = reader!.take()!;
    add(queue!, OWN);
    expect([leave(queue!, other!), queue!.bytes]).toEqual([[naive(OWN)], 0]);
    release!();
  });

  it('begins another segment when a segment would exceed a slab', () => {
    const [queue, other] = queues(2);
    const payloads = Array.from({ length: LARGEST_SLAB / 512 + 1 }, (_, i) => bytes(508, i));
    for (const payload of payloads) {
      add(queue!, payload);
      add(other!, OWN);
      flush(other!);
    }
    const wire = flush(queue!);
    expect(wire.map(({ length }) => length)).toEqual([LARGEST_SLAB, 512]);
    expect(join(wire)).toEqual(join(payloads.map(naive)));
  });

  it('joins the frames in the slab to the copied ones, and to no other segment', () => {
    const [queue, other] = queues(2);
    add(queue!, bytes(100, 1));
    queue!.slabToTail();
    expect(queue!.first).toBeUndefined();
    add(other!, OWN);
    add(queue!, bytes(100, 2));
    queue!.slabToTail();
    expect(flush(queue!)).toEqual([join([naive(bytes(100, 1)), naive(bytes(100, 2))])]);
    queue!.addReference(BINARY, OWN, 0, 20, undefined);
    add(queue!, bytes(100, 2));
    queue!.slabToTail();
    expect(flush(queue!).length).toBe(3);
    flush(other!);
  });
});

describe('FrameQueue.truncate', () => {
  it('keeps the rest of a frame of which the transport has the first part', () => {
    const [queue] = queues(1);
    const released: string[] = [];
    queue!.addReference(BINARY, bytes(50, 1), 0, 50, () => released.push('rest'));
    queue!.addReference(BINARY, bytes(50, 2), 0, 50, () => released.push('dropped'));
    add(queue!, OWN);
    queue!.take()!.release?.();
    for (let calls = 0; calls < 2; calls++) queue!.truncate();
    expect([queue!.bytes, released]).toEqual([50, ['dropped']]);
    add(queue!, bytes(5, 3));
    expect(join(flush(queue!))).toEqual(join([bytes(50, 1), naive(bytes(5, 3))]));
    expect(released).toEqual(['dropped', 'rest']);
  });

  it('drops all frames when the transport has whole frames', () => {
    const [queue] = queues(1);
    add(queue!, OWN);
    queue!.take()!.release?.();
    queue!.addReference(BINARY, OWN, 0, 20, undefined);
    queue!.truncate();
    expect([queue!.bytes, queue!.take()]).toEqual([0, undefined]);
  });
});
