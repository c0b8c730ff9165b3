// The slab in which all connections of a thread encode their frames.
import { BinaryMessage, TextMessage } from '@ws/codec';
import { FakePlatform, naiveDecode } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TransportError } from '../../src/index.ts';
import { countingPool, queueOf } from '../connection/queue-of.ts';

type Queue = ReturnType<typeof queueOf>;

/** Sends a message of `size` bytes that are all `fill`. */
function send({ writer }: Queue, fill: number, size: number): void {
  void writer.sendBytes(BinaryMessage, new Uint8Array(size).fill(fill), 0, size, undefined);
}

/** The payloads that left, each as its size and its bytes without repetition. */
function payloads({ transport }: Queue, from: 'client' | 'server' = 'client'): string[] {
  return naiveDecode(transport.sent, from).frames.map(({ payload }) => {
    const isFilled = Buffer.alloc(payload.length, payload[0]).equals(payload);
    return `${payload.length} of ${isFilled ? (payload[0] ?? '') : [...new Set(payload)].join()}`;
  });
}

describe('connections that write in one turn', () => {
  it('send one write each, although their frames alternate', () => {
    const queues = [queueOf(), queueOf(), queueOf()];
    for (let i = 0; i < 4; i++) for (const queue of queues) send(queue, i, 100);
    for (const { sendQueue } of queues) {
      expect(sendQueue.bufferedAmount).toBe(408);
      sendQueue.flush();
    }
    for (const queue of queues) {
      expect(queue.transport.calls).toEqual(['write 408']);
      expect(payloads(queue)).toEqual(['100 of 0', '100 of 1', '100 of 2', '100 of 3']);
    }
  });

  it('copy no large frames for others', () => {
    const [one, other] = [queueOf(), queueOf()];
    send(one, 1, 32_767);
    send(one, 2, 32_000);
    send(other, 3, 100);
    one.sendQueue.flush();
    other.sendQueue.flush();
    expect([one, other].map((queue) => payloads(queue))).toEqual([
      ['32767 of 1', '32000 of 2'],
      ['100 of 3'],
    ]);
    expect(one.transport.calls).toEqual([`write ${32_767 + 32_000 + 8}`]);
  });

  it('drop only their own frames when they end', () => {
    const [ends, stays] = [queueOf(), queueOf()];
    send(stays, 1, 10);
    send(ends, 2, 10);
    ends.sendQueue.destroy(new TransportError('gone'));
    send(stays, 3, 10);
    stays.sendQueue.flush();
    expect([payloads(ends), payloads(stays)]).toEqual([[], ['10 of 1', '10 of 3']]);
    expect(ends.sendQueue.bufferedAmount).toBe(0);
  });
});

describe('a platform that writes text and sends on another connection meanwhile', () => {
  it('fails that frame, and mixes no bytes', () => {
    const platform = new FakePlatform({ automatic: false });
    const [one, other] = [queueOf({}, { platform }), queueOf({}, { platform })];
    platform.writeUtf8 = () => {
      send(other, 9, 50);
      throw new Error('the frame of the other connection was taken');
    };
    send(other, 1, 10);
    send(one, 2, 10);
    expect(() => one.writer.sendText(TextMessage, 'é'.repeat(20), undefined)).toThrow(
      'writeUtf8 and pools must not send, flush or drop frames',
    );
    send(one, 3, 10);
    send(other, 4, 10);
    for (const { sendQueue } of [one, other]) sendQueue.flush();
    expect([payloads(one), payloads(other)]).toEqual([
      ['10 of 2', '10 of 3'],
      ['10 of 1', '10 of 4'],
    ]);
  });
});

describe('bytes that a slow transport keeps', () => {
  it('do not change while other connections write', () => {
    const slow = Array.from({ length: 50 }, () => queueOf({}, { mark: 100_000 }));
    for (const [i, queue] of slow.entries()) {
      queue.transport.block();
      send(queue, i, 3_000);
      queue.sendQueue.flush();
      const fast = queueOf();
      send(fast, 255, 10_000);
      fast.sendQueue.flush();
      expect(payloads(fast)).toEqual(['10000 of 255']);
    }
    // A TestTransport checks held bytes at their release.
    for (const { transport } of slow) transport.drain();
    expect(slow.flatMap((queue) => payloads(queue))).toEqual(slow.map((_, i) => `3000 of ${i}`));
  });

  it('keep no larger memory alive behind earlier bytes', () => {
    const { sendQueue, writer, transport } = queueOf({}, { mark: 100_000 });
    transport.block();
    for (const text of ['first', 'second']) {
      void writer.sendText(TextMessage, text, undefined);
      sendQueue.flush();
    }
    expect(transport.chunks[1]!.buffer.byteLength).toBe(2 + 'second'.length);
  });

  it('keep no larger memory alive while they wait', () => {
    const pool = countingPool();
    const slow = Array.from({ length: 5 }, () => queueOf({ writeBufferPool: pool }, { mark: 0 }));
    for (const queue of slow) {
      queue.block();
      for (let i = 0; i < 3; i++) send(queue, i, 1_000);
      queue.sendQueue.cut();
    }
    expect(pool.lent).toBe(5);
    for (const { transport } of slow) transport.drain();
    expect(pool.lent).toBe(0);
  });

  it('are released once, however often the transport says so', () => {
    const releases: (() => void)[] = [];
    const keeping = [queueOf(), queueOf()];
    for (const [i, queue] of keeping.entries()) {
      const write = queue.transport.write.bind(queue.transport);
      queue.transport.write = (chunk, release) => {
        releases.push(release!);
        return write(chunk);
      };
      send(queue, i, 100);
      queue.sendQueue.flush();
    }
    const [, second] = keeping.map(({ transport }) => transport.chunks[0]!);
    const before = Uint8Array.from(second!);
    releases[0]!();
    releases[0]!();
    const other = queueOf();
    send(other, 9, 60_000);
    other.sendQueue.flush();
    expect(second).toEqual(before);
  });
});

describe.each(['server', 'client'] as const)('frames of a %s', (role) => {
  const peer = role === 'server' ? 'client' : 'server';

  it.each([0, 125, 126, 32_767, 65_519, 65_520, 65_521, 65_535, 65_536, 200_000])(
    'with %d bytes of payload arrive whole, alone and after others',
    (size) => {
      for (const before of [0, 10, 40_000]) {
        const queue = queueOf({ maxBufferedAmount: 1_000_000 }, { role });
        send(queue, 1, before);
        send(queue, 2, size);
        send(queue, 3, 5);
        queue.sendQueue.flush();
        const of = (fill: number, n: number): string => `${n} of ${n === 0 ? '' : fill}`;
        expect(payloads(queue, peer)).toEqual([of(1, before), of(2, size), of(3, 5)]);
        expect(queue.connection.bytesOut).toBe(queue.transport.sent.length);
      }
    },
  );

  it.each([16, 17, 4_096, 21_840, 21_841, 65_536, 100_000])(
    'with text of %d characters arrive whole',
    (units) => {
      for (const piece of ['a', 'aé', '漢', '😀', '\ud800']) {
        const queue = queueOf({ maxBufferedAmount: 1_000_000 }, { role });
        const text = piece.repeat(units).slice(0, units);
        void queue.writer.sendText(TextMessage, 'before', undefined);
        void queue.writer.sendText(TextMessage, text, undefined);
        queue.sendQueue.flush();
        const { frames } = naiveDecode(queue.transport.sent, peer);
        const expected = new TextEncoder().encode(text);
        expect(Buffer.compare(frames[1]!.payload, expected)).toBe(0);
        expect(queue.connection.bytesOut).toBe(queue.transport.sent.length);
      }
    },
  );

  it('leave the bytes of the caller unchanged', () => {
    for (const size of [20, 1_000, 70_000]) {
      const bytes = new Uint8Array(size).fill(7);
      const { sendQueue, writer } = queueOf({}, { role });
      void writer.sendBytes(BinaryMessage, bytes, 0, size, undefined);
      sendQueue.flush();
      expect([...new Set(bytes)]).toEqual([7]);
    }
  });
});

describe('any writes of several connections', () => {
  const sizes = fc.oneof(fc.nat(300), fc.constantFrom(20_000, 33_000, 65_530, 70_000));
  const step = fc.record({
    does: fc.constantFrom('bytes', 'text', 'fragment', 'flush', 'block', 'drain'),
    who: fc.nat(3),
    size: sizes,
  });

  it('arrive whole and in order', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const roles = ['server', 'client', 'server', 'client'] as const;
        const queues = roles.map((role) => queueOf({}, { role, mark: 300 }));
        const expected: string[][] = queues.map(() => []);
        for (const [i, { does, who, size }] of steps.entries()) {
          const queue = queues[who]!;
          const { sendQueue, writer, transport } = queue;
          if (does === 'flush') sendQueue.flush();
          else if (does === 'block') transport.block();
          else if (does === 'drain') transport.drain();
          else {
            if (does === 'bytes') send(queue, i, size);
            if (does === 'text') {
              void writer.sendText(TextMessage, String.fromCharCode(i).repeat(size), undefined);
            }
            if (does === 'fragment') {
              const bytes = new Uint8Array(size).fill(i);
              void writer.fragment(BinaryMessage, true, bytes, 0, size);
              bytes.fill(255);
            }
            expected[who]!.push(`${size} of ${size === 0 ? '' : i}`);
          }
        }
        for (const [i, queue] of queues.entries()) {
          queue.transport.drain();
          queue.sendQueue.flush();
          expect(payloads(queue, roles[i] === 'server' ? 'client' : 'server')).toEqual(expected[i]);
          expect(queue.sendQueue.bufferedAmount).toBe(0);
        }
      }),
      { numRuns: 50 },
    );
  });
});
