import { describe, expect, it } from 'vitest';
import {
  BackpressureError,
  BinaryMessage,
  CloseSentError,
  PingMessage,
  TextMessage,
  TransportError,
} from '../../src/index.ts';
import { RESOLVED } from '../../src/time/promises.ts';
import { bytesOf, queueOf, stateOf } from './queue-of.ts';

const REFUSED =
  'the message was not sent: 50 bytes are already buffered and 51 more would exceed maxBufferedAmount (100); await your writes';

describe('the buffered amount', () => {
  it('is limited to maxBufferedAmount, counted as UTF-8', async () => {
    const { sendQueue, writer, block, errorOf } = queueOf({
      maxBufferedAmount: 100,
      highWaterMark: 50,
    });
    block(48);
    expect(sendQueue.bufferedAmount).toBe(50);
    expect(writer.rejectionFor(50)).toBeUndefined();
    expect([writer.accepts(50), writer.accepts(51)]).toEqual([true, false]);
    expect(writer.rejectionFor(50, 'x'.repeat(50))).toBeUndefined();
    expect(writer.rejectionFor(25, 'é'.repeat(25))).toBeUndefined();
    for (const [size, text] of [
      [51, undefined],
      [51, 'x'.repeat(51)],
      [26, 'é'.repeat(26)],
    ] as const)
      expect(await errorOf(writer.rejectionFor(size, text))).toBeInstanceOf(BackpressureError);
    expect(await errorOf(writer.rejectionFor(51))).toMatchObject({
      message: `websocket: ${REFUSED}`,
    });
    expect(await errorOf(writer.sendText(TextMessage, 'x'.repeat(51), undefined))).toBeInstanceOf(
      BackpressureError,
    );
    const message = writer.sendBytes(TextMessage, new Uint8Array(51), 0, 51, undefined);
    expect(await errorOf(message)).toBeInstanceOf(BackpressureError);
    const bytes = new Uint8Array(51);
    const waited = writer.sendBacklog(TextMessage, bytes);
    expect(await stateOf(waited)).toBe('pending');
  });

  it.each([
    { says: 'nothing waits', highWaterMark: 50, blocks: false, accepted: true },
    { says: 'less than the mark waits', highWaterMark: 51, blocks: true, accepted: true },
    { says: 'the mark is reached', highWaterMark: 50, blocks: true, accepted: false },
    { says: 'the mark is the limit', highWaterMark: 100, blocks: true, accepted: true },
    { says: 'the mark is above it', highWaterMark: 101, blocks: true, accepted: false },
  ])('allows a message of any size while $says: $accepted', (row) => {
    const { highWaterMark, blocks, accepted } = row;
    const { writer, block } = queueOf({ maxBufferedAmount: 100, highWaterMark });
    if (blocks) block(48);
    expect(writer.rejectionFor(1_000) === undefined).toBe(accepted);
  });

  it('is handed over before a message is rejected for it', () => {
    const { writer, transport } = queueOf({ maxBufferedAmount: 100, highWaterMark: 10 });
    void writer.sendText(TextMessage, 'x'.repeat(60), undefined);
    expect(writer.rejectionFor(38)).toBeUndefined();
    expect(transport.writes).toEqual([]);
    expect(writer.rejectionFor(39)).toBeUndefined();
    expect(transport.writes).toHaveLength(1);
  });
});

describe('a blocked transport', () => {
  it('delays writers from the high-water mark on, until it is below the mark', async () => {
    const { sendQueue, writer, transport, platform } = queueOf({ highWaterMark: 100 }, { mark: 9 });
    transport.block();
    void writer.sendText(TextMessage, 'x'.repeat(10), undefined);
    sendQueue.flush();
    expect(sendQueue.bufferedAmount).toBe(12);
    expect(sendQueue.unsent).toBe(false);
    expect(writer.sendText(TextMessage, 'x'.repeat(85), undefined)).toBe(RESOLVED);
    expect(sendQueue.bufferedAmount).toBe(99);
    const waiting = writer.sendText(TextMessage, '', undefined);
    expect([sendQueue.unsent, sendQueue.blocked]).toEqual([true, true]);
    expect(await stateOf(waiting)).toBe('pending');
    transport.drain();
    await platform.settle();
    expect(await stateOf(waiting)).toBe('resolved');
  });

  it('keeps writers waiting after a partial drain', async () => {
    const { sendQueue, writer, transport, platform } = queueOf({ highWaterMark: 100 });
    transport.block();
    void writer.sendText(TextMessage, '', undefined);
    sendQueue.flush();
    const waiting = writer.sendText(TextMessage, 'x'.repeat(98), undefined);
    transport.drain();
    transport.block();
    await platform.settle();
    expect(await stateOf(waiting)).toBe('resolved');
    void writer.sendText(TextMessage, '', undefined);
    sendQueue.flush();
    const again = writer.sendText(TextMessage, 'x'.repeat(120), undefined);
    transport.takesOne = true;
    transport.drain();
    await platform.settle();
    expect(await stateOf(again)).toBe('pending');
    transport.drain();
    await platform.settle();
    expect(await stateOf(again)).toBe('resolved');
  });

  it('receives no flush', () => {
    const { writer, asked, block } = queueOf();
    block();
    asked.length = 0;
    void writer.sendText(TextMessage, 'x', undefined);
    expect(asked).toEqual([]);
  });

  it('ends once, after all accepted messages', () => {
    const { sendQueue, writer, transport, sent, block } = queueOf();
    block();
    let ends = 0;
    transport.end = () => void ends++;
    void writer.sendText(TextMessage, 'waits', undefined);
    sendQueue.end();
    expect(ends).toBe(0);
    transport.drain();
    expect([ends, sent()]).toEqual([1, ['binary', 'text waits']]);
    sendQueue.end();
    sendQueue.flush();
    expect(ends).toBe(1);
  });

  it('receives none of the waiting frames after cut()', async () => {
    const { sendQueue, writer, transport, sent, platform, block } = queueOf({ highWaterMark: 10 });
    block();
    const waiting = writer.sendText(TextMessage, 'x'.repeat(20), undefined);
    const referenced = writer.sendBytes(
      BinaryMessage,
      new Uint8Array(70_000),
      0,
      70_000,
      undefined,
    );
    void sendQueue.control(PingMessage, bytesOf('p'), 0, 1);
    sendQueue.cut();
    const error = await waiting.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CloseSentError);
    await expect(referenced).rejects.toBe(error);
    expect(sendQueue.unsent).toBe(false);
    transport.drain();
    await platform.settle();
    expect(sent()).toEqual(['binary']);
  });

  it('receives no write after destroy()', async () => {
    const { sendQueue, writer, transport, sent, platform, block } = queueOf({ highWaterMark: 10 });
    block();
    const waiting = writer.sendText(TextMessage, 'x'.repeat(20), undefined);
    void sendQueue.control(PingMessage, bytesOf('p'), 0, 1);
    const error = new TransportError('gone');
    sendQueue.destroy(error);
    sendQueue.destroy(new TransportError('again'));
    await expect(waiting).rejects.toBe(error);
    expect([sendQueue.writeEnd?.error, sendQueue.unsent]).toEqual([error, false]);
    sendQueue.flush();
    await platform.settle();
    expect([sent(), transport.writes.length]).toEqual([['binary'], 1]);
  });
});

describe('SendQueue after its end', () => {
  it('rejects with the first reason', async () => {
    const { sendQueue, writer, errorOf } = queueOf();
    expect(writer.rejectionIfClosed()).toBeUndefined();
    const error = new TransportError('gone');
    sendQueue.stopAccepting(error);
    sendQueue.stopAccepting(new TransportError('again'));
    expect(await errorOf(writer.sendText(TextMessage, 'x', undefined))).toBe(error);
    expect(await errorOf(writer.rejectionIfClosed())).toBe(error);
    expect(await errorOf(writer.rejectionFor(1))).toBe(error);
  });

  it('does not end a destroyed transport', () => {
    const { sendQueue, transport } = queueOf();
    sendQueue.destroy(new TransportError('gone'));
    sendQueue.end();
    sendQueue.flush();
    expect(transport.ended).toBe(false);
  });
});

describe('bytes that wait for an open writer', () => {
  it('count against maxBufferedAmount', () => {
    const { writer } = queueOf({ maxBufferedAmount: 100, highWaterMark: 50 });
    writer.waitingBytes = 60;
    expect([writer.accepts(40), writer.accepts(41)]).toEqual([true, false]);
  });

  it('do not limit a single message, at any mark, when there are none', () => {
    const { writer } = queueOf({ maxBufferedAmount: 100, highWaterMark: 101 });
    expect(writer.rejectionFor(1_000)).toBeUndefined();
  });
});

describe('a transport that accepts one piece at a time', () => {
  it('receives a large frame whole, before the frames that were queued meanwhile', () => {
    const { sendQueue, writer, transport, sent } = queueOf();
    transport.takesOne = true;
    void writer.sendBytes(BinaryMessage, new Uint8Array(200_000), 0, 200_000, undefined);
    expect(transport.calls).toEqual(['cork', 'write 10', 'uncork']);
    const ping = sendQueue.control(PingMessage, bytesOf('p'), 0, 1);
    expect([sendQueue.unsent, ping]).toEqual([true, RESOLVED]);
    while (transport.bufferedAmount > 0) transport.drain();
    expect(sent()).toEqual(['binary <200000>', 'ping p']);
  });

  it('needs no cork', () => {
    const { writer, transport, sent } = queueOf();
    Object.assign(transport, { cork: undefined, uncork: undefined });
    void writer.sendText(TextMessage, 'before', undefined);
    void writer.sendBytes(BinaryMessage, new Uint8Array(65_537), 0, 65_537, undefined);
    expect(sent()).toEqual(['text before', 'binary <65537>']);
  });

  it('ends after the control frames that wait for it', () => {
    const { sendQueue, transport, sent, block } = queueOf();
    block();
    void sendQueue.control(PingMessage, bytesOf('p'), 0, 1);
    sendQueue.end();
    expect(transport.ended).toBe(false);
    transport.drain();
    expect([transport.ended, sent()]).toEqual([true, ['binary', 'ping p']]);
  });
});

describe('the limits of a write', () => {
  it('delay a write that reaches the mark of a blocked transport', async () => {
    const { writer, block } = queueOf({ highWaterMark: 100 });
    block();
    expect(await stateOf(writer.sendText(TextMessage, 'x'.repeat(96), undefined))).toBe('pending');
  });

  it('delay a write that reaches 1 MiB in a turn', () => {
    const { writer } = queueOf();
    const payload = new Uint8Array(32_764);
    for (let i = 0; i < 31; i++)
      expect(writer.sendBytes(BinaryMessage, payload, 0, payload.length, undefined)).toBe(RESOLVED);
    expect(writer.sendBytes(BinaryMessage, payload, 0, payload.length, undefined)).not.toBe(
      RESOLVED,
    );
  });

  it('allow a write to an empty queue up to the limit', () => {
    const { writer, block } = queueOf({ maxBufferedAmount: 100, highWaterMark: 20 });
    block(28);
    expect(writer.rejectionFor(70)).toBeUndefined();
    expect(writer.rejectionFor(23, 'é'.repeat(23))).toBeUndefined();
  });
});
