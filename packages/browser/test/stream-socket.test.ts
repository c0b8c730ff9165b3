import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  type BrowserConn,
  CloseSentError,
  type DialOptions,
  dial,
  TransportError,
} from '../src/index.ts';
import { FakeWebSocketStream } from './fake-web-socket-stream.ts';
import { isPending, rejection } from './support.ts';

async function connectedStream(
  options: DialOptions = {},
): Promise<{ conn: BrowserConn; stream: FakeWebSocketStream }> {
  const dialing = dial('ws://h', { WebSocketStream: FakeWebSocketStream, ...options });
  const stream = FakeWebSocketStream.last!;
  stream.open();
  return { conn: await dialing, stream };
}

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe('a BrowserConn over a WebSocketStream', () => {
  it('is used on request where it exists', async () => {
    vi.stubGlobal('WebSocketStream', FakeWebSocketStream);
    onTestFinished(() => void vi.unstubAllGlobals());
    const dialing = dial('ws://h', { subprotocols: 'v2', stream: 'auto' });
    FakeWebSocketStream.last!.open();
    const conn = await dialing;
    expect(FakeWebSocketStream.last!.protocols).toEqual(['v2']);
    expect([conn.subprotocol, conn.extensions]).toEqual(['v2', 'x']);
    expect(conn.underlying).toBe(FakeWebSocketStream.last);
  });

  it('reads texts, arrays and buffers', async () => {
    const { conn, stream } = await connectedStream();
    const reading = conn.readMessage();
    await settled();
    stream.message('a');
    expect((await reading).text()).toBe('a');
    stream.message(Uint8Array.of(1));
    stream.message(Uint8Array.of(2).buffer);
    expect((await conn.readMessage()).data).toEqual(Uint8Array.of(1));
    expect((await conn.readMessage()).data).toEqual(Uint8Array.of(2));
  });

  it('holds one message without a reader, and asks for no more', async () => {
    const { conn, stream } = await connectedStream({ maxQueuedBytes: 1 });
    await settled();
    expect(stream.pulls).toBe(1);
    stream.message('a'.repeat(100));
    await settled();
    expect(stream.pulls).toBe(1);
    await conn.readMessage();
    await settled();
    expect(stream.pulls).toBe(2);
  });

  it('asks for no more while a handler is at work and a message waits', async () => {
    const { conn, stream } = await connectedStream();
    let go!: () => void;
    void conn.receive(() => new Promise<void>((resolve) => (go = resolve)));
    await settled();
    stream.message('a');
    await settled();
    const { pulls } = stream;
    stream.message('b');
    await settled();
    expect(stream.pulls).toBe(pulls);
    go();
    await settled();
    expect(conn.stats.messagesIn).toBe(2);
  });

  it('copies bytes, and waits while the stream does', async () => {
    const { conn, stream } = await connectedStream({ highWaterMark: 3, maxBufferedAmount: 6 });
    stream.blocked = true;
    const data = Uint8Array.of(1, 2);
    await conn.send('a');
    const waits = conn.send(data);
    data.fill(0);
    expect(await isPending(waits)).toBe(true);
    expect(conn.bufferedAmount).toBe(3);
    expect(await rejection(conn.send('1234'))).toMatchObject({ code: 'WS_ERR_BACKPRESSURE' });
    stream.blocked = false;
    stream.unblock!();
    await waits;
    await settled();
    expect(stream.sent).toEqual(['a', [1, 2]]);
    expect(conn.bufferedAmount).toBe(0);
  });

  it('closes after all accepted messages, and resolves with the end', async () => {
    const { conn, stream } = await connectedStream();
    stream.blocked = true;
    await conn.send('a');
    const closing = conn.close(4000, 'bye');
    await settled();
    expect(stream.closes).toEqual([]);
    stream.unblock!();
    await settled();
    expect(stream.closes).toEqual([{ closeCode: 4000, reason: 'bye' }]);
    stream.message('dropped');
    stream.end({ closeCode: 4000, reason: 'bye' });
    expect(await closing).toEqual({ code: 4000, reason: 'bye', wasClean: true });
    expect(await rejection(conn.send('b'))).toBeInstanceOf(CloseSentError);
  });

  it('reads what came before the end of the peer, then its code', async () => {
    const { conn, stream } = await connectedStream();
    await settled();
    stream.message('a');
    stream.message('b');
    stream.end({});
    expect(await conn.closed).toEqual({ code: 1005, reason: '', wasClean: true });
    const texts = [];
    for await (const message of conn) texts.push(message.text());
    expect(texts).toEqual(['a', 'b']);
  });

  it('reports a broken connection as 1006 with its cause', async () => {
    const { conn, stream } = await connectedStream();
    const reading = conn.readMessage();
    const cause = new Error('gone');
    stream.fail(cause);
    expect(await rejection(reading)).toMatchObject({ closeCode: 1006, cause });
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
  });

  it('rejects a dial that failed', async () => {
    const dialing = dial('ws://h', { WebSocketStream: FakeWebSocketStream });
    FakeWebSocketStream.last!.fail(new Error('no'));
    expect(await rejection(dialing)).toBeInstanceOf(TransportError);
  });

  it('ends a blocked write when it terminates, and when a close takes too long', async () => {
    const ends: ((conn: BrowserConn) => unknown)[] = [
      (conn) => conn.terminate(),
      (conn) => conn.close(1000, '', { timeout: 1 }),
    ];
    for (const end of ends) {
      const { conn, stream } = await connectedStream({ highWaterMark: 1 });
      stream.blocked = true;
      const sending = rejection(conn.send('ab'));
      await end(conn);
      expect(await sending).toMatchObject({ closeCode: 1006 });
      expect(await conn.closed).toMatchObject({ code: 1006 });
      expect(stream.closes).toEqual([{}]);
    }
  });

  it.each([
    [5, false],
    [0, true],
  ])('keeps %i messages that arrive after close when discard is %s', async (kept, discard) => {
    const { conn, stream } = await connectedStream();
    void conn.close(1000, '', { discard });
    for (let i = 0; i < 5; i++) {
      stream.message('late');
      await settled();
    }
    expect(stream.pulls).toBeGreaterThan(4);
    stream.end({ closeCode: 1000 });
    expect(await conn.closed).toMatchObject({ code: 1000 });
    expect(conn.stats.messagesIn).toBe(kept);
  });

  it('closes the stream of an aborted dial', async () => {
    const stop = new AbortController();
    const dialing = dial('ws://h', {
      WebSocketStream: FakeWebSocketStream,
      signal: stop.signal,
    });
    const stream = FakeWebSocketStream.last!;
    stop.abort(5);
    expect(await rejection(dialing)).toBe(5);
    await settled();
    expect(stream.closes).toEqual([{}]);
    stream.fail(new Error('closed'));
  });
});
