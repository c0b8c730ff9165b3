import type { Transport } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { turn } from '../kit/fake-platform.ts';
import { RecordingSink } from '../kit/recording-sink.ts';

/** The two ends of a connection, not started. */
export interface TransportPair {
  readonly near: Transport;
  readonly far: Transport;
  /** Called after each rule, which has destroyed both ends. */
  readonly dispose?: () => void | Promise<void>;
}

/** A rule of all transports. The title continues "a transport …". */
export interface TransportRule {
  readonly title: string;
  readonly check: (pair: TransportPair) => Promise<void>;
}

/** Larger than the buffers of the kernel and two high-water marks together. */
const A_LOT = 64 * 1024 * 1024;

/**
 * Checks the rules of `Transport` in a `describe`.
 *
 * @param makePair - Creates a connection for each rule. It must not deliver bytes by itself.
 */
export function transportContract(
  name: string,
  makePair: () => TransportPair | Promise<TransportPair>,
): void {
  describe(`${name}, as a transport,`, () => {
    it.each(transportRules)('$title', async ({ check }) => {
      const pair = await makePair();
      try {
        await check(pair);
      } finally {
        pair.near.destroy();
        pair.far.destroy();
        await pair.dispose?.();
      }
    });
  });
}

const rules: Readonly<Record<string, TransportRule['check']>> = {
  'delivers written bytes in order, in both directions': async ({ near, far }) => {
    const [left, right] = start(near, far);
    for (const [from, to] of [
      [near, right],
      [far, left],
    ] as const) {
      const sent = pieces([1, 2, 3, 1000, 1, 65_536, 7]);
      for (const piece of sent) from.write(piece);
      await to.until(() => to.size >= total(sent));
      expectSame(to.received, Buffer.concat(sent));
    }
  },
  'delivers a thousand single bytes and a chunk of 5 MiB': async ({ near, far }) => {
    const [, right] = start(near, far);
    const sent = pieces([...Array<number>(1000).fill(1), 5 * 1024 * 1024]);
    for (const piece of sent) near.write(piece);
    await right.until(() => right.size >= total(sent));
    expectSame(right.received, Buffer.concat(sent));
  },
  'delivers nothing before start has returned': async ({ near, far }) => {
    far.start(new RecordingSink());
    far.write(Buffer.from('early'));
    far.end();
    for (let i = 0; i < 10; i++) await turn();
    const sink = new RecordingSink();
    near.start(sink);
    expect(sink.calls).toEqual([]);
    await sink.until('end');
    expect(Buffer.from(sink.received).toString()).toBe('early');
  },
  'lends chunks, which the receiver may change during the call': async ({ near, far }) => {
    const [, right] = start(near, far);
    right.onData = (chunk) => void chunk.fill(0xdd);
    const sent = Buffer.from('one chunk');
    near.write(sent);
    await right.until(() => right.size >= sent.length);
    near.write(sent);
    await right.until(() => right.size >= 2 * sent.length);
    expect(sent.toString()).toBe('one chunk');
    expect(Buffer.from(right.received).toString()).toBe('one chunkone chunk');
  },
  'delivers nothing within a delivery': async ({ near, far }) => {
    const [left, right] = start(near, far);
    let deepest = 0;
    for (const [sink, transport] of [
      [left, near],
      [right, far],
    ] as const) {
      let depth = 0;
      sink.onData = () => {
        deepest = Math.max(deepest, ++depth);
        transport.pause();
        transport.resume();
        if (sink.size < 100_000) transport.write(new Uint8Array(5000));
        depth--;
      };
    }
    for (const piece of pieces([1, 1000, 70_000])) near.write(piece);
    await right.until(() => right.size >= 100_000);
    expect(deepest).toBe(1);
  },
  'sends the bytes of a view, and not the memory around it': async ({ near, far }) => {
    const [, right] = start(near, far);
    // A connection writes Buffers over slabs that it shares with others.
    const slab = Buffer.alloc(100_000, 'bytes of another connection, ');
    const sent = slab.subarray(30_000, 30_014).fill(7);
    let leaked = false;
    right.onData = (chunk) => {
      leaked ||= Buffer.from(chunk.buffer).includes(slab.subarray(0, 1_000));
    };
    near.write(sent);
    near.end();
    await right.until('end');
    expect([...right.received]).toEqual([...sent]);
    expect(leaked).toBe(false);
  },
  'releases each chunk exactly once, and does not use it later': async ({ near, far }) => {
    const [, right] = start(near, far);
    const sent = pieces([10, 100_000, 1, 1_000_000]);
    const whole = Buffer.concat(sent);
    const released = sent.map(() => 0);
    let all!: () => void;
    const done = new Promise<void>((resolve) => {
      all = resolve;
    });
    sent.forEach((piece, i) => {
      near.write(piece, () => {
        released[i]!++;
        piece.fill(0xff);
        if (released.every((times) => times > 0)) all();
      });
    });
    await right.until(() => right.size >= whole.length);
    await done;
    await turn();
    expect(released).toEqual([1, 1, 1, 1]);
    expectSame(right.received, whole);
  },
  'returns false while the peer does not read, and calls drain later': async ({ near, far }) => {
    const [left, right] = start(near, far);
    far.pause();
    let sent = 0;
    let released = 0;
    const chunk = new Uint8Array(256 * 1024);
    let below = true;
    while (below && sent < A_LOT) {
      below = near.write(chunk, () => {
        released += chunk.length;
      });
      sent += chunk.length;
      if (sent % (16 * chunk.length) === 0) await turn();
    }
    expect(below).toBe(false);
    expect(near.bufferedAmount).toBeGreaterThan(0);
    expect(left.calls).not.toContain('close');
    far.resume();
    await left.until('drain');
    await right.until(() => right.size >= sent);
    while (near.bufferedAmount > 0 || released < sent) await turn();
    expect([right.size, released]).toEqual([sent, sent]);
    expect(left.count('drain')).toBe(1);
  },
  'accepts bytes above its high-water mark, in order': async ({ near, far }) => {
    const [, right] = start(near, far);
    far.pause();
    const sent = pieces(Array<number>(16).fill(500_000));
    for (const piece of sent) near.write(piece);
    far.resume();
    await right.until(() => right.size >= total(sent));
    expectSame(right.received, Buffer.concat(sent));
  },
  'delivers nothing between pause and resume': async ({ near, far }) => {
    const [, right] = start(near, far);
    near.write(Buffer.from('before'));
    await right.until(() => right.size >= 6);
    far.pause();
    // Bytes in flight may still arrive, so the test waits for them first.
    for (let i = 0; i < 5; i++) await turn();
    near.write(Buffer.from('meanwhile'));
    for (let i = 0; i < 20; i++) await turn();
    expect(Buffer.from(right.received).toString()).toBe('before');
    far.resume();
    await right.until(() => right.size >= 15);
    expect(Buffer.from(right.received).toString()).toBe('beforemeanwhile');
  },
  'obeys a pause within a delivery': async ({ near, far }) => {
    const [, right] = start(near, far);
    right.onData = () => far.pause();
    const sent = pieces([70_000, 70_000, 70_000]);
    for (const piece of sent) near.write(piece);
    while (right.size < total(sent)) {
      await turn();
      far.resume();
    }
    expectSame(right.received, Buffer.concat(sent));
  },
  'ends one half after all written bytes, and keeps the other half open': async ({ near, far }) => {
    const [left, right] = start(near, far);
    const sent = pieces([100_000, 1]);
    for (const piece of sent) near.write(piece);
    near.end();
    await right.until('end');
    expectSame(right.received, Buffer.concat(sent));
    far.write(Buffer.from('still here'));
    far.end();
    await left.until('close');
    await right.until('close');
    expect(Buffer.from(left.received).toString()).toBe('still here');
    for (const sink of [left, right]) {
      expect([sink.count('end'), sink.count('close')]).toEqual([1, 1]);
      expect(sink.calls.indexOf('end')).toBeLessThan(sink.calls.indexOf('close'));
      expect(sink.error).toBeUndefined();
    }
  },
  'drops and releases writes after end': async ({ near, far }) => {
    const [, right] = start(near, far);
    near.write(Buffer.from('last'));
    near.end();
    near.end();
    let released = 0;
    near.write(Buffer.from('too late'), () => released++);
    await right.until('end');
    expect(Buffer.from(right.received).toString()).toBe('last');
    expect(released).toBe(1);
  },
  'closes once after destroy, and so does its peer': async ({ near, far }) => {
    const [left, right] = start(near, far);
    near.destroy();
    near.destroy();
    await left.until('close');
    await right.until(() => right.calls.includes('end') || right.calls.includes('close'));
    far.destroy();
    await right.until('close');
    for (let i = 0; i < 5; i++) await turn();
    expect(left.calls).toEqual(['close']);
    expect(left.error).toBeUndefined();
    expect(right.count('close')).toBe(1);
  },
  'passes the error of destroy to close': async ({ near, far }) => {
    const [left] = start(near, far);
    const error = new Error('enough');
    near.destroy(error);
    await left.until('close');
    expect(left.error).toBe(error);
  },
  'delivers nothing after destroy, also within a delivery': async ({ near, far }) => {
    const [, right] = start(near, far);
    right.onData = () => far.destroy();
    for (const piece of pieces([10, 100_000, 10])) near.write(piece);
    near.end();
    await right.until('close');
    for (let i = 0; i < 5; i++) await turn();
    expect(right.calls).toEqual(['data', 'close']);
  },
  'releases unsent bytes when it closes': async ({ near, far }) => {
    const [left] = start(near, far);
    far.pause();
    let given = 0;
    let released = 0;
    const chunk = new Uint8Array(256 * 1024);
    const release = (): void => void released++;
    do given++;
    while (near.write(chunk, release) && given * chunk.length < A_LOT);
    near.destroy();
    await left.until('close');
    await turn();
    expect(released).toBe(given);
    near.write(chunk, release);
    expect(released).toBe(given + 1);
    expect(left.calls).toEqual(['close']);
  },
  'keeps the order of writes between cork and uncork': async ({ near, far }) => {
    const [, right] = start(near, far);
    near.write(Buffer.from('a'));
    near.cork?.();
    near.write(Buffer.from('b'));
    near.write(Buffer.from('c'));
    near.uncork?.();
    near.write(Buffer.from('d'));
    await right.until(() => right.size >= 4);
    expect(Buffer.from(right.received).toString()).toBe('abcd');
  },
};

export const transportRules: readonly TransportRule[] = Object.entries(rules).map(
  ([title, check]) => ({
    title,
    check,
  }),
);

function start(near: Transport, far: Transport): [left: RecordingSink, right: RecordingSink] {
  const sinks: [RecordingSink, RecordingSink] = [new RecordingSink(), new RecordingSink()];
  near.start(sinks[0]);
  far.start(sinks[1]);
  return sinks;
}

/** A prime number of different bytes. */
const PERIOD = Buffer.from(Array.from({ length: 251 }, (_, i) => i));

/** Chunks of these lengths. Each byte depends on its position. */
function pieces(lengths: readonly number[]): Uint8Array[] {
  let at = 0;
  return lengths.map((length) => {
    const start = at % PERIOD.length;
    at += length;
    return new Uint8Array(Buffer.alloc(start + length, PERIOD).subarray(start));
  });
}

function total(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}

/** Compares without printing megabytes. */
function expectSame(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  expect(Buffer.compare(actual, expected)).toBe(0);
}
