import { naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  PingMessage,
  PongMessage,
  PreparedMessage,
  TextMessage,
  TransportError,
} from '../../src/index.ts';
import { RESOLVED } from '../../src/time/promises.ts';
import { bytesOf, countingPool, FIN, noBuffer, queueOf, stateOf } from './queue-of.ts';

describe.each(['server', 'client'] as const)('SendQueue of a %s', (role) => {
  it('gathers the frames of one turn, and hands them over in one write', async () => {
    const { sendQueue, writer, transport, connection, asked, watched, sent } = queueOf(
      {},
      { role },
    );
    expect(sendQueue.unsent).toBe(false);
    expect(writer.sendText(TextMessage, 'ä', undefined)).toBe(RESOLVED);
    expect(writer.sendBytes(BinaryMessage, bytesOf('-abc-'), 1, 4, undefined)).toBe(RESOLVED);
    expect(sendQueue.control(PingMessage, bytesOf('-p-'), 1, 2)).toBe(RESOLVED);
    expect(sendQueue.unsent).toBe(true);
    expect(transport.writes).toEqual([]);
    expect(asked).toEqual(['flush', 'flush', 'flush']);
    const size = role === 'server' ? 12 : 24;
    expect(sendQueue.bufferedAmount).toBe(size);
    sendQueue.flush();
    expect(transport.calls).toEqual([`write ${size}`]);
    expect(sent()).toEqual(['text ä', 'binary abc', 'ping p']);
    expect(connection).toMatchObject({ framesOut: 3, messagesOut: 2, bytesOut: size, pingsOut: 1 });
    expect(watched).toEqual(['1 of 2', '2 of 3']);
    expect([sendQueue.unsent, sendQueue.bufferedAmount]).toEqual([false, 0]);
  });

  it('hands frames over as soon as they fill the largest slab', () => {
    const { sendQueue, writer, transport, asked } = queueOf({}, { role });
    const header = role === 'server' ? 4 : 8;
    const half = new Uint8Array(32_768 - header);
    void writer.sendBytes(BinaryMessage, half, 0, half.length, undefined);
    void writer.sendBytes(BinaryMessage, half, 1, half.length, undefined);
    expect([transport.writes.length, asked]).toEqual([0, ['flush', 'flush']]);
    sendQueue.flush();
    void writer.sendBytes(BinaryMessage, half, 0, half.length, undefined);
    void writer.sendBytes(BinaryMessage, half, 0, half.length, undefined);
    expect([transport.writes.length, asked]).toEqual([2, ['flush', 'flush', 'flush']]);
  });

  it('hands a flood of control frames over in the same way', () => {
    const { sendQueue, writer, transport, asked } = queueOf({}, { role });
    const header = role === 'server' ? 4 : 8;
    const control = role === 'server' ? 2 : 6;
    const sendTwo = (first: number, second: number): void => {
      void writer.sendBytes(BinaryMessage, new Uint8Array(first), 0, first, undefined);
      void writer.sendBytes(BinaryMessage, new Uint8Array(second), 0, second, undefined);
    };
    const size = 32_768 - header;
    sendTwo(size, size - control - 10);
    void sendQueue.control(PongMessage, new Uint8Array(9), 0, 9);
    expect([transport.writes.length, asked.length]).toEqual([0, 3]);
    sendQueue.flush();
    sendTwo(size, size - control - 10);
    void sendQueue.control(PongMessage, new Uint8Array(10), 0, 10);
    expect([transport.writes.length, asked.length]).toEqual([2, 5]);
  });
});

describe('a large message', () => {
  const size = 65_537;

  it('is referenced, unmasked, until the transport has sent it', async () => {
    const { sendQueue, writer, platform, transport, connection, watched } = queueOf(
      {},
      { mark: 100 },
    );
    transport.block();
    const bytes = new Uint8Array(size);
    const written = writer.sendBytes(BinaryMessage, bytes, 0, size, undefined);
    expect(connection).toMatchObject({ framesOut: 1, messagesOut: 1, bytesOut: size + 10 });
    expect(watched).toEqual([`2 of ${size}`]);
    sendQueue.flush();
    expect(transport.chunks.at(-1)!.buffer === bytes.buffer).toBe(true);
    await platform.settle();
    expect(await stateOf(written)).toBe('pending');
    transport.drain();
    await platform.settle();
    expect(await stateOf(written)).toBe('resolved');
  });

  it('settles with its own bytes, not with those of another message', async () => {
    const { sendQueue, writer, platform, transport } = queueOf({}, { mark: 200_000 });
    transport.block();
    const both = [0, 1].map(() =>
      writer.sendBytes(BinaryMessage, new Uint8Array(size), 0, size, undefined),
    );
    sendQueue.flush();
    transport.drain(2);
    await platform.settle();
    expect(await Promise.all(both.map(stateOf))).toEqual(['resolved', 'pending']);
    transport.drain();
    await platform.settle();
    expect(await stateOf(both[1]!)).toBe('resolved');
  });

  it.each([
    ['of less than 32 KiB', 'server', 32_767],
    ['of a client, which masks it', 'client', size],
  ] as const)('%s is copied', async (_, role, length) => {
    const { sendQueue, writer, transport, sent } = queueOf({}, { role });
    const bytes = new Uint8Array(length).fill(1);
    expect(await stateOf(writer.sendBytes(BinaryMessage, bytes, 0, length, undefined))).toBe(
      'resolved',
    );
    bytes.fill(2);
    sendQueue.flush();
    expect(sent()).toEqual([`binary <${length}>`]);
    expect(transport.chunks.every(({ buffer }) => buffer !== bytes.buffer)).toBe(true);
    const { frames } = naiveDecode(transport.sent, role === 'server' ? 'client' : 'server');
    expect([...new Set(frames[0]!.payload)]).toEqual([1]);
  });

  it('leaves in the same burst as the frames around it', () => {
    const { writer, transport } = queueOf();
    void writer.sendText(TextMessage, 'before', undefined);
    void writer.sendBytes(BinaryMessage, new Uint8Array(size), 0, size, undefined);
    expect(transport.calls[0]).toBe('cork');
    expect(transport.calls.at(-1)).toBe('uncork');
    expect(transport.calls.filter((call) => call.startsWith('write'))).toEqual([
      'write 18',
      `write ${size}`,
    ]);
  });

  it('whose bytes are detached ends the connection, and reports why', async () => {
    const { writer, transport, aborted, platform, block } = queueOf();
    block();
    const bytes = new Uint8Array(size);
    void writer.sendBytes(BinaryMessage, bytes, 0, size, undefined);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    transport.drain();
    await platform.settle();
    expect(aborted).toEqual([expect.any(TransportError)]);
    expect(aborted[0]!.message).toContain('bytes of a pending write were detached');
  });

  it('rejects with the reason when the connection ends before it was sent', async () => {
    const { sendQueue, writer, platform, block, errorOf } = queueOf();
    block();
    const written = writer.sendBytes(BinaryMessage, new Uint8Array(size), 0, size, undefined);
    const error = new TransportError('gone');
    sendQueue.destroy(error);
    await platform.settle();
    await expect(written).rejects.toBe(error);
    expect([sendQueue.unsent, sendQueue.writeEnd?.error]).toEqual([false, error]);
    expect(await errorOf(writer.sendText(TextMessage, 'x', undefined))).toBe(error);
  });
});

describe('a turn with many writes', () => {
  it('defers the thousandth write and later ones to the next turn', async () => {
    const { writer, platform } = queueOf();
    for (let i = 0; i < 999; i++)
      expect(writer.sendText(TextMessage, 'x', undefined)).toBe(RESOLVED);
    const late = [
      writer.sendText(TextMessage, 'x', undefined),
      writer.sendText(TextMessage, 'x', undefined),
    ];
    expect(late[1]).toBe(late[0]);
    expect(platform.yielded).toBe(1);
    expect(await stateOf(late[0]!)).toBe('pending');
    platform.runYielded();
    expect(await stateOf(late[0]!)).toBe('resolved');
    for (let i = 0; i < 999; i++)
      expect(writer.sendText(TextMessage, 'x', undefined)).toBe(RESOLVED);
    expect(writer.sendText(TextMessage, 'x', undefined)).not.toBe(RESOLVED);
  });

  it('ends with the flush', () => {
    const { sendQueue, writer } = queueOf();
    for (let turn = 0; turn < 3; turn++) {
      for (let i = 0; i < 999; i++)
        expect(writer.sendText(TextMessage, 'x', undefined)).toBe(RESOLVED);
      sendQueue.flush();
    }
  });

  it.each([
    { after: 'a chunk whose answers were handed over', ends: 'endOfPass' },
    { after: 'a drain', ends: 'drained' },
  ] as const)('ends after $after', ({ ends }) => {
    const { sendQueue, writer, transport } = queueOf();
    const payload = new Uint8Array(32_764);
    for (let i = 0; i < 40; i++) {
      expect(writer.sendBytes(BinaryMessage, payload, 0, payload.length, undefined)).toBe(RESOLVED);
      sendQueue[ends]();
    }
    expect(transport.writes).toHaveLength(40);
  });

  it('counts bytes: the write that reaches 1 MiB waits', () => {
    const { writer } = queueOf();
    const payload = new Uint8Array(32_764);
    for (let i = 0; i < 31; i++)
      expect(writer.sendBytes(BinaryMessage, payload, 0, payload.length, undefined)).toBe(RESOLVED);
    expect(writer.sendBytes(BinaryMessage, payload, 1, payload.length, undefined)).toBe(RESOLVED);
    expect(writer.sendText(TextMessage, '', undefined)).not.toBe(RESOLVED);
  });

  it('counts eight times the plain bytes of a compressed message', () => {
    const send = (plain: number): Promise<void> => {
      const { sendQueue } = queueOf();
      sendQueue.countEncoded(plain);
      return sendQueue.ownedFrame(FIN | BinaryMessage, Uint8Array.of(1), 0, 1);
    };
    // With its frame of three bytes.
    expect(send(131_071)).toBe(RESOLVED);
    expect(send(131_072)).not.toBe(RESOLVED);
  });
});

describe('Writer without an observer of messages', () => {
  it.each([
    ['no observer', undefined],
    ['one that asks for other things', {}],
  ])('sends as well, with %s', (_, observer) => {
    const { sendQueue, writer, platform, connection, transport } = queueOf();
    Object.assign(platform, { observer });
    void writer.sendText(TextMessage, 'a', undefined);
    void writer.sendBytes(BinaryMessage, bytesOf('b'), 0, 1, undefined);
    void writer.sendBacklog(BinaryMessage, bytesOf('c'));
    void writer.fragment(TextMessage, true, bytesOf('d'), 0, 1);
    writer.complete(TextMessage, 1);
    sendQueue.flush();
    void writer.sendPrepared(new PreparedMessage(TextMessage, 'e'));
    sendQueue.flush();
    expect([connection.messagesOut, transport.sent.length]).toEqual([5, 15]);
  });
});

describe('the buffer of a send queue', () => {
  it('is leased with the first frame and released when the transport has the frames', () => {
    const pool = countingPool();
    const { sendQueue, writer, transport } = queueOf({ writeBufferPool: pool }, { mark: 100 });
    void writer.sendText(TextMessage, 'a', undefined);
    expect(pool.lent).toBe(1);
    transport.block();
    sendQueue.flush();
    expect(pool.lent).toBe(1);
    transport.drain();
    expect(pool.lent).toBe(0);
  });

  it.each(['cut', 'destroy'] as const)('is released by %s', (end) => {
    const pool = countingPool();
    const { sendQueue, writer } = queueOf({ writeBufferPool: pool });
    void writer.sendText(TextMessage, 'a', undefined);
    sendQueue[end](new TransportError('gone'));
    expect(pool.lent).toBe(0);
  });

  it('is released when a frame cannot be encoded', () => {
    const pool = countingPool();
    const { sendQueue, writer, shared } = queueOf({ writeBufferPool: pool });
    Object.assign(shared, {
      writeUtf8: () => {
        throw new Error('no text');
      },
    });
    expect(() => writer.sendText(TextMessage, 'a'.repeat(20), undefined)).toThrow('no text');
    expect([pool.lent, sendQueue.bufferedAmount]).toEqual([0, 0]);
  });

  it('is not leased when the buffer pool fails', () => {
    const { sendQueue, writer } = queueOf({ writeBufferPool: noBuffer });
    expect(() => writer.sendText(TextMessage, 'a', undefined)).toThrow('no memory');
    expect(() => writer.sendBytes(BinaryMessage, bytesOf('a'), 0, 1, undefined)).toThrow(
      'no memory',
    );
    expect([sendQueue.unsent, sendQueue.bufferedAmount]).toEqual([false, 0]);
  });

  it('is not leased for shared frames', () => {
    const pool = countingPool();
    const { sendQueue } = queueOf({ writeBufferPool: pool });
    void sendQueue.sharedFrame(FIN | TextMessage, bytesOf('all'));
    expect(pool.lent).toBe(0);
  });
});
