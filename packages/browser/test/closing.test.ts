import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CloseError, CloseSentError } from '../src/index.ts';
import { connected, isPending, rejection, stubReportError } from './support.ts';

beforeEach(() => void stubReportError());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('BrowserConn.close', () => {
  it.each([1000, 3000, 4999])('sends code %i and its reason', async (code) => {
    const { conn, socket } = connected();
    const closing = conn.close(code, 'bye');
    expect([conn.state, socket.closes]).toEqual(['closing', [[code, 'bye']]]);
    expect(await isPending(closing)).toBe(true);
    socket.end(code, 'bye');
    expect(await closing).toEqual({ code, reason: 'bye', wasClean: true });
    expect(conn.state).toBe('closed');
  });

  it.each([0, 999, 1001, 1005, 1006, 1011, 2999, 5000, 3000.5, NaN])(
    'rejects the code %j with a RangeError that has the rule',
    async (code) => {
      const { conn, socket } = connected();
      const error = await rejection(conn.close(code));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toBe(
        `close: code other than 1000 in a page: expected a whole number from 3000 to 4999, got ${code}`,
      );
      expect([conn.state, socket.closes]).toEqual(['open', []]);
    },
  );

  it('bounds the reason to 123 bytes of UTF-8', async () => {
    const { conn, socket } = connected();
    const error = await rejection(conn.close(1000, 'é'.repeat(62)));
    expect(error.message).toBe('close: expected a reason of at most 123 bytes of UTF-8, got 124');
    void conn.close(1000, `${'é'.repeat(61)}x`);
    expect(socket.closes).toHaveLength(1);
  });

  it('lets reads have what arrives before the end, then the CloseError', async () => {
    const { conn, socket } = connected();
    socket.message('queued');
    void conn.close();
    // Some WebSockets outside of pages have messages until the close frame of the peer.
    socket.message('late');
    expect((await conn.readMessage()).text()).toBe('queued');
    socket.end(1000);
    expect((await conn.readMessage()).text()).toBe('late');
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
  });

  it('lets the handler of receive have what has arrived', async () => {
    const { conn, socket } = connected();
    const texts: string[] = [];
    const receiving = conn.receive(async (message) => {
      texts.push(message.text());
      await conn.send('answer').catch((error: unknown) => {
        if (!(error instanceof CloseSentError)) throw error;
      });
    });
    for (const text of ['a', 'b', 'c']) socket.message(text);
    void conn.close();
    socket.end(1000);
    expect(await receiving).toMatchObject({ code: 1000, wasClean: true });
    expect(texts).toEqual(['a', 'b', 'c']);
  });

  it('lets the error of a late answer end no connection', async () => {
    const { conn, socket } = connected();
    const texts: string[] = [];
    const receiving = conn.receive((message) => {
      texts.push(message.text());
      return conn.send('answer');
    });
    void conn.close();
    for (const text of ['a', 'b']) socket.message(text);
    socket.end(1000);
    expect(await receiving).toMatchObject({ code: 1000 });
    expect(texts).toEqual(['a', 'b']);
  });

  it('bounds what waits by maxQueuedBytes', async () => {
    const { conn, socket } = connected({ maxQueuedBytes: 1 });
    socket.message('first');
    void conn.close();
    socket.message('dropped');
    socket.end(1000);
    expect((await conn.readMessage()).text()).toBe('first');
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
  });

  it.each(['at once', 'in a second call'])('drops all of it with discard (%s)', async (when) => {
    const { conn, socket } = connected();
    socket.message('queued');
    if (when !== 'at once') void conn.close();
    void conn.close(1000, '', { discard: true });
    const reading = conn.readMessage();
    socket.message('late');
    expect(await isPending(reading)).toBe(true);
    socket.end(1000);
    const error = await rejection(reading);
    expect(error).toBeInstanceOf(CloseError);
    expect(error).toMatchObject({ closeCode: 1000 });
  });

  it('is closed after a timeout without an answer', async () => {
    vi.useFakeTimers();
    const before = vi.getTimerCount();
    const { conn, socket } = connected();
    const closing = conn.close();
    await vi.advanceTimersByTimeAsync(4999);
    expect(conn.state).toBe('closing');
    await vi.advanceTimersByTimeAsync(1);
    const error = expect.any(CloseError);
    expect(await closing).toEqual({ code: 1006, reason: '', wasClean: false, error });
    socket.message('late');
    socket.end(1000);
    expect(await conn.closed).toMatchObject({ code: 1006 });
    expect(vi.getTimerCount()).toBeLessThanOrEqual(before);
  });

  it('takes a timeout, which a later call can only shorten', async () => {
    vi.useFakeTimers();
    const { conn } = connected();
    void conn.close(1000, '', { timeout: 100 });
    void conn.close(1000, '', { timeout: 500 });
    void conn.close(1000, '', { timeout: 20 });
    await vi.advanceTimersByTimeAsync(20);
    expect(conn.state).toBe('closed');
  });

  it('terminates when its signal aborts', async () => {
    const { conn } = connected();
    const stop = new AbortController();
    const closing = conn.close(1000, '', { signal: stop.signal });
    stop.abort(7);
    expect(await rejection(closing)).toBe(7);
    expect(await conn.closed).toMatchObject({ code: 1006 });
  });

  it('returns the end for every call', async () => {
    const { conn, socket } = connected();
    const both = Promise.all([conn.close(), conn.close(4000)]);
    const ends: number[] = [];
    void conn.closed.then(({ code }) => ends.push(code));
    socket.end(1000);
    socket.end(1006);
    expect(await both).toHaveLength(2);
    expect(ends).toEqual([1000]);
    expect(socket.closes).toEqual([[1000, '']]);
    expect(await conn.close()).toMatchObject({ code: 1000 });
  });

  it('is the disposal', async () => {
    const { conn, socket } = connected();
    const disposed = conn[Symbol.asyncDispose]();
    expect(socket.closes).toEqual([[1000, '']]);
    socket.end(1000);
    await disposed;
  });
});

describe('BrowserConn.terminate', () => {
  it('ends at once with 1006', async () => {
    const { conn, socket } = connected();
    const reading = conn.readMessage();
    conn.terminate();
    conn.terminate();
    expect(conn.state).toBe('closed');
    const error = await rejection(reading);
    expect(error).toMatchObject({ closeCode: 1006 });
    expect(await conn.closed).toEqual({ code: 1006, reason: '', wasClean: false, error });
    expect(socket.closes).toEqual([[undefined, undefined]]);
    socket.end(1000);
  });
});

describe('BrowserConn.closed', () => {
  it('has the code and the reason of the peer', async () => {
    const { conn, socket } = connected();
    socket.end(4001, 'bye');
    expect(await conn.closed).toEqual({ code: 4001, reason: 'bye', wasClean: true });
    expect(conn.state).toBe('closed');
  });

  it('has an error after a broken connection', async () => {
    const { conn, socket } = connected();
    socket.end();
    const { code, wasClean, error } = await conn.closed;
    expect([code, wasClean, error]).toEqual([1006, false, expect.any(CloseError)]);
  });
});

describe('what a page lacks', () => {
  it('allows resets', () => {
    const { conn } = connected();
    conn.setPingHandler(null);
    conn.setPongHandler(null);
    conn.setCloseHandler(null);
    expect(conn.state).toBe('open');
  });

  it('counts no frames', () => {
    const { conn } = connected();
    expect(conn.stats).toEqual({
      messagesIn: 0,
      messagesOut: 0,
      messagesRefused: 0,
      messagesDropped: 0,
      bytesIn: 0,
      bytesOut: 0,
      framesIn: NaN,
      framesOut: NaN,
      pingsIn: NaN,
      pingsOut: NaN,
      rtt: NaN,
      compressionBytes: NaN,
    });
  });
});

describe('C2 a chunk of a stream after the close of the peer', () => {
  it.each([1000, 3000])('rejects with that close, %i', async (code) => {
    const { conn, socket } = connected();
    const writer = conn.toStreams().writable.getWriter();
    writer.closed.catch(() => {});
    socket.end(code, 'enough');
    await expect(writer.write('late')).rejects.toMatchObject({
      name: 'CloseError',
      closeCode: code,
      reason: 'enough',
    });
    expect(await conn.closed).toMatchObject({ code, wasClean: true });
  });
});
