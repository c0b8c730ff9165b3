import { runInNewContext } from 'node:vm';
import type { BorrowedMessage } from '@ws/conn';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  BackpressureError,
  BinaryMessage,
  CloseError,
  CloseSentError,
  ReadLimitError,
  ReadPendingError,
  TextMessage,
  TimeoutError,
} from '../src/index.ts';
import { bytes } from './fake-web-socket.ts';
import { connected, isPending, rejection, stubReportError } from './support.ts';

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('BrowserConn.readMessage', () => {
  it('returns text and bytes with their types, in order', async () => {
    const { conn, socket } = connected();
    socket.message('grüße 🌍');
    const first = conn.readMessage();
    const second = conn.readMessage();
    socket.message(bytes(1, 2, 3));
    const text = await first;
    expect([text.type, text.isText, text.text()]).toEqual([TextMessage, true, 'grüße 🌍']);
    expect(text.data).toEqual(new TextEncoder().encode('grüße 🌍'));
    const binary = await second;
    expect([binary.type, binary.isText]).toEqual([BinaryMessage, false]);
    expect(binary.data).toEqual(Uint8Array.of(1, 2, 3));
  });

  it('keeps the text of a message whose bytes its owner changes, and sends the bytes', async () => {
    const { conn, socket } = connected();
    socket.message('abc');
    const message = await conn.readMessage();
    message.data[0] = 0x7a;
    await conn.send(message);
    expect([message.text(), socket.sent]).toEqual(['abc', ['zbc']]);
  });

  it('keeps empty messages and a byte order mark', async () => {
    const { conn, socket } = connected();
    socket.message('');
    socket.message(bytes());
    socket.message('\ufeffa');
    expect((await conn.readMessage()).text()).toBe('');
    expect((await conn.readMessage()).data).toEqual(new Uint8Array(0));
    expect((await conn.readMessage()).text()).toBe('\ufeffa');
  });

  it('gives the Uint8Array of a runtime to the reader, and a Buffer as a Uint8Array', async () => {
    const { conn, socket } = connected();
    const own = Uint8Array.of(1, 2);
    socket.message(own);
    socket.message(Buffer.of(3));
    expect((await conn.readMessage()).data).toBe(own);
    const { data } = await conn.readMessage();
    expect([data.constructor, [...data]]).toEqual([Uint8Array, [3]]);
  });

  it('rejects a second read while one is pending, with both names', async () => {
    const { conn, socket } = connected();
    const first = conn.readMessage();
    for (const second of [conn.readMessage(), conn.readJSON(), conn.receive(() => {})]) {
      const error = await rejection(second);
      expect(error).toBeInstanceOf(ReadPendingError);
      expect(error.message).toContain('while readMessage is pending');
    }
    socket.message('a');
    expect((await first).text()).toBe('a');
  });

  it('loses no message to an aborted signal or a timeout', async () => {
    const { conn, socket } = connected();
    const stop = new AbortController();
    const aborted = conn.readMessage({ signal: stop.signal });
    stop.abort(new Error('enough'));
    expect((await rejection(aborted)).message).toBe('enough');
    const late = await rejection(conn.readMessage({ timeout: 1 }));
    expect(late).toBeInstanceOf(TimeoutError);
    expect(late.message).toContain('timed out after 1 ms (option timeout)');
    expect(late).toMatchObject({ permanent: false });
    socket.message('next');
    expect((await conn.readMessage({ timeout: 1000 })).text()).toBe('next');
  });

  it('takes a TaskSignal, which is an AbortSignal', async () => {
    const { conn } = connected();
    const stop = new AbortController();
    Object.defineProperty(stop.signal, Symbol.toStringTag, { value: 'TaskSignal' });
    const reading = rejection(conn.readMessage({ signal: stop.signal }));
    stop.abort(new Error('stop'));
    expect((await reading).message).toBe('stop');
  });

  it('does not start with an aborted signal', async () => {
    const { conn, socket } = connected();
    expect(await rejection(conn.readMessage({ signal: AbortSignal.abort(5) }))).toBe(5);
    socket.message('a');
    expect((await conn.readMessage()).text()).toBe('a');
  });

  it('returns messages that came before the end, then its error', async () => {
    const { conn, socket } = connected();
    socket.message('a');
    socket.message('b');
    socket.end(4001, 'bye');
    expect((await conn.readMessage()).text()).toBe('a');
    expect((await conn.readMessage()).text()).toBe('b');
    for (let i = 0; i < 2; i++) {
      const error = await rejection(conn.readMessage());
      expect(error).toBeInstanceOf(CloseError);
      expect(error).toMatchObject({ closeCode: 4001, reason: 'bye' });
    }
  });

  it('says for 1006 where the cause is', async () => {
    const { conn, socket } = connected();
    const reading = conn.readMessage();
    const cause = new Error('reset');
    socket.end(1006, '', false, cause);
    const error = await rejection(reading);
    expect(error.message).toContain('close 1006 (abnormal closure)');
    expect(error.message).toContain('see the network tab');
    expect(error.cause).toBe(cause);
  });

  it('reads many queued messages in linear time', async () => {
    const { conn, socket } = connected({ maxQueuedBytes: false });
    for (let i = 0; i < 20_000; i++) socket.message(String(i));
    for (let i = 0; i < 20_000; i++) {
      if ((await conn.readMessage()).text() !== String(i)) expect.fail(`at ${i}`);
    }
    expect(conn.stats).toMatchObject({ messagesIn: 20_000, bytesIn: 88_890 });
  });
});

describe('BrowserConn, iterated', () => {
  it.each([1000, 1005])('ends after close code %i', async (code) => {
    const { conn, socket } = connected();
    socket.message('a');
    socket.end(code);
    const texts = [];
    for await (const message of conn) texts.push(message.text());
    expect(texts).toEqual(['a']);
  });

  it('throws for other codes', async () => {
    const { conn, socket } = connected();
    socket.end(4000);
    const iterate = async (): Promise<void> => {
      for await (const _ of conn);
    };
    expect(await rejection(iterate())).toMatchObject({ closeCode: 4000 });
  });

  it('stays open after break', async () => {
    const { conn, socket } = connected();
    socket.message('a');
    socket.message('b');
    for await (const message of conn) {
      expect(message.text()).toBe('a');
      break;
    }
    expect((await conn.readMessage()).text()).toBe('b');
    expect(conn.state).toBe('open');
  });
});

describe('the iterator of a BrowserConn', () => {
  it('ends a pending read when it returns, as that of Conn, and loses no message', async () => {
    const { conn, socket } = connected();
    const messages = conn[Symbol.asyncIterator]();
    const pending = messages.next();
    expect(await messages.return!()).toEqual({ done: true, value: undefined });
    expect(await pending).toEqual({ done: true, value: undefined });
    const next = conn.readMessage();
    socket.message('a');
    expect((await next).text()).toBe('a');
  });

  it('does not end the read of another reader when it returns', async () => {
    const { conn, socket } = connected();
    socket.message('a');
    const messages = conn[Symbol.asyncIterator]();
    expect((await messages.next()).value.text()).toBe('a');
    const next = conn.readMessage();
    expect(await rejection(messages.next())).toMatchObject({ code: 'WS_ERR_READ_PENDING' });
    await messages.return!();
    socket.message('b');
    expect((await next).text()).toBe('b');
  });
});

describe('BrowserConn.receive', () => {
  it('calls the handler with each message, also with queued ones', async () => {
    const { conn, socket } = connected();
    socket.message('a');
    const seen: unknown[] = [];
    const done = conn.receive((message) => {
      seen.push(message.isText ? message.text() : [...message.data]);
    });
    socket.message(bytes(7));
    socket.message('b');
    socket.end(1000, 'bye');
    expect(await done).toEqual({ code: 1000, reason: 'bye', wasClean: true });
    expect(seen).toEqual(['a', [7], 'b']);
  });

  it('waits for the promise of the handler before the next message', async () => {
    const { conn, socket } = connected();
    const order: string[] = [];
    let go!: () => void;
    const done = conn.receive(async (message) => {
      order.push(`start ${message.text()}`);
      await new Promise<void>((resolve) => (go = resolve));
      order.push(`end ${message.text()}`);
    });
    socket.message('a');
    socket.message('b');
    socket.end(1000);
    expect(order).toEqual(['start a']);
    go();
    await expect.poll(() => order).toEqual(['start a', 'end a', 'start b']);
    expect(await isPending(done)).toBe(true);
    go();
    expect((await done).code).toBe(1000);
    expect(order.at(-1)).toBe('end b');
  });

  it('gives messages that stay valid, with all members of a BorrowedMessage', async () => {
    const { conn, socket } = connected();
    const kept: BorrowedMessage[] = [];
    void conn.receive((message) => void kept.push(message));
    socket.message('[1]');
    socket.message(bytes(7));
    const [text, binary] = kept;
    expect([text!.text(), text!.json(), text!.length, text!.type]).toEqual(['[1]', [1], 3, 1]);
    expect([binary!.isText, binary!.data]).toEqual([false, Uint8Array.of(7)]);
    const copy = binary!.copy();
    binary!.data.fill(0);
    expect([copy.type, copy.data]).toEqual([2, Uint8Array.of(7)]);
    await conn.send(copy);
    expect(socket.sent).toEqual([Uint8Array.of(7)]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    ['rejects', () => Promise.reject(new Error('mine'))],
  ])('closes with 3011 when the handler %s, and reports the error', async (_, handler) => {
    const reported = stubReportError();
    const { conn, socket } = connected();
    const done = conn.receive(handler);
    socket.message('a');
    socket.message('b');
    expect((await rejection(done)).message).toBe('mine');
    expect(reported).toHaveBeenCalledTimes(1);
    expect(socket.closes).toEqual([[3011, undefined]]);
    expect(conn.state).toBe('closing');
    socket.end(3011);
    expect(await conn.closed).toMatchObject({ code: 3011, error: { message: 'mine' } });
  });

  it('takes any value that a handler throws', async () => {
    stubReportError();
    const { conn, socket } = connected();
    const done = conn.receive(() => {
      throw undefined;
    });
    socket.message('a');
    expect(
      await done.then(
        () => 'resolved',
        (error: unknown) => error,
      ),
    ).toBe(undefined);
    expect(socket.closes).toHaveLength(1);
  });

  it('does not count a write after the end as a failure of the handler', async () => {
    const { conn, socket } = connected();
    let go!: () => void;
    const done = conn.receive(async () => {
      await new Promise<void>((resolve) => (go = resolve));
      await conn.send('late');
    });
    socket.message('a');
    socket.end(1000);
    go();
    expect((await done).code).toBe(1000);
  });

  it('rejects when its handler terminates the connection', async () => {
    const { conn, socket } = connected();
    const done = conn.receive(() => conn.terminate());
    socket.message('a');
    expect(await rejection(done)).toMatchObject({ closeCode: 1006 });
  });

  it('counts a write to a connection that has closed as a failure of the handler', async () => {
    stubReportError();
    const [{ conn, socket }, other] = [connected(), connected()];
    void other.conn.close();
    const done = conn.receive((message) => other.conn.send(message.text()));
    socket.message('a');
    expect(await rejection(done)).toBeInstanceOf(CloseSentError);
    expect(socket.closes).toEqual([[3011, undefined]]);
  });

  it('rejects for abnormal ends', async () => {
    const { conn, socket } = connected();
    const done = conn.receive(() => {});
    socket.end();
    expect(await rejection(done)).toMatchObject({ closeCode: 1006 });
  });
});

describe('BrowserConn.discardReads', () => {
  it('drops queued and later messages', async () => {
    const { conn, socket } = connected({ maxQueuedBytes: 1000 });
    socket.message('a');
    const done = conn.discardReads();
    for (let i = 0; i < 100; i++) socket.message('x'.repeat(100));
    expect(conn.state).toBe('open');
    socket.end(1000);
    expect((await done).code).toBe(1000);
    expect(await rejection(conn.readMessage())).toMatchObject({ closeCode: 1000 });
  });
});

describe('BrowserConn.readJSON', () => {
  it('parses a message', async () => {
    const { conn, socket } = connected();
    socket.message('{"a":1}');
    expect(await conn.readJSON()).toEqual({ a: 1 });
  });

  it('rejects a message that is not JSON, and stays usable', async () => {
    const { conn, socket } = connected();
    socket.message('no');
    expect(await rejection(conn.readJSON())).toMatchObject({ code: 'WS_ERR_JSON' });
    socket.message('5');
    expect(await conn.readJSON()).toBe(5);
  });
});

describe('BrowserConn.nextReader', () => {
  it('reads a whole message as a stream', async () => {
    const { conn, socket } = connected();
    const reading = conn.nextReader();
    socket.message('hello');
    const reader = await reading;
    const into = new Uint8Array(3);
    expect([await reader.read(into), [...into]]).toEqual([3, [104, 101, 108]]);
    expect(await reader.text()).toBe('lo');
    expect([await reader.read(into), (await reader.bytes()).length]).toEqual([0, 0]);
  });

  it('has json, a loop and a web stream', async () => {
    const { conn, socket } = connected();
    for (const text of ['[1]', 'ab', 'cd', '']) socket.message(text);
    expect(await (await conn.nextReader()).json()).toEqual([1]);
    const pieces = [];
    for await (const piece of await conn.nextReader()) pieces.push(...piece);
    for await (const piece of (await conn.nextReader()).readable()) pieces.push(...piece);
    for await (const piece of (await conn.nextReader()).readable()) pieces.push(...piece);
    expect(pieces).toEqual([97, 98, 99, 100]);
  });

  it('rejects a bad array', async () => {
    stubReportError();
    const { conn, socket } = connected();
    socket.message('a');
    const reader = await conn.nextReader();
    expect(await rejection(reader.read(new Uint8Array(0)))).toBeInstanceOf(RangeError);
    for (const into of [[], 'x', [0], undefined]) {
      expect(await rejection(reader.read(into as never))).toBeInstanceOf(TypeError);
    }
    expect(await reader.text()).toBe('a');
  });
});

describe('a message of another class than text and ArrayBuffer', () => {
  it('closes the connection with 3011, so that no message is lost', async () => {
    const report = stubReportError();
    const { conn, socket } = connected();
    socket.message('before');
    socket.message(new Blob(['x']));
    socket.message('after');
    expect(socket.closes).toEqual([[3011, undefined]]);
    expect((await conn.readMessage()).text()).toBe('before');
    const error = await rejection(conn.readMessage());
    expect(error.message).toContain('got Blob');
    expect(report).toHaveBeenCalledWith(error);
  });
});

describe('a limit of reading', () => {
  it.each([
    ['text', 'é'.repeat(3)],
    ['bytes', new ArrayBuffer(6)],
  ])('closes with 3009 for longer %s', async (_, data) => {
    const { conn, socket } = connected({ readLimit: 5 });
    socket.message('12345');
    const reading = conn.readMessage();
    expect((await reading).text()).toBe('12345');
    socket.message(data);
    const error = await rejection(conn.readMessage());
    expect(error).toBeInstanceOf(ReadLimitError);
    expect(error).toMatchObject({ limit: 5, message: expect.stringContaining('readLimit') });
    expect(socket.closes).toEqual([[3009, undefined]]);
    socket.message('dropped');
    socket.end(3009);
    expect(await conn.closed).toEqual({ code: 3009, reason: '', wasClean: true, error });
    expect(await rejection(conn.send('a'))).toBeInstanceOf(CloseSentError);
  });

  it('has setReadLimit', async () => {
    const { conn, socket } = connected();
    conn.setReadLimit(1);
    socket.message('ab');
    expect(socket.closes).toEqual([[3009, undefined]]);
    conn.setReadLimit(false);
  });

  it('closes with 3008 when more waits than maxQueuedBytes', async () => {
    const { conn, socket } = connected({ maxQueuedBytes: 1000 });
    socket.message('x'.repeat(5000));
    socket.message('y');
    expect(socket.closes).toEqual([[3008, undefined]]);
    expect((await conn.readMessage()).data.length).toBe(5000);
    const error = await rejection(conn.readMessage());
    expect(error).toBeInstanceOf(BackpressureError);
    expect(error.message).toContain('maxQueuedBytes (1000)');
    socket.end();
    expect(await conn.closed).toMatchObject({ code: 3008, wasClean: false, error });
  });

  it('counts messages that arrive while a handler is at work', async () => {
    const { conn, socket } = connected({ maxQueuedBytes: 1000 });
    void conn.receive(() => new Promise(() => {}));
    for (let i = 0; i < 4; i++) socket.message('');
    expect(conn.state).toBe('open');
    socket.message('');
    expect(conn.state).toBe('closing');
  });
});

describe('BrowserConn.setReadDeadline', () => {
  it('fails the pending read and later ones for good', async () => {
    vi.useFakeTimers();
    const { conn, socket } = connected();
    conn.setReadDeadline(Date.now() + 50);
    const reading = rejection(conn.readMessage());
    await vi.advanceTimersByTimeAsync(50);
    expect(await reading).toMatchObject({ code: 'WS_ERR_TIMEOUT', permanent: true });
    socket.message('late');
    const later = rejection(conn.readMessage());
    await vi.advanceTimersByTimeAsync(1);
    expect(await later).toMatchObject({ permanent: true });
    expect(conn.state).toBe('open');
  });

  it('can be moved and removed', async () => {
    vi.useFakeTimers();
    const before = vi.getTimerCount();
    const { conn, socket } = connected();
    conn.setReadDeadline(new Date(Date.now() + 50));
    conn.setReadDeadline(Date.now() + 2 ** 33);
    await vi.advanceTimersByTimeAsync(1000);
    conn.setReadDeadline(null);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(before);
    socket.message('a');
    expect((await conn.readMessage()).text()).toBe('a');
    const elsewhere = runInNewContext('new Date(Date.now() + 1e6)') as Date;
    conn.setReadDeadline(elsewhere);
    conn.setReadDeadline(null);
  });

  it('expires at once for a past time', async () => {
    const { conn } = connected();
    conn.setReadDeadline(0);
    expect(await rejection(conn.readMessage())).toMatchObject({ permanent: true });
  });
});
