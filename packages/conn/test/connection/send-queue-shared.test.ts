import { LARGEST_SLAB } from '@ws/codec/internal';
import { FakePlatform, inWords, naiveDecode } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import {
  BinaryMessage,
  broadcast,
  PingMessage,
  PreparedMessage,
  TextMessage,
  TransportError,
} from '../../src/index.ts';
import { RESOLVED } from '../../src/time/promises.ts';
import { wired } from '../wired.ts';
import { bytesOf, FIN, noBuffer, queueOf, stateOf } from './queue-of.ts';

describe('a compressed or shared message', () => {
  it('has its compression in its first byte', () => {
    const { sendQueue, writer, transport, connection, watched } = queueOf();
    void sendQueue.ownedFrame(FIN | BinaryMessage | 0x40, Uint8Array.of(1, 2, 9), 0, 2);
    sendQueue.flush();
    void sendQueue.sharedFrame(FIN | TextMessage | 0x40, Uint8Array.of(3));
    void writer.sendPrepared(new PreparedMessage(TextMessage, Uint8Array.of(4)));
    sendQueue.flush();
    expect([...transport.sent]).toEqual([0xc2, 2, 1, 2, 0xc1, 1, 3, 0x81, 1, 4]);
    expect(watched).toEqual(['1 of 1']);
    expect(connection).toMatchObject({ framesOut: 3, messagesOut: 1, bytesOut: 10 });
  });

  it('is serialized once for all senders, and separated for those with other frames', () => {
    const { sendQueue, writer, transport, asked } = queueOf();
    void sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all'));
    expect([sendQueue.unsent, sendQueue.bufferedAmount, asked]).toEqual([true, 5, []]);
    void writer.sendText(TextMessage, 'mine', undefined);
    expect(sendQueue.bufferedAmount).toBe(11);
    expect(asked).toContain('flush');
    void sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all again'));
    sendQueue.flush();
    expect(transport.writes).toHaveLength(1);
    expect(naiveDecode(transport.sent, 'client').frames.map(inWords)).toEqual([
      'text all',
      'text mine',
      'text all again',
    ]);
  });

  it.each([10, 9_000, 70_000])(
    'keeps its place when its transport delivers, and blocks, within a write: %i bytes',
    async (size) => {
      const { conn, platform, transport, sent, feed, frame } = wired('server');
      await platform.settle();
      const write = transport.write.bind(transport);
      transport.write = (chunk, release) => {
        transport.write = write;
        transport.block();
        const hasRoom = write(chunk, release);
        feed(frame(1, 'hi'));
        return hasRoom;
      };
      void conn.receive(() => void broadcast([conn], '1 small'));
      void conn.send('0 first');
      await platform.settle();
      broadcast([conn], `2 ${'.'.repeat(size)}`);
      void conn.send('3 send');
      broadcast([conn], '4 last');
      await platform.settle();
      transport.drain();
      await platform.settle();
      expect(sent().map((text) => text.slice(0, 6))).toEqual([
        'text 0',
        'text 1',
        size < 100 ? 'text 2' : 'text <',
        'text 3',
        'text 4',
      ]);
    },
  );

  it('leaves with the shared flush, unless its connection flushes itself', () => {
    const { sendQueue, transport, connection, asked, platform } = queueOf();
    const flushScheduled = vi.spyOn(connection, 'flushScheduled', 'get').mockReturnValue(true);
    void sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all'));
    platform.runDeferred();
    expect(transport.writes).toEqual([]);
    flushScheduled.mockReturnValue(false);
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
    void sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all'));
    sendQueue.flushBatch();
    expect(aborted).toEqual([expect.any(TransportError)]);
    expect(aborted[0]).toMatchObject({ cause, message: 'websocket: a frame could not be written' });
  });
});

describe('a message that is written as a stream', () => {
  it('counts once, with its last fragment', () => {
    const { sendQueue, writer, connection, sent, watched } = queueOf();
    expect(writer.fragment(TextMessage, false, bytesOf('-ab-'), 1, 3)).toBe(RESOLVED);
    void writer.fragment(0, true, bytesOf('-ab-'), 3, 4);
    writer.complete(TextMessage, 3);
    sendQueue.flush();
    expect(sent()).toEqual(['text... ab', 'cont -']);
    expect(connection).toMatchObject({ framesOut: 2, messagesOut: 1, bytesOut: 7 });
    expect(watched).toEqual(['1 of 3']);
  });

  it('is copied, also when its fragments are large', () => {
    const { sendQueue, writer, transport } = queueOf();
    const bytes = new Uint8Array(70_002).fill(1);
    void writer.fragment(BinaryMessage, true, bytes, 1, 70_001);
    bytes.fill(2);
    sendQueue.flush();
    const [frame] = naiveDecode(transport.sent, 'client').frames;
    expect([frame!.payload.length, ...new Set(frame!.payload)]).toEqual([70_000, 1]);
  });
});

describe('a message that other connections send too', () => {
  it('is masked by a client', () => {
    const { sendQueue, sent } = queueOf({}, { role: 'client' });
    void sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all'));
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
      void sendQueue.sharedFrame(FIN | TextMessage | rsv, bytesOf('all'));
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
    const large = sendQueue.sharedFrame(FIN | BinaryMessage, new Uint8Array(65_537));
    const copied = sendQueue.sharedFrame(FIN | BinaryMessage, new Uint8Array(32_767));
    sendQueue.flush();
    await platform.settle();
    expect([await stateOf(large), await stateOf(copied)]).toEqual(['resolved', 'resolved']);
    transport.drain();
    await platform.settle();
    expect(await stateOf(large)).toBe('resolved');
    expect(sendQueue.sharedFrame(FIN | BinaryMessage, new Uint8Array(65_536))).toBe(RESOLVED);
  });

  it('leaves at the end of the turn', () => {
    const { sendQueue, transport, platform } = queueOf();
    void sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all'));
    void sendQueue.sharedFrame(FIN | TextMessage, bytesOf('too'));
    expect(transport.writes).toEqual([]);
    platform.runDeferred();
    expect([transport.writes.length, transport.sent.length]).toEqual([1, 10]);
  });

  it('is a copy for each connection whose transport still holds earlier bytes', () => {
    const quick = queueOf({}, { mark: 1_000 });
    void quick.sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all'));
    quick.sendQueue.flush();
    const slow = queueOf({}, { mark: 1_000 });
    slow.transport.block();
    void slow.writer.sendText(TextMessage, 'before', undefined);
    slow.sendQueue.flush();
    void slow.sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all'));
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
      void queue.sendQueue.sharedFrame(FIN | BinaryMessage, payload);
      void queue.sendQueue.sharedFrame(FIN | TextMessage, short);
      queue.sendQueue.flush();
      queue.transport.drain();
      return queue;
    });
    const [first, second] = queues.map(({ transport }) =>
      transport.chunks.find(({ length }) => length > size),
    );
    expect(first!.buffer).toBe(second!.buffer);
    expect(first!.buffer.byteLength).toBeLessThanOrEqual(3 * size);
    for (const { sent, sendQueue, connection } of queues) {
      expect(sent()).toEqual(['binary \0', `binary <${size}>`, 'text short']);
      expect(connection.bytesOut).toBe(3 + size + (size < 65_536 ? 4 : 10) + 7);
      expect(sendQueue.bufferedAmount).toBe(0);
    }
  });

  it('is sent once when a write calls back and then blocks the transport', () => {
    const { sendQueue, writer, sent, transport } = queueOf();
    const write = transport.write.bind(transport);
    transport.write = (chunk, release) => {
      transport.write = write;
      void sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all'));
      transport.block();
      return write(chunk, release);
    };
    void writer.sendText(TextMessage, 'first', undefined);
    sendQueue.flush();
    void sendQueue.sharedFrame(FIN | BinaryMessage, new Uint8Array(9_000));
    transport.drain();
    sendQueue.flush();
    expect(sent()).toEqual(['text first', 'text all', 'binary <9000>']);
  });

  it('is overtaken by a ping, and dropped when the queue is cut', () => {
    const { sendQueue, sent, transport, block } = queueOf();
    block(1);
    for (const size of [10_001, 10_002]) {
      void sendQueue.sharedFrame(FIN | BinaryMessage, new Uint8Array(size));
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
    const { sendQueue, writer, sent, platform } = queueOf({ writeBufferPool: noBuffer });
    for (const text of ['one', 'two']) void sendQueue.sharedFrame(FIN | TextMessage, bytesOf(text));
    expect(() => writer.sendText(TextMessage, 'mine', undefined)).toThrow('no memory');
    // No flush was asked for.
    platform.runDeferred();
    expect(sent()).toEqual(['text one', 'text two']);
  });
});

describe('Writer.sendRun', () => {
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
    const { sendQueue, writer, transport, connection, platform } = unobserved();
    expect(writer.sendRun(messages)).toBe(true);
    expect(connection).toMatchObject({ framesOut: 2, messagesOut: 2, bytesOut: 7 });
    expect(sendQueue.bufferedAmount).toBe(7);
    sendQueue.flushBatch();
    expect(writer.sendRun(messages)).toBe(true);
    platform.runDeferred();
    const frames = [0x81, 1, 97, 0x82, 2, 98, 99];
    expect([...transport.sent]).toEqual([...frames, ...frames]);
    expect(transport.chunks[1]!.buffer).toBe(transport.chunks[0]!.buffer);
    expect(transport.chunks[1]!.byteOffset).toBe(transport.chunks[0]!.byteOffset);
  });

  it('serializes the messages again in the next turn', () => {
    const { writer, transport, platform } = unobserved();
    for (let turn = 0; turn < 2; turn++) {
      expect(writer.sendRun(messages)).toBe(true);
      platform.runDeferred();
    }
    expect(transport.chunks[1]!.byteOffset).toBeGreaterThan(transport.chunks[0]!.byteOffset);
  });

  it.each<[string, ReturnType<typeof queueOf>]>([
    ['for a client, which masks', unobserved({}, { role: 'client' })],
    ['with an observer', queueOf()],
    ['with a small maxBufferedAmount', unobserved({ maxBufferedAmount: 1_000 })],
  ])('sends nothing %s', (_, { sendQueue, writer }) => {
    expect(writer.sendRun(messages)).toBe(false);
    expect(sendQueue.bufferedAmount).toBe(0);
  });

  it('sends nothing after an unsent frame, while the transport is blocked, and after the end', () => {
    const { sendQueue, writer, transport, sent } = unobserved();
    void writer.sendText(TextMessage, 'mine', undefined);
    expect(writer.sendRun(messages)).toBe(false);
    transport.takesOne = true;
    sendQueue.flush();
    expect(writer.sendRun(messages)).toBe(false);
    transport.takesOne = false;
    transport.drain();
    sendQueue.stopAccepting(new TransportError('ended'));
    expect(writer.sendRun(messages)).toBe(false);
    sendQueue.flush();
    expect(sent()).toEqual(['text mine']);
  });

  it('sends nothing if the messages exceed a slab together', () => {
    const { writer } = unobserved();
    const large = new PreparedMessage(BinaryMessage, new Uint8Array(LARGEST_SLAB / 2));
    expect(writer.sendRun([large, large])).toBe(false);
    expect(writer.sendRun([large])).toBe(true);
  });
});
