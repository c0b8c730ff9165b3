import { LARGEST_SLAB } from '@ws/codec/internal';
import { FakePlatform, inWords, naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  PingMessage,
  PreparedMessage,
  TextMessage,
  TransportError,
} from '../../src/index.ts';
import { RESOLVED } from '../../src/time/promises.ts';
import { bytesOf, noBuffer, queueOf, stateOf } from './queue-of.ts';

describe('a compressed or shared message', () => {
  it('has its compression in its first byte, and counts as its plain bytes', () => {
    const { sendQueue, transport, owner, watched } = queueOf();
    void sendQueue.compressed(BinaryMessage, Uint8Array.of(9, 1, 2, 9), 1, 3, 500);
    sendQueue.flush();
    void sendQueue.sendShared(TextMessage, Uint8Array.of(3), 0x40, 600);
    void sendQueue.sendShared(TextMessage, Uint8Array.of(4), 0, 700);
    sendQueue.flush();
    expect([...transport.sent]).toEqual([0xc2, 2, 1, 2, 0xc1, 1, 3, 0x81, 1, 4]);
    expect(watched).toEqual(['2 of 500', '1 of 600', '1 of 700']);
    expect(owner).toMatchObject({ framesOut: 3, messagesOut: 3, bytesOut: 10 });
  });

  it('is serialized once for all senders, and separated for those with other frames', () => {
    const { sendQueue, transport, asked } = queueOf();
    void sendQueue.sendShared(TextMessage, bytesOf('all'), 0, 3);
    expect([sendQueue.pending, sendQueue.bufferedAmount, asked]).toEqual([true, 5, []]);
    void sendQueue.text(TextMessage, 'mine');
    expect(sendQueue.bufferedAmount).toBe(11);
    expect(asked).toContain('flush');
    void sendQueue.sendShared(TextMessage, bytesOf('all again'), 0, 9);
    sendQueue.flush();
    expect(transport.writes).toHaveLength(1);
    expect(naiveDecode(transport.sent, 'client').frames.map(inWords)).toEqual([
      'text all',
      'text mine',
      'text all again',
    ]);
  });

  it('leaves with the shared flush, unless its owner flushes itself', () => {
    const { sendQueue, transport, owner, asked, platform } = queueOf();
    void sendQueue.sendShared(TextMessage, bytesOf('all'), 0, 3);
    owner.flushScheduled = true;
    platform.runDeferred();
    expect(transport.writes).toEqual([]);
    owner.flushScheduled = false;
    sendQueue.flushBatch();
    expect([transport.writes.length, asked]).toEqual([1, []]);
    sendQueue.flushBatch();
    expect(transport.writes).toHaveLength(1);
  });

  it('ends its own connection when its transport throws', () => {
    const { sendQueue, transport, aborted } = queueOf();
    const cause = new Error('a bug');
    transport.write = () => {
      throw cause;
    };
    void sendQueue.sendShared(TextMessage, bytesOf('all'), 0, 3);
    sendQueue.flushBatch();
    expect(aborted).toEqual([expect.any(TransportError)]);
    expect(aborted[0]).toMatchObject({ cause, message: 'websocket: a frame could not be written' });
  });
});

describe('a message that is written as a stream', () => {
  it('counts once, with its last fragment', () => {
    const { sendQueue, owner, sent, watched } = queueOf();
    expect(sendQueue.fragment(TextMessage, false, bytesOf('-ab-'), 1, 3)).toBe(RESOLVED);
    void sendQueue.fragment(0, true, bytesOf('-ab-'), 3, 4);
    sendQueue.complete(TextMessage, 3);
    sendQueue.flush();
    expect(sent()).toEqual(['text... ab', 'cont -']);
    expect(owner).toMatchObject({ framesOut: 2, messagesOut: 1, bytesOut: 7 });
    expect(watched).toEqual(['1 of 3']);
  });

  it('is copied, also when its fragments are large', () => {
    const { sendQueue, transport } = queueOf();
    const bytes = new Uint8Array(70_002).fill(1);
    void sendQueue.fragment(BinaryMessage, true, bytes, 1, 70_001);
    bytes.fill(2);
    sendQueue.flush();
    const [frame] = naiveDecode(transport.sent, 'client').frames;
    expect([frame!.payload.length, ...new Set(frame!.payload)]).toEqual([70_000, 1]);
  });
});

describe('a message that other connections send too', () => {
  it('is masked by a client', () => {
    const { sendQueue, sent } = queueOf({}, { role: 'client' });
    void sendQueue.sendShared(TextMessage, bytesOf('all'), 0, 3);
    sendQueue.flush();
    expect(sent()).toEqual(['text all']);
  });

  it.each([0, 0x40])(
    'waits for a blocked transport like any other, with waiting bytes: %d',
    (rsv) => {
      const { sendQueue, transport, block } = queueOf({
        maxBufferedAmount: 10,
        highWaterMark: 20,
      });
      block(9);
      transport.writes.length = 0;
      void sendQueue.sendShared(TextMessage, bytesOf('all'), rsv, 3);
      void sendQueue.control(PingMessage, bytesOf('p'), 0, 1);
      expect(transport.writes).toEqual([]);
      expect(sendQueue.bufferedAmount).toBe(16);
      transport.drain();
      expect([...transport.sent]).toEqual([0x89, 1, 0x70, 0x81 | rsv, 3, 0x61, 0x6c, 0x6c]);
    },
  );

  it('is referenced when it is large, and copied once for all otherwise', async () => {
    const { sendQueue, transport, platform } = queueOf({}, { mark: 200_000 });
    transport.block();
    const large = sendQueue.sendShared(BinaryMessage, new Uint8Array(65_537), 0, 65_537);
    const copied = sendQueue.sendShared(BinaryMessage, new Uint8Array(32_767), 0, 32_767);
    sendQueue.flush();
    await platform.settle();
    expect([await stateOf(large), await stateOf(copied)]).toEqual(['resolved', 'resolved']);
    transport.drain();
    await platform.settle();
    expect(await stateOf(large)).toBe('resolved');
    expect(sendQueue.sendShared(BinaryMessage, new Uint8Array(65_536), 0, 65_536)).toBe(RESOLVED);
  });

  it('counts its plain size when it is uncompressed', () => {
    const { sendQueue } = queueOf();
    expect(sendQueue.sendShared(TextMessage, bytesOf('x'), 0, 200_000)).toBe(RESOLVED);
  });

  it('leaves at the end of the turn', () => {
    const { sendQueue, transport, platform } = queueOf();
    void sendQueue.sendShared(TextMessage, bytesOf('all'), 0, 3);
    void sendQueue.sendShared(TextMessage, bytesOf('too'), 0, 3);
    expect(transport.writes).toEqual([]);
    platform.runDeferred();
    expect([transport.writes.length, transport.sent.length]).toEqual([1, 10]);
  });

  it('is a copy for each connection whose transport still holds earlier bytes', () => {
    const quick = queueOf({}, { mark: 1_000 });
    void quick.sendQueue.sendShared(TextMessage, bytesOf('all'), 0, 3);
    quick.sendQueue.flush();
    const slow = queueOf({}, { mark: 1_000 });
    slow.transport.block();
    void slow.sendQueue.text(TextMessage, 'before');
    slow.sendQueue.flush();
    void slow.sendQueue.sendShared(TextMessage, bytesOf('all'), 0, 3);
    slow.sendQueue.flush();
    expect(quick.transport.chunks[0]!.buffer.byteLength).toBeGreaterThan(5);
    expect(slow.transport.chunks[1]!.buffer.byteLength).toBe(5);
    expect([...slow.transport.writes[1]!]).toEqual([...quick.transport.writes[0]!]);
  });

  it.each([
    ['blocked', 8_192],
    ['slow', 8_192],
    ['blocked', 16_384],
    ['slow', 65_536],
  ])('has one copy for all connections whose transport is %s, of %d bytes', (state, size) => {
    const payload = new Uint8Array(size);
    const short = bytesOf('short');
    const platform = new FakePlatform({ automatic: false });
    const queues = [0, 1].map(() => {
      const queue = queueOf({}, { platform, mark: state === 'slow' ? 1_000_000 : 0 });
      queue.block(1);
      void queue.sendQueue.sendShared(BinaryMessage, payload, 0, size);
      void queue.sendQueue.sendShared(TextMessage, short, 0, 5);
      queue.sendQueue.flush();
      queue.transport.drain();
      return queue;
    });
    const [first, second] = queues.map(({ transport }) =>
      transport.chunks.find(({ length }) => length > size),
    );
    expect(first!.buffer).toBe(second!.buffer);
    expect(first!.buffer.byteLength).toBeLessThanOrEqual(3 * size);
    for (const { sent, sendQueue, owner } of queues) {
      expect(sent()).toEqual(['binary \0', `binary <${size}>`, 'text short']);
      expect(owner.bytesOut).toBe(3 + size + (size < 65_536 ? 4 : 10) + 7);
      expect(sendQueue.bufferedAmount).toBe(0);
    }
  });

  it('is sent once when a write calls back and then blocks the transport', () => {
    const { sendQueue, sent, transport } = queueOf();
    const write = transport.write.bind(transport);
    transport.write = (chunk, release) => {
      transport.write = write;
      void sendQueue.sendShared(TextMessage, bytesOf('all'), 0, 3);
      transport.block();
      return write(chunk, release);
    };
    void sendQueue.text(TextMessage, 'first');
    sendQueue.flush();
    void sendQueue.sendShared(BinaryMessage, new Uint8Array(9_000), 0, 9_000);
    transport.drain();
    sendQueue.flush();
    expect(sent()).toEqual(['text first', 'text all', 'binary <9000>']);
  });

  it('is overtaken by a ping, and dropped when the queue is cut', () => {
    const { sendQueue, sent, transport, block } = queueOf();
    block(1);
    for (const size of [10_001, 10_002]) {
      void sendQueue.sendShared(BinaryMessage, new Uint8Array(size), 0, size);
    }
    void sendQueue.control(PingMessage, bytesOf('p'), 0, 1);
    transport.takesOne = true;
    transport.drain();
    transport.drain();
    sendQueue.cut();
    transport.takesOne = false;
    transport.drain();
    expect(sent()).toEqual(['binary \0', 'ping p', 'binary <10001>']);
    expect(sendQueue.unsent).toBe(false);
  });

  it('stays whole when the next frame finds no buffer', () => {
    const { sendQueue, sent } = queueOf({ writeBufferPool: noBuffer });
    for (const text of ['one', 'two']) void sendQueue.sendShared(TextMessage, bytesOf(text), 0, 3);
    expect(() => sendQueue.text(TextMessage, 'mine')).toThrow('no memory');
    sendQueue.flush();
    expect(sent()).toEqual(['text one', 'text two']);
  });
});

describe('SendQueue.sendRun', () => {
  const messages = [
    new PreparedMessage(TextMessage, 'a'),
    new PreparedMessage(BinaryMessage, Uint8Array.of(98, 99)),
  ];

  /** A queue whose platform has no observer. */
  function unobserved(...options: Parameters<typeof queueOf>) {
    const queue = queueOf(...options);
    Object.assign(queue.platform, { observer: undefined });
    return queue;
  }

  it('sends the messages in order, in one write that all queues share', () => {
    const { sendQueue, transport, owner, platform } = unobserved();
    expect(sendQueue.sendRun(messages)).toBe(true);
    expect(owner).toMatchObject({ framesOut: 2, messagesOut: 2, bytesOut: 7 });
    expect(sendQueue.bufferedAmount).toBe(7);
    sendQueue.flushBatch();
    expect(sendQueue.sendRun(messages)).toBe(true);
    platform.runDeferred();
    const frames = [0x81, 1, 97, 0x82, 2, 98, 99];
    expect([...transport.sent]).toEqual([...frames, ...frames]);
    expect(transport.chunks[1]!.buffer).toBe(transport.chunks[0]!.buffer);
    expect(transport.chunks[1]!.byteOffset).toBe(transport.chunks[0]!.byteOffset);
  });

  it('serializes the messages again in the next turn', () => {
    const { sendQueue, transport, platform } = unobserved();
    for (let turn = 0; turn < 2; turn++) {
      expect(sendQueue.sendRun(messages)).toBe(true);
      platform.runDeferred();
    }
    expect(transport.chunks[1]!.byteOffset).toBeGreaterThan(transport.chunks[0]!.byteOffset);
  });

  it.each<[string, ReturnType<typeof queueOf>]>([
    ['for a client, which masks', unobserved({}, { role: 'client' })],
    ['with an observer', queueOf()],
    ['with a small maxBufferedAmount', unobserved({ maxBufferedAmount: 1_000 })],
  ])('sends nothing %s', (_, { sendQueue }) => {
    expect(sendQueue.sendRun(messages)).toBe(false);
    expect(sendQueue.bufferedAmount).toBe(0);
  });

  it('sends nothing after an unsent frame, while the transport is blocked, and after the end', () => {
    const { sendQueue, transport, sent } = unobserved();
    void sendQueue.text(TextMessage, 'mine');
    expect(sendQueue.sendRun(messages)).toBe(false);
    transport.takesOne = true;
    sendQueue.flush();
    expect(sendQueue.sendRun(messages)).toBe(false);
    transport.takesOne = false;
    transport.drain();
    sendQueue.stopAccepting(new TransportError('ended'));
    expect(sendQueue.sendRun(messages)).toBe(false);
    sendQueue.flush();
    expect(sent()).toEqual(['text mine']);
  });

  it('sends nothing if the messages exceed a slab together', () => {
    const { sendQueue } = unobserved();
    const large = new PreparedMessage(BinaryMessage, new Uint8Array(LARGEST_SLAB / 2));
    expect(sendQueue.sendRun([large, large])).toBe(false);
    expect(sendQueue.sendRun([large])).toBe(true);
  });
});
