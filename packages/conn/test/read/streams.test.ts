import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  connPair,
  joinMessages,
  type MessageReader,
  ReadPendingError,
  TextMessage,
  WriteClosedError,
} from '../../src/index.ts';
import type { Observer } from '../../src/platform/observer.ts';
import { rawPair, turns } from '../raw-pair.ts';
import { wired } from '../wired.ts';

async function pieces(reader: MessageReader, size = 1000): Promise<string> {
  const into = new Uint8Array(size);
  const all: Buffer[] = [];
  for (let n = await reader.read(into); n > 0; n = await reader.read(into)) {
    all.push(Buffer.from(into.subarray(0, n)));
  }
  return Buffer.concat(all).toString();
}

describe('nextReader', () => {
  it('returns the first bytes before the last have arrived', async () => {
    const { conn, platform, feed, frame, stream } = wired('server');
    const reader = await stream(frame(1, 'one ', { fin: false }));
    expect(reader.type).toBe(TextMessage);
    const into = new Uint8Array(100);
    expect(await reader.read(into)).toBe(4);
    const read = reader.read(into);
    await platform.settle();
    feed(frame(0, 'two ', { fin: false }));
    expect(await read).toBe(4);
    feed(frame(0, 'three'));
    expect(await reader.read(into)).toBe(5);
    expect(Buffer.from(into.subarray(0, 5)).toString()).toBe('three');
    expect(await reader.read(into)).toBe(0);
    expect(await reader.read(into)).toBe(0);
    expect(conn.stats.messagesIn).toBe(1);
  });

  it('returns the parts of one frame as they arrive', async () => {
    const { conn, transport, frame } = wired('server');
    const bytes = frame(2, 'x'.repeat(5000));
    transport.feed(bytes.subarray(0, 1000));
    const reader = await conn.nextReader();
    const into = new Uint8Array(2000);
    expect(await reader.read(into)).toBe(992);
    transport.feed(bytes.subarray(1000));
    expect((await pieces(reader)).length).toBe(4008);
  });

  it.each([1, 3, 7, 100, 10_000])(
    'reads whole and empty messages, in reads of %d bytes',
    async (size) => {
      const { conn, feed, frame } = wired('server');
      feed(frame(1, 'hé'), frame(2), frame(1, '', { fin: false }), frame(0), frame(1, 'last'));
      expect(await pieces(await conn.nextReader(), size)).toBe('hé');
      expect(await pieces(await conn.nextReader(), size)).toBe('');
      expect(await pieces(await conn.nextReader(), size)).toBe('');
      expect(await pieces(await conn.nextReader(), size)).toBe('last');
    },
  );

  it('continues a message that was partly read ahead', async () => {
    const { conn, platform, transport, frame, deliver } = wired('server', { readAhead: 1000 });
    await deliver(frame(2, 'a'.repeat(600), { fin: false }));
    const bytes = frame(0, 'b'.repeat(5000));
    transport.feed(bytes.subarray(0, 700));
    await platform.settle();
    const reader = await conn.nextReader();
    const text = pieces(reader);
    for (let at = 700; at < bytes.length; at += 700) {
      transport.feed(bytes.subarray(at, at + 700));
      await platform.settle();
    }
    expect(await text).toBe('a'.repeat(600) + 'b'.repeat(5000));
  });

  it('drops the unread rest of the previous message', async () => {
    const { conn, feed, frame, stream } = wired('server');
    const first = await stream(frame(1, 'unread', { fin: false }));
    const second = conn.nextReader();
    feed(frame(0, 'unread', { fin: false }), frame(9, 'p'), frame(0, 'unread'), frame(1, 'read'));
    expect(await (await second).text()).toBe('read');
    await expect(first.read(new Uint8Array(5))).rejects.toBeInstanceOf(ReadPendingError);
    await expect(first.text()).rejects.toBeInstanceOf(ReadPendingError);
  });

  it('drops the rest of a message when another way to read starts', async () => {
    const { conn, feed, frame } = wired('server');
    const next = conn.nextReader();
    feed(frame(1, 'unread', { fin: false }));
    await next;
    const message = conn.readMessage();
    feed(frame(0, 'unread'), frame(1, 'whole'));
    expect((await message).text()).toBe('whole');
  });

  it('pauses the transport without a read of the message, and resumes it', async () => {
    const { conn, transport, frame, platform } = wired('server', { readAhead: 10_000 });
    const bytes = frame(2, Buffer.alloc(200_000, 7));
    const next = conn.nextReader();
    transport.feed(bytes.subarray(0, 20_000));
    const reader = await next;
    for (let at = 20_000; at < bytes.length; at += 20_000)
      transport.feed(bytes.subarray(at, at + 20_000));
    await platform.settle();
    expect(transport.paused).toBe(true);
    expect((await reader.bytes()).length).toBe(200_000);
    expect(transport.paused).toBe(false);
  });

  it('enforces the read limit exactly', async () => {
    for (const size of [1000, 1001]) {
      const { conn, transport, frame } = wired('server', { readLimit: 1000 });
      const next = conn.nextReader();
      const bytes = Buffer.concat([
        frame(2, Buffer.alloc(600), { fin: false }),
        frame(0, Buffer.alloc(size - 600)),
      ]);
      for (let at = 0; at < bytes.length; at += 100) transport.feed(bytes.subarray(at, at + 100));
      const all = (await next).bytes();
      if (size === 1000) expect((await all).length).toBe(1000);
      else await expect(all).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT' });
    }
  });

  it('rejects when the connection ends within the message', async () => {
    const { conn, transport, frame, stream } = wired('server');
    const reader = await stream(frame(2, 'begun', { fin: false }));
    transport.feedEnd();
    const into = new Uint8Array(10);
    expect(await reader.read(into)).toBe(5);
    await expect(reader.read(into)).rejects.toMatchObject({ closeCode: 1006 });
    await expect(reader.read(into)).rejects.toMatchObject({ closeCode: 1006 });
    await expect(conn.nextReader()).rejects.toMatchObject({ closeCode: 1006 });
  });

  it('rejects at the first invalid byte of text', async () => {
    const { feed, frame, stream } = wired('server');
    const reader = await stream(frame(1, 'ok', { fin: false }));
    feed(frame(0, Uint8Array.of(0xff)));
    expect(await reader.read(new Uint8Array(9))).toBe(2);
    await expect(reader.read(new Uint8Array(9))).rejects.toMatchObject({
      code: 'WS_ERR_INVALID_UTF8',
    });
  });

  it('reports a conflict by name while a read is pending, and rejects invalid arguments', async () => {
    const { conn, feed, frame } = wired('server');
    const next = conn.nextReader();
    await expect(conn.readMessage()).rejects.toThrow('readMessage while nextReader is pending');
    feed(frame(2, 'x', { fin: false }));
    const reader = await next;
    await expect(reader.read(new Uint8Array(0))).rejects.toBeInstanceOf(RangeError);
    await expect(reader.read('x' as never)).rejects.toBeInstanceOf(TypeError);
    await reader.read(new Uint8Array(5));
    void reader.read(new Uint8Array(5));
    await expect(reader.read(new Uint8Array(5))).rejects.toMatchObject({
      code: 'WS_ERR_READ_PENDING',
    });
    await expect(conn.nextReader()).rejects.toMatchObject({ code: 'WS_ERR_READ_PENDING' });
    await expect(conn.receive(() => {})).rejects.toMatchObject({ code: 'WS_ERR_READ_PENDING' });
  });
});

describe('MessageReader', () => {
  it('is iterable, and drops the rest after an early break', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(2, 'ab', { fin: false }), frame(0, 'cd'), frame(1, 'next'), frame(1, 'after'));
    const seen: string[] = [];
    for await (const piece of await conn.nextReader()) seen.push(Buffer.from(piece).toString());
    expect(seen.join('')).toBe('abcd');
    for await (const piece of await conn.nextReader()) {
      expect(piece.buffer.byteLength).toBe(piece.byteLength);
      break;
    }
    expect(await (await conn.nextReader()).text()).toBe('after');
  });

  it('returns a web stream, which can be cancelled', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(2, 'ab', { fin: false }), frame(0, 'cd'), frame(1, 'dropped'), frame(1, 'after'));
    const chunks: Uint8Array[] = [];
    const stream = (await conn.nextReader()).readable();
    for await (const chunk of stream) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('abcd');
    const second = (await conn.nextReader()).readable();
    await second.cancel();
    expect(await (await conn.nextReader()).text()).toBe('after');
  });

  it('returns all bytes, text and JSON', async () => {
    const { conn, feed, frame } = wired('server');
    feed(
      frame(2, 'ab', { fin: false }),
      frame(0, 'cd'),
      frame(1, 'tëxt'),
      frame(1, '{"a":1}'),
      frame(1, '{'),
    );
    expect(await (await conn.nextReader()).bytes()).toEqual(Uint8Array.of(97, 98, 99, 100));
    expect(await (await conn.nextReader()).text()).toBe('tëxt');
    expect(await (await conn.nextReader()).json()).toEqual({ a: 1 });
    await expect((await conn.nextReader()).json()).rejects.toBeInstanceOf(SyntaxError);
  });
});

describe('nextWriter', () => {
  it.each([
    ['nothing', [], ['text']],
    ['less than the buffer', ['abc'], ['text abc']],
    ['exactly the buffer', ['abcdefgh'], ['text abcdefgh']],
    ['one byte more', ['abcdefghi'], ['text... abcdefgh', 'cont i']],
    [
      'many pieces',
      ['abc', 'defg', 'hij', '', 'klmnopqrs'],
      ['text... abcdefgh', 'cont... ijklmnop', 'cont qrs'],
    ],
    ['a large piece', ['x'.repeat(20)], ['text... xxxxxxxx', 'cont... xxxxxxxx', 'cont xxxx']],
    [
      'pieces that fill it again and again',
      ['abcd', 'efgh', 'ijklmnop'],
      ['text... abcdefgh', 'cont ijklmnop'],
    ],
  ])('sends %s in fragments of writeBufferSize', async (_says, writes, expected) => {
    for (const role of ['server', 'client'] as const) {
      const { conn, output } = wired(role, { writeBufferSize: 8 });
      const writer = await conn.nextWriter(TextMessage);
      for (const data of writes) await writer.write(data);
      await writer.close();
      expect(await output()).toEqual(expected);
      expect(conn.stats.messagesOut).toBe(1);
    }
  });

  it('executes overlapping writes in order', async () => {
    const { conn, output } = wired('server', { writeBufferSize: 4 });
    const writer = await conn.nextWriter(BinaryMessage);
    for (const data of ['ab', Buffer.from('cdefg'), 'h', new Uint8Array(0), 'ij'])
      void writer.write(data);
    void writer.close();
    expect(await output()).toEqual(['binary... abcd', 'cont... efgh', 'cont ij']);
  });

  it('allows control frames and close between fragments, and truncates the message', async () => {
    const { conn, output } = wired('server', { writeBufferSize: 2 });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('abc');
    void conn.ping('p');
    await writer.write('de');
    void conn.close(1000);
    await expect(writer.write('f')).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    await expect(writer.close()).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    expect(await output()).toEqual(['text... ab', 'ping p', 'cont... cd', 'close 1000']);
  });

  it('makes all later messages wait, in order', async () => {
    const { conn, output } = wired('server', { writeBufferSize: 2 });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('abc');
    const bytes = Uint8Array.of(0x31);
    const waiting = [conn.send('one'), conn.send(bytes), conn.writeJSON({ a: 1 })];
    bytes.fill(0x32);
    expect(conn.bufferedAmount).toBeGreaterThan(10);
    await writer.write('d');
    expect(await output()).toEqual(['text... ab']);
    await writer.close();
    await Promise.all(waiting);
    expect(await output()).toEqual([
      'text... ab',
      'cont cd',
      'text one',
      'binary 1',
      'text {"a":1}',
    ]);
  });

  it('finishes the previous writer, for many random schedules', async () => {
    const { conn, output } = wired('server');
    const first = await conn.nextWriter(TextMessage);
    await first.write('first');
    const second = await conn.nextWriter(TextMessage);
    await expect(first.write('late')).rejects.toBeInstanceOf(WriteClosedError);
    await expect(first.close()).rejects.toBeInstanceOf(WriteClosedError);
    await second.write('second');
    await second.close();
    expect(await output()).toEqual(['text first', 'text second']);
  });

  it('waits for a previous writer with a pending write', async () => {
    const { conn, platform, transport, sent, block, drain } = wired('server', {
      writeBufferSize: 1000,
      highWaterMark: 1000,
    });
    await block();
    const first = await conn.nextWriter(BinaryMessage);
    const pending = first.write(new Uint8Array(5000));
    const next = conn.nextWriter(TextMessage);
    let open = false;
    void next.then(() => (open = true));
    await platform.settle();
    expect(open).toBe(false);
    for (let i = 0; i < 20; i++) {
      transport.drain();
      transport.block();
      await platform.settle();
    }
    await drain();
    await pending;
    const second = await next;
    await second.write('second');
    await second.close();
    await platform.settle();
    expect(sent().at(-1)).toBe('text second');
    expect(sent()).toHaveLength(7);
  });

  it('alternates between two producers with queue, each message whole', async () => {
    const { conn, output } = wired('server', { writeBufferSize: 2 });
    const produce = async (text: string): Promise<void> => {
      const writer = await conn.nextWriter(TextMessage, { queue: true });
      for (const char of text) {
        await writer.write(char);
        await turns(1);
      }
      await writer.close();
    };
    await Promise.all([produce('aaaa'), produce('bbbb'), produce('cccc')]);
    expect(await output()).toEqual([
      'text... aa',
      'cont aa',
      'text... bb',
      'cont bb',
      'text... cc',
      'cont cc',
    ]);
  });

  it('can be aborted: before the first frame without effect, later the connection fails', async () => {
    const { conn, transport, output } = wired('server', { writeBufferSize: 4 });
    const first = await conn.nextWriter(TextMessage);
    await first.write('abc');
    first.abort();
    first.abort();
    await expect(first.write('d')).rejects.toBeInstanceOf(WriteClosedError);
    await conn.send('goes on');
    const second = await conn.nextWriter(TextMessage);
    await second.write('abcde');
    const reason = new Error('source failed');
    second.abort(reason);
    await expect(conn.send('x')).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    expect(await output()).toEqual(['text goes on', 'text... abcd', 'close 1011']);
    transport.feedEnd();
    expect(await conn.closed).toMatchObject({ code: 1011, error: reason });
  });

  it('is closed by await using', async () => {
    const { conn, output } = wired('server');
    {
      await using writer = await conn.nextWriter(TextMessage);
      await writer.write('x');
    }
    {
      await using writer = await conn.nextWriter(TextMessage);
      await writer.close();
    }
    expect(await output()).toEqual(['text x', 'text']);
  });

  it('rejects other types, other data and other options', async () => {
    const { conn } = wired('server');
    for (const type of [0, 3, 11, Number.NaN, '1']) {
      await expect(conn.nextWriter(type as never)).rejects.toBeInstanceOf(TypeError);
    }
    await expect(conn.nextWriter(1, 5 as never)).rejects.toBeInstanceOf(TypeError);
    const writer = await conn.nextWriter(1);
    await expect(writer.write(5 as never)).rejects.toBeInstanceOf(TypeError);
    await writer.write('still open');
    await writer.close();
  });

  it.each(['server', 'client'] as const)(
    'sends one control frame for a control type, as a %s',
    async (role) => {
      const { conn, output } = wired(role, { writeBufferSize: 4 });
      const ping = await conn.nextWriter(9);
      await ping.write('ab');
      await ping.write('cdefgh');
      await ping.close();
      const long = await conn.nextWriter(10);
      await long.write('x'.repeat(125));
      await expect(long.write('y')).rejects.toThrow('invalid control frame');
      await expect(long.close()).rejects.toBeInstanceOf(RangeError);
      await conn.send('goes on');
      const close = await conn.nextWriter(8);
      await close.write(Uint8Array.of(0x03, 0xe9));
      await close.close();
      expect(await output()).toEqual(['ping abcdefgh', 'text goes on', 'close 1001']);
      expect(conn.state).toBe('closing');
      await expect(conn.nextWriter(1)).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    },
  );

  it('bounds writes that are not awaited', async () => {
    const { conn, platform, transport, sent, block, drain } = wired('server', {
      maxBufferedAmount: 100_000,
      highWaterMark: 1_000,
    });
    await block();
    const writer = await conn.nextWriter(BinaryMessage);
    const writes = Array.from({ length: 50 }, () => writer.write(new Uint8Array(10_000)));
    await platform.settle();
    expect(conn.bufferedAmount).toBeLessThan(130_000);
    const results = await Promise.allSettled(writes.slice(10));
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'WS_ERR_BACKPRESSURE' } });
    }
    // With a hole in it, it would be another message: it is given up.
    await drain();
    expect(sent().at(-1)).toBe('close 1013');
    transport.feedEnd();
    expect(await conn.closed).toMatchObject({ code: 1013, error: { code: 'WS_ERR_BACKPRESSURE' } });
    expect(conn.bufferedAmount).toBe(0);
  });

  it.each([
    ['lends null', () => null],
    ['lends an array', () => [1, 2, 3]],
    ['lends too little', () => new Uint8Array(1)],
  ])('allocates a buffer when the pool %s', async (_says, get) => {
    const back: unknown[] = [];
    const writeBufferPool = { get, put: (buffer: Uint8Array) => void back.push(buffer) };
    const { conn, output } = wired('server', { writeBufferPool } as never);
    await conn.send('x');
    expect(await output()).toEqual(['text x']);
    expect(back.at(-1)).toBeInstanceOf(Uint8Array);
  });

  it('rejects with the error of the pool, and ignores an error of put', async () => {
    const failure = new Error('pool');
    const broken = wired('server', {
      writeBufferPool: {
        get: () => {
          throw failure;
        },
        put: () => {},
      },
    });
    await expect(broken.conn.send('text')).rejects.toBe(failure);
    await expect(broken.conn.send(new Uint8Array(9))).rejects.toBe(failure);
    const { conn, platform, output } = wired('server', {
      writeBufferPool: {
        get: () => undefined,
        put: () => {
          throw failure;
        },
      },
    });
    await conn.send('a');
    await platform.settle();
    await conn.send('b');
    expect(await output()).toEqual(['text a', 'text b']);
  });

  it('rejects all queued writes when the connection ends', async () => {
    const { conn, transport, platform } = wired('server');
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('x');
    const waiting = [
      conn.send('a'),
      conn.send(new Uint8Array(100_000)),
      conn.nextWriter(1, { queue: true }),
    ];
    await platform.settle();
    transport.break(new Error('reset'));
    for (const wait of waiting)
      await expect(wait).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    await expect(writer.write('y')).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    expect(conn.bufferedAmount).toBe(0);
  });

  it('takes its buffers from the pool while it writes', async () => {
    const lent = new Set<Uint8Array>();
    const free: Uint8Array[] = [];
    const writeBufferPool = {
      get: () => {
        const buffer = free.pop();
        if (buffer !== undefined) lent.add(buffer);
        return buffer;
      },
      put: (buffer: Uint8Array) => {
        lent.delete(buffer);
        free.push(buffer);
      },
    };
    const { conn, platform, sent } = wired('server', { writeBufferPool, writeBufferSize: 100 });
    for (let round = 0; round < 3; round++) {
      const writer = await conn.nextWriter(TextMessage);
      await writer.write('x'.repeat(150));
      await writer.close();
      await conn.send('y');
      await platform.settle();
      expect(lent.size).toBe(0);
    }
    expect(free.length).toBeGreaterThan(0);
    expect(free.length).toBeLessThan(6);
    expect(sent()).toHaveLength(9);
  });
});

describe('an echo of a stream', () => {
  it('propagates backpressure in both directions, and loses no byte', async () => {
    const [client, server] = connPair({ readLimit: false });
    const echo = (async () => {
      const reader = await server.nextReader();
      const writer = await server.nextWriter(reader.type);
      for await (const piece of reader) await writer.write(piece);
      await writer.close();
    })();
    const size = 3_000_000;
    const send = (async () => {
      const writer = await client.nextWriter(BinaryMessage);
      for (let at = 0; at < size; at += 10_000)
        await writer.write(new Uint8Array(10_000).fill(at / 10_000));
      await writer.close();
    })();
    const reader = await client.nextReader();
    let at = 0;
    const into = new Uint8Array(7_777);
    for (let n = await reader.read(into); n > 0; n = await reader.read(into)) {
      for (let i = 0; i < n; i++) {
        if (into[i] !== (Math.floor((at + i) / 10_000) & 0xff))
          throw new Error(`wrong byte at ${at + i}`);
      }
      at += n;
    }
    expect(at).toBe(size);
    await Promise.all([echo, send]);
    await Promise.all([client.close(), server.discardReads()]);
  });

  it('works with pipeTo and pipeline', async () => {
    const [client, server] = connPair();
    const echo = (async () => {
      const reader = await server.nextReader();
      const writer = await server.nextWriter(reader.type);
      const from = reader.readable();
      await from.pipeTo(writer.writable());
    })();
    const writer = await client.nextWriter(BinaryMessage);
    const to = writer.writable();
    await pipeline(Readable.from(['abc', 'def'].map((s) => Buffer.from(s))), Writable.fromWeb(to));
    const reader = await client.nextReader();
    const from = reader.readable();
    const got: Buffer[] = [];
    await pipeline(Readable.fromWeb(from), async (source) => {
      for await (const chunk of source) got.push(chunk as Buffer);
    });
    expect(Buffer.concat(got).toString()).toBe('abcdef');
    await echo;
    await Promise.all([client.close(), server.discardReads()]);
  });

  it('ends a pipe from an idle source when the connection ends', async () => {
    const [client, server] = connPair();
    const writer = await client.nextWriter(BinaryMessage);
    let cancelled: unknown;
    const idle = new ReadableStream<Uint8Array>({
      cancel(reason) {
        cancelled = reason;
      },
    });
    const piped = idle.pipeTo(writer.writable());
    server.terminate();
    await expect(piped).rejects.toThrow('close 1006');
    expect(cancelled).toMatchObject({ closeCode: 1006 });
  });
});

describe('joinMessages', () => {
  it('appends the terminator to every message, also empty ones and the last, and ends with the error', async () => {
    const { conn, peer } = rawPair('server');
    peer.send(1, 'one');
    peer.send(2, '');
    peer.send(1, 'two', { fin: false });
    peer.send(0, '!');
    peer.close(1000);
    const all: Uint8Array[] = [];
    const joined = (async () => {
      for await (const piece of joinMessages(conn, '\n')) all.push(piece);
    })();
    await expect(joined).rejects.toMatchObject({ closeCode: 1000 });
    expect(Buffer.concat(all).toString()).toBe('one\n\ntwo!\n');
  });
});

describe('return() of joinMessages while next() is pending', () => {
  it('ends that next, and the next read gets the message', async () => {
    const [client, server] = connPair();
    const pieces = joinMessages(server, '\n');
    const pending = pieces.next();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await pieces.return!()).toEqual({ done: true, value: undefined });
    expect(await pending).toEqual({ done: true, value: undefined });
    await client.send('for the next read');
    expect((await server.readMessage()).text()).toBe('for the next read');
    expect(await pieces.next()).toEqual({ done: true, value: undefined });
    client.terminate();
  });

  it('drops the rest of a message that has begun', async () => {
    const [client, server] = connPair();
    const writer = await client.nextWriter(TextMessage);
    await writer.write('x'.repeat(5_000));
    const pieces = joinMessages(server);
    expect((await pieces.next()).value).toHaveLength(4_096);
    const pending = pieces.next();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await pieces.return!()).toEqual({ done: true, value: undefined });
    expect(await pending).toEqual({ done: true, value: undefined });
    await writer.close();
    await client.send('next');
    expect((await server.readMessage()).text()).toBe('next');
    client.terminate();
  });
});

describe('the last piece of a message', () => {
  it('is copied before an observer writes, and its write brings the next chunk', async () => {
    const platform = new FakePlatform();
    const { conn, transport, frame, deliver, stream } = wired('server', {}, 0, platform);
    // So many bytes are written at once.
    const observer: Observer = { messageIn: () => void conn.send(new Uint8Array(1_000_000)) };
    Object.assign(platform, { observer });
    const reader = await stream(frame(2, 'first-', { fin: false }));
    await reader.read(new Uint8Array(10));
    const write = transport.write.bind(transport);
    transport.write = (chunk, release) => {
      transport.write = write;
      transport.feed(frame(1, 'Z'.repeat(100)));
      return write(chunk, release);
    };
    await deliver(frame(0, 'last piece '.repeat(10)));
    expect(await reader.text()).toBe('last piece '.repeat(10));
  });
});
