import { BinaryMessage, connPair, PreparedMessage, TextMessage } from '@ws/conn';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  BackpressureError,
  type BrowserConn,
  CloseSentError,
  type GatheringWriter,
  type MessageStreams,
  TimeoutError,
  WriteClosedError,
} from '../src/index.ts';
import { messageOf } from '../src/payload.ts';
import { bytes } from './fake-web-socket.ts';
import { connected, isPending, rejection, stubReportError } from './support.ts';

let reported: ReturnType<typeof vi.fn>;
beforeEach(() => void (reported = stubReportError()));
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('BrowserConn.send', () => {
  it('sends strings as text and every kind of bytes as binary', async () => {
    const { conn, socket } = connected();
    await conn.send('grüße');
    await conn.send(Uint8Array.of(1));
    await conn.send(Uint8Array.of(2).buffer);
    await conn.send(new DataView(Uint8Array.of(0, 3, 0).buffer, 1, 1));
    await conn.send(new Uint8Array(new SharedArrayBuffer(1)).fill(4));
    await conn.send('');
    const sent = socket.sent.map((data) => (typeof data === 'string' ? data : [...data]));
    expect(sent).toEqual(['grüße', [1], [2], [3], [4], '']);
  });

  it.each<[string, object]>([
    [
      'a subclass with a type',
      new (class extends Uint8Array {
        type = 1;
      })([255, 1]),
    ],
    ['a type', Object.assign(Uint8Array.of(255, 1), { type: 1 })],
    ['a type that is a text', Object.assign(Uint8Array.of(255, 1), { type: 'image/png' })],
    ['other data', Object.assign(Uint8Array.of(255, 1), { data: Uint8Array.of(9), isText: false })],
    ['other data in a DataView', Object.assign(new DataView(bytes(255, 1)), { data: bytes(9) })],
    ['other data in an ArrayBuffer', Object.assign(bytes(255, 1), { data: bytes(9), type: 1 })],
  ])('C1 sends bytes that have %s as they are', async (_, data) => {
    const { conn, socket } = connected();
    await conn.send(data as Uint8Array);
    await conn.writeMessage(BinaryMessage, data as Uint8Array);
    const writer = await conn.nextWriter(BinaryMessage);
    await writer.write(data as Uint8Array);
    await writer.close();
    expect(socket.sent).toEqual(Array.from({ length: 3 }, () => Uint8Array.of(255, 1)));
  });

  it.each([{ data: bytes(9) }, { data: bytes(9), type: 'message' }, { data: 'a', type: 1 }])(
    'C1 rejects an object that only has data, as a Conn does: %j',
    async (data) => {
      stubReportError();
      const { conn, socket } = connected();
      expect(await rejection(conn.send(data as never))).toBeInstanceOf(TypeError);
      expect(socket.sent).toEqual([]);
    },
  );

  it('gives the browser no view of shared or resizable memory', async () => {
    const { conn, socket } = connected();
    const seen: unknown[] = [];
    socket.send = (data) => void seen.push((data as Uint8Array).buffer.constructor.name);
    await conn.send(new Uint8Array(new SharedArrayBuffer(1)));
    await conn.send(new Uint8Array(1));
    expect(seen).toEqual(['ArrayBuffer', 'ArrayBuffer']);
  });

  it('keeps the type of a message', async () => {
    const { conn, socket } = connected();
    const [client, server] = connPair();
    await server.send('text');
    await server.send(Uint8Array.of(5));
    await conn.send(await client.readMessage());
    await conn.send(await client.readMessage());
    expect(socket.sent).toEqual(['text', Uint8Array.of(5)]);
    await client.close();
  });

  it.each(['Deno', 'Bun'])(
    'prints its error in %s, where reportError ends the process',
    async (name) => {
      const print = vi.spyOn(console, 'error').mockReturnValue();
      vi.stubGlobal(name, {});
      const error = await rejection(connected().conn.send(5 as never));
      expect(print.mock.calls).toEqual([[error]]);
      expect(reported).not.toHaveBeenCalled();
      print.mockRestore();
    },
  );

  it('settles as without a signal when the signal aborts: the socket has the message', async () => {
    const { conn, socket } = connected({ highWaterMark: 1 });
    socket.blocked = true;
    const stop = new AbortController();
    const sending = conn.send('ab', { signal: stop.signal });
    stop.abort(5);
    socket.bufferedAmount = 0;
    await sending;
    socket.blocked = false;
    await conn.send('c');
    expect([conn.state, socket.sent]).toEqual(['open', ['ab', 'c']]);
  });

  it('sends nothing with an aborted signal', async () => {
    const { conn, socket } = connected();
    expect(await rejection(conn.send('a', { signal: AbortSignal.abort(5) }))).toBe(5);
    expect(socket.sent).toEqual([]);
  });
});

describe('BrowserConn.writeMessage', () => {
  it('sends bytes as text and text as bytes', async () => {
    const { conn, socket } = connected();
    await conn.writeMessage(TextMessage, new TextEncoder().encode('\ufeffgrüße'));
    await conn.writeMessage(BinaryMessage, 'é');
    expect(socket.sent).toEqual(['\ufeffgrüße', Uint8Array.of(0xc3, 0xa9)]);
  });
});

describe('BrowserConn.writeJSON', () => {
  it('sends JSON', async () => {
    const { conn, socket } = connected();
    await conn.writeJSON({ a: [1] });
    expect(socket.sent).toEqual(['{"a":[1]}']);
  });
});

describe('BrowserConn.writePreparedMessage', () => {
  it('sends a PreparedMessage of @ws/conn', async () => {
    const { conn, socket } = connected();
    await conn.writePreparedMessage(new PreparedMessage(TextMessage, 'a'));
    await conn.writePreparedMessage(new PreparedMessage(BinaryMessage, Uint8Array.of(1)));
    expect(socket.sent).toEqual(['a', Uint8Array.of(1)]);
  });
});

describe('a write above the high-water mark', () => {
  it('resolves when the browser has sent enough', async () => {
    vi.useFakeTimers();
    const { conn, socket } = connected({ highWaterMark: 10 });
    socket.blocked = true;
    await conn.send('123456789');
    const first = conn.send('0');
    const second = conn.send('1');
    await vi.advanceTimersByTimeAsync(500);
    expect(await isPending(first)).toBe(true);
    expect([conn.bufferedAmount, conn.stats.bytesOut]).toEqual([11, 11]);
    socket.bufferedAmount = 9;
    await vi.advanceTimersByTimeAsync(50);
    await Promise.all([first, second]);
    const third = conn.send('2');
    await vi.advanceTimersByTimeAsync(500);
    expect(await isPending(third)).toBe(true);
    socket.bufferedAmount = 9;
    await vi.advanceTimersByTimeAsync(50);
    await third;
    const looksAgain = vi.fn(() => 0);
    Object.defineProperty(socket, 'bufferedAmount', { get: looksAgain });
    await vi.advanceTimersByTimeAsync(500);
    expect(looksAgain).not.toHaveBeenCalled();
  });

  it('looks in each turn for 20 ms, then after 4, 8, 16, 32 and each 50 ms', async () => {
    vi.useFakeTimers();
    const before = vi.getTimerCount();
    const turns: (() => void)[] = [];
    let closed = 0;
    // In a browser, an event of a MessagePort is a turn.
    vi.stubGlobal(
      'MessageChannel',
      class {
        port1 = { onmessage: () => {}, close: () => closed++ };
        port2 = { postMessage: () => turns.push(() => this.port1.onmessage()) };
      },
    );
    const { conn, socket } = connected({ highWaterMark: 1 });
    socket.blocked = true;
    const sent = conn.send('ab');
    const looks: number[] = [];
    const start = Date.now();
    Object.defineProperty(socket, 'bufferedAmount', {
      get: () => (looks.push(Date.now() - start), 2),
    });
    await vi.advanceTimersByTimeAsync(0);
    // In the next microtask.
    expect(looks).toEqual([0]);
    for (let ms = 0; turns.length > 0; ms += 5) {
      turns.shift()!();
      await vi.advanceTimersByTimeAsync(5);
    }
    await vi.advanceTimersByTimeAsync(170);
    expect(looks).toEqual([0, 0, 5, 10, 15, 20, 24, 32, 48, 80, 130, 180]);
    socket.end();
    await rejection(sent);
    await vi.advanceTimersByTimeAsync(100);
    expect(closed).toBe(1);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(before);
  });

  it('starts no timer while the browser sends within 20 ms', async () => {
    // The clock stands still.
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
    const { conn, socket } = connected({ highWaterMark: 1 });
    for (let i = 0; i < 100; i++) {
      socket.blocked = true;
      const sending = conn.send('ab');
      setImmediate(() => {
        socket.bufferedAmount = 0;
      });
      await sending;
    }
    expect(vi.getTimerCount()).toBe(0);
  });

  it('uses timers where there is no MessageChannel', async () => {
    vi.stubGlobal('MessageChannel', undefined);
    vi.useFakeTimers();
    const { conn, socket } = connected({ highWaterMark: 1 });
    socket.blocked = true;
    const sending = conn.send('ab');
    await vi.advanceTimersByTimeAsync(3);
    expect(await isPending(sending)).toBe(true);
    socket.bufferedAmount = 0;
    await vi.advanceTimersByTimeAsync(1);
    await sending;
  });

  it('rejects over maxBufferedAmount, and sends nothing of the message', async () => {
    const { conn, socket } = connected({ maxBufferedAmount: 10, highWaterMark: false });
    socket.blocked = true;
    await conn.send('x'.repeat(50));
    const error = await rejection(conn.send('y'));
    expect(error).toBeInstanceOf(BackpressureError);
    expect(error.message).toContain('50 bytes are already buffered; 1 more would exceed');
    socket.bufferedAmount = 4;
    await conn.send('123456');
    socket.bufferedAmount = 4;
    await conn.send('ééé');
    expect(await rejection(conn.send('é'))).toBeInstanceOf(BackpressureError);
    expect(socket.sent).toHaveLength(3);
  });

  it('rejects with the end of the connection', async () => {
    const { conn, socket } = connected({ highWaterMark: 1 });
    socket.blocked = true;
    const sent = conn.send('ab');
    socket.end();
    expect(await rejection(sent)).toMatchObject({ closeCode: 1006 });
  });
});

describe('a send after the end', () => {
  it('rejects with CloseSentError after close and after a clean end', async () => {
    const { conn } = connected();
    void conn.close();
    expect(await rejection(conn.send('a'))).toBeInstanceOf(CloseSentError);
    const other = connected();
    other.socket.end(1000);
    expect(await rejection(other.conn.send('a'))).toBeInstanceOf(CloseSentError);
    expect(other.socket.sent).toEqual([]);
  });

  it('rejects with the CloseError of a broken connection, from the second on in a later turn', async () => {
    const { conn, socket } = connected();
    socket.end();
    expect(await isPending(conn.send('a'))).toBe(false);
    const sending = conn.send('b');
    expect(await isPending(sending)).toBe(true);
    expect(await rejection(sending)).toMatchObject({ closeCode: 1006 });
  });
});

describe('a send while the peer closes', () => {
  it('rejects with the end, because the socket would drop it', async () => {
    const { conn, socket } = connected();
    socket.readyState = 2;
    const sending = rejection(conn.send('a'));
    expect([conn.state, socket.sent]).toEqual(['closing', []]);
    const writing = rejection(conn.nextWriter(TextMessage));
    socket.end(4000, 'bye');
    expect(await sending).toBeInstanceOf(CloseSentError);
    expect(await writing).toBeInstanceOf(CloseSentError);
  });

  it('rejects with the CloseError when the connection breaks', async () => {
    const { conn, socket } = connected();
    socket.readyState = 2;
    const sending = rejection(conn.send('a'));
    socket.end();
    expect(await sending).toMatchObject({ closeCode: 1006 });
  });
});

describe('BrowserConn.setWriteDeadline', () => {
  it('ends a connection with unsent data', async () => {
    vi.useFakeTimers();
    const { conn, socket } = connected({ highWaterMark: 1 });
    socket.blocked = true;
    conn.setWriteDeadline(Date.now() + 50);
    const sent = rejection(conn.send('ab'));
    const reading = rejection(conn.readMessage());
    await vi.advanceTimersByTimeAsync(50);
    const error = await sent;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ permanent: true });
    expect(await conn.closed).toEqual({ code: 1006, reason: '', wasClean: false, error });
    expect(await reading).toBe(error);
    expect(socket.closes).toHaveLength(1);
  });

  it('fails the first write after the deadline, unless a later call has cleared it', async () => {
    const { conn } = connected();
    conn.setWriteDeadline(0);
    conn.setWriteDeadline(null);
    await conn.send('a');
    conn.setWriteDeadline(0);
    expect(conn.state).toBe('open');
    expect(await rejection(conn.send('b'))).toBeInstanceOf(TimeoutError);
    expect(conn.state).toBe('closed');
  });

  it('fails the first call of nextWriter, of an open writer and of a backlog after the deadline', async () => {
    const calls: ((conn: BrowserConn, writer: GatheringWriter) => Promise<unknown>)[] = [
      (conn) => conn.nextWriter(TextMessage),
      (_, writer) => writer.write('b'),
      (_, writer) => writer.close(),
      (conn) => conn['@ws/internals'].sendWaiting(messageOf('b')),
    ];
    for (const call of calls) {
      const { conn, socket } = connected();
      const writer = await conn.nextWriter(TextMessage);
      await writer.write('a');
      conn.setWriteDeadline(0);
      expect(await rejection(call(conn, writer))).toBeInstanceOf(TimeoutError);
      expect([conn.state, socket.sent]).toEqual(['closed', []]);
    }
  });
});

describe('BrowserConn.nextWriter', () => {
  it('rejects the close of a writer whose socket throws, and opens the next one', async () => {
    const { conn, socket } = connected();
    const open = (): Promise<GatheringWriter> => conn.nextWriter(TextMessage);
    const fails = (): never => {
      throw new Error('no');
    };
    const [first, second] = [await open(), conn.nextWriter(TextMessage, { queue: true })];
    vi.spyOn(socket, 'send').mockImplementationOnce(fails).mockImplementationOnce(fails);
    expect((await rejection(first.close())).message).toBe('no');
    await (await second).write('x');
    // This call closes the second one.
    await (await open()).close();
    expect(socket.sent).toEqual(['']);
    expect(reported).toHaveBeenCalledTimes(2);
  });

  it('gathers a message and sends it once', async () => {
    const { conn, socket } = connected();
    const writer = await conn.nextWriter(TextMessage);
    const piece = Uint8Array.of(0xc3);
    await writer.write(piece);
    piece.fill(0);
    await writer.write(Uint8Array.of(0xa9));
    await writer.write('!');
    await conn.send('between');
    await writer.close();
    expect(socket.sent).toEqual(['between', 'é!']);
    expect(await rejection(writer.write('a'))).toBeInstanceOf(WriteClosedError);
    expect(await rejection(writer.close())).toBeInstanceOf(WriteClosedError);
  });

  it('is a web stream, and disposable', async () => {
    const { conn, socket } = connected();
    const stream = (await conn.nextWriter(BinaryMessage)).writable().getWriter();
    await stream.write(Uint8Array.of(1));
    await stream.write('a');
    await stream.close();
    {
      await using writer = await conn.nextWriter(BinaryMessage);
      await writer.write(Uint8Array.of(2));
    }
    expect(socket.sent).toEqual([Uint8Array.of(1, 97), Uint8Array.of(2)]);
  });

  it('sends nothing after abort', async () => {
    const { conn, socket } = connected();
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('a');
    writer.abort();
    const stream = (await conn.nextWriter(TextMessage)).writable().getWriter();
    await stream.write('a');
    await stream.abort();
    expect(await rejection(writer.write('a'))).toBeInstanceOf(WriteClosedError);
    expect(socket.sent).toEqual([]);
  });

  it('aborts the message of a stream after a chunk that is no data', async () => {
    const { conn, socket } = connected();
    const stream = (await conn.nextWriter(TextMessage)).writable().getWriter();
    stream.closed.catch(() => {});
    await stream.write('a');
    expect(await rejection(stream.write(5 as never))).toBeInstanceOf(TypeError);
    expect(await rejection(stream.close())).toBeInstanceOf(TypeError);
    await conn.send('next');
    expect(socket.sent).toEqual(['next']);
  });

  it('closes the writer before, or waits for it', async () => {
    const { conn, socket } = connected();
    const first = await conn.nextWriter(TextMessage);
    await first.write('1');
    const second = await conn.nextWriter(TextMessage);
    expect(socket.sent).toEqual(['1']);
    await second.write('2');
    const queued = conn.nextWriter(TextMessage, { queue: true });
    expect(await isPending(queued)).toBe(true);
    await second.close();
    await (await queued).close();
    expect(socket.sent).toEqual(['1', '2', '']);
  });

  it('gives the turns in the order of the calls', async () => {
    const { conn, socket } = connected();
    const first = await conn.nextWriter(TextMessage);
    const order: string[] = [];
    const use = async (
      text: string,
      writing: ReturnType<typeof conn.nextWriter>,
    ): Promise<void> => {
      const writer = await writing;
      order.push(text);
      await writer.write(text);
      await writer.close();
    };
    const all = ['2', '3'].map((text) => use(text, conn.nextWriter(TextMessage, { queue: true })));
    await first.write('1');
    await first.close();
    await Promise.all(all);
    expect([order, socket.sent]).toEqual([
      ['2', '3'],
      ['1', '2', '3'],
    ]);
  });

  it('closes all writers before one that does not wait', async () => {
    const { conn, socket } = connected();
    const first = await conn.nextWriter(TextMessage);
    await first.write('1');
    const waiting = conn.nextWriter(TextMessage, { queue: true });
    const [second, third] = await Promise.all([waiting, conn.nextWriter(TextMessage)]);
    expect(await rejection(first.write('x'))).toBeInstanceOf(WriteClosedError);
    expect(await rejection(second.write('x'))).toBeInstanceOf(WriteClosedError);
    await third.write('3');
    await third.close();
    expect(socket.sent).toEqual(['1', '', '3']);
  });

  it('opens two writers of calls in one turn, as Conn does', async () => {
    const { conn, socket } = connected();
    const [first, second] = await Promise.all([
      conn.nextWriter(TextMessage),
      conn.nextWriter(TextMessage),
    ]);
    expect(await rejection(first.write('x'))).toBeInstanceOf(WriteClosedError);
    await second.write('2');
    await second.close();
    expect(socket.sent).toEqual(['', '2']);
  });

  it('rejects a writer that waits, and a write, after the end', async () => {
    const { conn, socket } = connected();
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('a');
    const waiting = rejection(conn.nextWriter(TextMessage, { queue: true }));
    socket.end();
    expect(await waiting).toMatchObject({ closeCode: 1006 });
    expect(await rejection(writer.write('b'))).toMatchObject({ closeCode: 1006 });
    expect(await rejection(writer.close())).toMatchObject({ closeCode: 1006 });
    expect(await rejection(conn.nextWriter(TextMessage))).toMatchObject({ closeCode: 1006 });
    expect(socket.sent).toEqual([]);
  });

  it('rejects a writer that waits when the connection ends while the one before opens', async () => {
    for (let turns = 0; turns < 5; turns++) {
      const { conn } = connected();
      void conn.nextWriter(TextMessage);
      const waits = rejection(conn.nextWriter(TextMessage, { queue: true }));
      for (let i = 0; i < turns; i++) await Promise.resolve();
      conn.terminate();
      expect(await waits).toMatchObject({ closeCode: 1006 });
    }
  });

  it('bounds what it gathers', async () => {
    const { conn, socket } = connected({ maxBufferedAmount: 3 });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('abc');
    expect(await rejection(writer.write('d'))).toBeInstanceOf(BackpressureError);
    expect(await rejection(writer.close())).toBeInstanceOf(WriteClosedError);
    expect(socket.sent).toEqual([]);
  });
});

describe('BrowserConn.stats', () => {
  it('has the bytes of messages that a runtime sends at once', async () => {
    const { conn } = connected();
    for (const data of ['a', 'é', '密', '😀', '\ud83d', '\ude00a', Uint8Array.of(1, 2)]) {
      await conn.send(data);
    }
    expect(conn.stats).toMatchObject({ messagesOut: 7, bytesOut: 1 + 2 + 3 + 4 + 3 + 4 + 2 });
  });
});

describe('BrowserConn.toStreams', () => {
  it('closes with 3011 when a chunk is no message, since a failed stream cannot', async () => {
    const { conn, socket } = connected();
    const writer = conn.toStreams().writable.getWriter();
    writer.closed.catch(() => {});
    expect(await rejection(writer.write({} as never))).toBeInstanceOf(TypeError);
    expect(socket.closes).toEqual([[3011, '']]);
    socket.end(3011);
    expect(await conn.closed).toMatchObject({ code: 3011, wasClean: true });
  });

  it.each([
    [1006, false],
    [1000, false],
    [1011, true],
  ])(
    'rejects the close of the writable when the page gets %i, clean: %s',
    async (code, isClean) => {
      const { conn, socket } = connected();
      const writer = conn.toStreams().writable.getWriter();
      await writer.write('all');
      const closed = rejection(writer.close());
      socket.end(code, '', isClean);
      expect(await closed).toMatchObject({ closeCode: code });
      expect(await rejection(writer.closed)).toBe(await closed);
    },
  );

  it('has readable and writable messages', async () => {
    const { conn, socket } = connected();
    const { readable, writable } = conn.toStreams();
    const writer = writable.getWriter();
    await writer.write('a');
    await writer.write(Uint8Array.of(1));
    socket.message('b');
    socket.message(Uint8Array.of(2).buffer);
    socket.end(1000);
    const read = [];
    for await (const message of readable) read.push(message);
    expect(read).toEqual(['b', Uint8Array.of(2)]);
    expect(socket.sent).toEqual(['a', Uint8Array.of(1)]);
  });

  it('closes with its streams', async () => {
    const ends: [(streams: MessageStreams) => Promise<void>, unknown[]][] = [
      [({ readable }) => readable.cancel(), [1000, '']],
      [({ writable }) => writable.close(), [1000, '']],
      [({ writable }) => writable.abort(), [undefined, undefined]],
    ];
    for (const [end, closed] of ends) {
      const { conn, socket } = connected();
      const ended = end(conn.toStreams());
      await expect.poll(() => socket.closes).toEqual([closed]);
      socket.end(1000);
      await ended;
    }
  });
});

describe('a message that was refused', () => {
  const settings = { maxBufferedAmount: 10 };

  it.each<[string, (conn: BrowserConn) => Promise<unknown>]>([
    ['send', (conn) => conn.send('x'.repeat(20))],
    [
      'send with a signal',
      (conn) => conn.send('x'.repeat(20), { signal: new AbortController().signal }),
    ],
    ['writeJSON', (conn) => conn.writeJSON('x'.repeat(20))],
    [
      'a write of a MessageWriter',
      async (conn) => {
        const writer = await conn.nextWriter(TextMessage);
        void writer.write('x'.repeat(20));
      },
    ],
  ])('by %s is counted, and the first is reported', async (_, write) => {
    const { conn, socket } = connected(settings);
    socket.bufferedAmount = 5;
    void write(conn);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(conn.send('x'.repeat(20))).rejects.toThrow(
      'the message was not sent: 5 bytes are already buffered',
    );
    expect(conn.stats.messagesRefused).toBe(2);
    expect(reported).toHaveBeenCalledTimes(1);
    expect(reported).toHaveBeenCalledWith(expect.any(BackpressureError));
  });

  it('is not reported when the caller waits', async () => {
    const { conn, socket } = connected(settings);
    socket.bufferedAmount = 5;
    await expect(conn.send('x'.repeat(20))).rejects.toBeInstanceOf(BackpressureError);
    conn.send('x'.repeat(20)).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect([conn.stats.messagesRefused, reported.mock.calls]).toEqual([2, []]);
  });

  it('lets timers run when a loop retries it', async () => {
    const { conn, socket } = connected(settings);
    socket.bufferedAmount = 5;
    setTimeout(() => {
      socket.bufferedAmount = 0;
    }, 1);
    let tries = 0;
    for (let sent = false; !sent && tries < 100_000; tries++) {
      sent = await conn.send('x'.repeat(20)).then(
        () => true,
        () => false,
      );
    }
    expect(tries).toBeLessThan(100_000);
    expect(socket.sent).toEqual(['x'.repeat(20)]);
  });
});

it.each<[string, (string | Uint8Array)[]]>([
  ['😀', ['\ud83d', '\ude00']],
  ['a\ufffd', ['a\ud83d']],
  ['\ufffdbc', ['\ud83d', Buffer.from('b'), 'c']],
])(
  'a MessageWriter joins a surrogate pair that is split over two writes: %s',
  async (expected, parts) => {
    const { conn, socket } = connected();
    const writer = await conn.nextWriter(TextMessage);
    for (const part of parts) await writer.write(part);
    await writer.close();
    const stream = (await conn.nextWriter(TextMessage)).writable().getWriter();
    for (const part of parts) await stream.write(part);
    await stream.close();
    // A WebSocket sends one half of a surrogate pair as U+FFFD.
    const texts = socket.sent.map((text) => Buffer.from(text as string).toString());
    expect(texts).toEqual([expected, expected]);
    expect(conn.stats.bytesOut).toBe(2 * Buffer.byteLength(expected));
  },
);
