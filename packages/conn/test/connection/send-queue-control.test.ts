import { naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BackpressureError,
  BinaryMessage,
  CloseSentError,
  PingMessage,
  PongMessage,
  PreparedMessage,
  TextMessage,
  TimeoutError,
  TransportError,
} from '../../src/index.ts';
import { RESOLVED } from '../../src/time/promises.ts';
import { bytesOf, noBuffer, queueOf } from './queue-of.ts';

describe('control frames', () => {
  it('pass all frames that wait for a blocked transport, with the newest pong of each kind', () => {
    const { sendQueue, writer, transport, connection, sent, block } = queueOf();
    block();
    void writer.sendText(TextMessage, 'waits', undefined);
    const payload = bytesOf('1');
    for (const own of [true, false]) {
      for (const digit of '123') {
        payload[0] = digit.charCodeAt(0);
        expect(sendQueue.control(PongMessage, payload, 0, 1, own)).toBe(RESOLVED);
      }
    }
    void sendQueue.control(PingMessage, bytesOf('-ping-'), 1, 5);
    payload[0] = 0x78;
    expect(connection).toMatchObject({ framesOut: 2, pingsOut: 0, bytesOut: 9 });
    transport.drain();
    expect(sent()).toEqual(['binary', 'pong 3', 'pong 3', 'ping ping', 'text waits']);
    expect(connection).toMatchObject({
      framesOut: 5,
      pingsOut: 1,
      bytesOut: transport.sent.length,
    });
  });

  it('pass between waiting frames, but not into a frame', () => {
    const { sendQueue, writer, transport, sent, block } = queueOf({}, { mark: 0 });
    block();
    void writer.sendBytes(BinaryMessage, new Uint8Array(70_000), 0, 70_000, undefined);
    transport.drain();
    transport.block();
    void writer.sendBytes(BinaryMessage, new Uint8Array(70_000), 0, 70_000, undefined);
    void sendQueue.control(PingMessage, bytesOf('p'), 0, 1);
    transport.drain();
    expect(sent()).toEqual(['binary', 'binary <70000>', 'binary <70000>', 'ping p']);
  });

  it('are at most `maxPendingPings` pings of the user, without pongs and heartbeats', async () => {
    const { sendQueue, transport, sent, block, platform } = queueOf({ maxPendingPings: 2 });
    block();
    const add = (opcode: number, text: string, own = false): Promise<void> =>
      sendQueue.control(opcode, bytesOf(text), 0, text.length, own);
    void add(PongMessage, 'a', true);
    void add(PongMessage, 'b');
    void add(PingMessage, 'heartbeat', true);
    expect(add(PingMessage, '1')).toBe(RESOLVED);
    expect(add(PingMessage, '2')).toBe(RESOLVED);
    const refused = expect(add(PingMessage, '3')).rejects.toThrow(
      '2 pings are already waiting for the peer (option maxPendingPings)',
    );
    await platform.settle();
    await refused;
    expect(add(PingMessage, 'beat', true)).toBe(RESOLVED);
    transport.drain();
    expect(sent()).toEqual(['binary', 'pong a', 'pong b', 'ping 1', 'ping 2', 'ping beat']);
    block();
    expect(add(PingMessage, '4')).toBe(RESOLVED);
  });

  it('are masked by a client also after a wait', () => {
    const { sendQueue, transport, sent, block } = queueOf({}, { role: 'client' });
    block();
    void sendQueue.control(PingMessage, bytesOf('p'), 0, 1);
    transport.drain();
    expect(sent()).toEqual(['binary', 'ping p']);
  });

  it('wait in a limited number, without the pongs', async () => {
    const { sendQueue, block, errorOf } = queueOf({ maxPendingPings: 2 });
    block();
    for (let i = 0; i < 2; i++)
      expect(sendQueue.control(PingMessage, bytesOf('p'), 0, 1)).toBe(RESOLVED);
    const refused = await errorOf(sendQueue.control(PingMessage, bytesOf('p'), 0, 1));
    expect(refused).toBeInstanceOf(BackpressureError);
    expect((refused as Error).message).toContain('2 pings are already waiting for the peer');
    expect(sendQueue.control(PongMessage, bytesOf('p'), 0, 1)).toBe(RESOLVED);
  });

  it('without a buffer end the connection when no caller sees the error', async () => {
    const { sendQueue, aborted, errorOf } = queueOf({ writeBufferPool: noBuffer });
    const noMemory = new Error('no memory');
    expect(await errorOf(sendQueue.control(PingMessage, bytesOf('p'), 0, 1))).toEqual(noMemory);
    expect(aborted).toEqual([]);
    const pong = sendQueue.control(PongMessage, bytesOf('p'), 0, 1, true);
    expect(await errorOf(pong)).toEqual(noMemory);
    expect(aborted).toEqual([expect.any(TransportError)]);
  });
});

describe('the close frame', () => {
  it('leaves after all accepted messages, and no message is accepted after it', async () => {
    const { sendQueue, writer, connection, asked, sent, errorOf } = queueOf();
    void writer.sendText(TextMessage, 'before', undefined);
    asked.length = 0;
    expect(sendQueue.close(Uint8Array.of(0x03, 0xe8))).toBe(true);
    expect([asked, sendQueue.open]).toEqual([['flush'], false]);
    for (const refused of [
      writer.sendText(TextMessage, 'after', undefined),
      writer.sendBytes(BinaryMessage, bytesOf('after'), 0, 5, undefined),
      writer.sendBacklog(BinaryMessage, bytesOf('after')),
      writer.sendPrepared(new PreparedMessage(BinaryMessage, 'after'), true),
      sendQueue.control(PingMessage, bytesOf('after'), 0, 5),
    ])
      expect(await errorOf(refused)).toBeInstanceOf(CloseSentError);
    sendQueue.flush();
    expect(sent()).toEqual(['text before', 'close 1000']);
    expect(connection).toMatchObject({ framesOut: 2, messagesOut: 1, pingsOut: 0 });
  });

  it('without a buffer ends the connection', () => {
    const { sendQueue, aborted, asked } = queueOf({ writeBufferPool: noBuffer });
    expect(sendQueue.close(Uint8Array.of(0x03, 0xe8))).toBe(false);
    expect([aborted, asked]).toEqual([[sendQueue.writeEnd?.error], []]);
    expect(sendQueue.writeEnd?.error).toBeInstanceOf(TransportError);
  });
});

describe('a blocked transport with queued frames', () => {
  it('replaces no ping by a pong', () => {
    const { sendQueue, transport, sent, block } = queueOf();
    block();
    void sendQueue.control(PingMessage, bytesOf('p'), 0, 1);
    for (const payload of ['1', '2'])
      void sendQueue.control(PongMessage, bytesOf(payload), 0, 1, true);
    transport.drain();
    expect(sent()).toEqual(['binary', 'ping p', 'pong 2']);
  });

  it.each(['server', 'client'] as const)('keeps a fragment of a %s unchanged', (role) => {
    const { writer, transport, block } = queueOf({}, { role, mark: 0 });
    block();
    const bytes = new Uint8Array(70_002).fill(1);
    void writer.fragment(BinaryMessage, true, bytes, 1, 70_001);
    bytes.fill(2);
    transport.drain();
    const { frames } = naiveDecode(transport.sent, role === 'server' ? 'client' : 'server');
    expect([frames[1]!.payload.length, ...new Set(frames[1]!.payload)]).toEqual([70_000, 1]);
  });
});

describe('an expired write deadline', () => {
  const error = new TimeoutError('the write deadline is past');

  it('ends the connection at the next write, and allows control frames until then', async () => {
    const { sendQueue, writer, aborted, sent, errorOf } = queueOf();
    sendQueue.expire(error, 0);
    expect([aborted, sendQueue.open]).toEqual([[], true]);
    expect(sendQueue.control(PingMessage, bytesOf('p'), 0, 1)).toBe(RESOLVED);
    expect(await errorOf(writer.sendText(TextMessage, 'late', undefined))).toBe(error);
    expect(aborted).toEqual([error]);
    sendQueue.flush();
    expect(sent()).toEqual(['ping p']);
  });

  it.each([
    { says: 'something waits here', bytes: 1, waiting: 0 },
    { says: 'something waits behind a writer', bytes: 0, waiting: 1 },
  ])('ends the connection at once when $says', ({ bytes, waiting }) => {
    const { sendQueue, writer, aborted } = queueOf();
    if (bytes > 0) void writer.sendText(TextMessage, 'x', undefined);
    sendQueue.expire(error, waiting);
    expect(aborted).toEqual([error]);
  });

  it('can be moved, and has no effect then', async () => {
    const { sendQueue, writer, aborted } = queueOf();
    sendQueue.expire(error, 0);
    sendQueue.clearExpired();
    expect(writer.sendText(TextMessage, 'x', undefined)).toBe(RESOLVED);
    expect(aborted).toEqual([]);
  });

  it('has no effect after the close frame, or after the end of the transport', async () => {
    const closed = queueOf();
    closed.sendQueue.close(new Uint8Array(0));
    closed.sendQueue.expire(error, 0);
    expect([closed.aborted, closed.sendQueue.open]).toEqual([[], false]);
    const gone = queueOf();
    gone.sendQueue.expire(error, 0);
    gone.sendQueue.destroy(new TransportError('gone'));
    gone.sendQueue.clearExpired();
    expect([gone.sendQueue.writeEnd?.error, gone.sendQueue.open]).toEqual([error, false]);
    expect(await gone.errorOf(gone.writer.sendText(TextMessage, 'x', undefined))).toBe(error);
    expect(gone.aborted).toEqual([]);
  });
});
