import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { BinaryMessage, CloseMessage, TextMessage } from '../../src/index.ts';
import { internalsOf } from '../../src/internal.ts';
import { turns } from '../raw-pair.ts';
import { wired } from '../wired.ts';

// Streams that meet ends, aborts, deadlines and pools that fail.

const soon = (ms: number): number => Date.now() + ms;
const CLOSE_1000 = Uint8Array.of(0x03, 0xe8);

describe('a MessageWriter that is aborted with a part sent', () => {
  it('accepts no more of its message: queued writes reject with the end', async () => {
    const { conn, output } = wired('server', { writeBufferSize: 4 });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('abcdefgh');
    const inLine = conn.send('in line');
    writer.abort();
    await expect(inLine).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    expect(await output()).toEqual(['text... abcd', 'close 1011']);
  });

  it('is aborted at once by its web stream, also during a blocked write', async () => {
    const { conn, platform, block } = wired('server', {
      writeBufferSize: 4,
      highWaterMark: 10,
    });
    await block();
    const writer = (await conn.nextWriter(BinaryMessage)).writable().getWriter();
    const write = writer.write(new Uint8Array(100));
    write.catch(() => {});
    await platform.settle();
    void writer.abort(new Error('stop')).catch(() => {});
    await platform.settle();
    expect(conn.state).toBe('closing');
  });

  it('is aborted by an invalid chunk of its web stream, without an unhandled rejection', async () => {
    for (const [chunk, left] of [
      ['x', ['text after']],
      ['abcdefgh', ['binary... abcd', 'close 1011']],
    ] as const) {
      const { conn, output } = wired('server', { writeBufferSize: 4 });
      const source = new ReadableStream({
        start(controller) {
          controller.enqueue(chunk);
          controller.enqueue({ no: 'bytes' });
        },
      });
      const writer = await conn.nextWriter(BinaryMessage);
      await expect(source.pipeTo(writer.writable())).rejects.toBeInstanceOf(TypeError);
      void conn.send('after');
      expect(await output()).toEqual(left);
    }
  });

  it('does not turn a closing handshake into a failure', async () => {
    const { conn, transport, feed, frame, block } = wired('server', {
      writeBufferSize: 4,
      highWaterMark: 10,
    });
    await block();
    const writer = await conn.nextWriter(BinaryMessage);
    const write = writer.write(new Uint8Array(100));
    const closing = conn.close();
    transport.drain();
    await expect(write).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    feed(frame(8, CLOSE_1000));
    transport.feedEnd();
    expect(await closing).toMatchObject({ code: 1000, wasClean: true });
  });
});

describe('a MessageReader at the end', () => {
  it('reads a message that is complete before the answer to close()', async () => {
    for (const before of ['', 'aaaa']) {
      const { conn, feed, frame, platform, transport } = wired('server');
      if (before !== '') feed(frame(2, before, { fin: false }));
      await platform.settle();
      void conn.close();
      const next = conn.nextReader();
      await platform.settle();
      feed(frame(before === '' ? 2 : 0, 'after'), frame(8, CLOSE_1000));
      transport.feedEnd();
      expect(await (await next).text()).toBe(`${before}after`);
      await expect(conn.nextReader()).rejects.toMatchObject({ closeCode: 1000 });
    }
  });

  it('rejects when discard drops its message', async () => {
    const { conn, feed, frame, platform, transport } = wired('server');
    const next = conn.nextReader();
    feed(frame(2, 'aaaa', { fin: false }));
    const all = (await next).bytes();
    void conn.close(1000, '', { discard: true });
    await platform.settle();
    feed(frame(0, 'after'), frame(8, CLOSE_1000));
    transport.feedEnd();
    await expect(all).rejects.toMatchObject({ closeCode: 1000 });
  });

  it('rejects once reading has failed, during any call', async () => {
    for (const how of ['deadline', 'fault'] as const) {
      const { conn, platform, feed, frame, deliver } = wired('server');
      await deliver(frame(2, 'aaaa', { fin: false }));
      if (how === 'deadline') conn.setReadDeadline(soon(-1));
      else feed(Uint8Array.of(0xff, 0xff));
      await platform.settle();
      const error = await conn.nextReader().catch((e: unknown) => e);
      expect(error).toBeInstanceOf(Error);
      await expect(conn.nextReader()).rejects.toBe(error);
      await expect(conn.readMessage()).rejects.toBe(error);
    }
  });

  it('reads exclusively: bytes() holds the message to its end', async () => {
    const { feed, frame, stream } = wired('server');
    const reader = await stream(frame(2, 'one', { fin: false }), frame(0, 'two', { fin: false }));
    const text = reader.text();
    await expect(reader.read(new Uint8Array(9))).rejects.toMatchObject({
      code: 'WS_ERR_READ_PENDING',
    });
    await expect(reader.bytes()).rejects.toMatchObject({ code: 'WS_ERR_READ_PENDING' });
    feed(frame(0, 'three'));
    expect(await text).toBe('onetwothree');
  });

  it('restarts idleReadTimeout', async () => {
    const { conn, platform, feed, frame, stream } = wired('server', {
      idleReadTimeout: 10_000,
      readAhead: 1_000,
    });
    const reader = await stream(frame(2, 'x'.repeat(3_000), { fin: false }));
    await platform.settle();
    feed(frame(0, 'x'.repeat(3_000)));
    let length = 0;
    for (let i = 0; i < 60; i++) {
      length += await reader.read(new Uint8Array(100));
      await platform.advance(1_000);
    }
    expect([length, conn.state]).toEqual([6_000, 'open']);
  });

  it('retains no more memory than its pieces have bytes', async () => {
    const { conn, frame, platform, transport } = wired('server', { readAhead: 20_000 });
    const next = conn.nextReader();
    transport.feed(frame(2, 'x', { fin: false }));
    await next;
    // One byte of a message in a chunk of unsolicited pongs.
    const chunk = Buffer.concat([
      frame(0, 'y', { fin: false }),
      ...Array.from({ length: 100 }, () => frame(10, 'z'.repeat(100))),
    ]);
    const before = process.memoryUsage().arrayBuffers;
    for (let chunks = 0; chunks < 1_000; chunks++) {
      transport.feed(chunk);
      await platform.settle();
    }
    // The bytes are merged: they do not fill the read-ahead.
    expect(transport.paused).toBe(false);
    collectGarbage();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });
});

it('a loop that clashes with a pending read does not hold the message', async () => {
  const { conn, feed, frame, platform } = wired('server');
  feed(frame(1, 'begun', { fin: false }));
  const reader = await conn.nextReader();
  await reader.read(new Uint8Array(5));
  const pending = reader.read(new Uint8Array(5));
  await expect(reader[Symbol.asyncIterator]().next()).rejects.toThrow('while another is pending');
  feed(frame(0, 'end'), frame(1, 'next'));
  expect(await pending).toBe(3);
  await platform.settle();
  expect((await conn.readMessage()).text()).toBe('next');
});

describe('the peer’s close frame', () => {
  it.each(['readMessage', 'for await', 'a reader'] as const)(
    'is answered after %s has handled the last message',
    async (way) => {
      const { conn, feed, frame, output } = wired('server');
      internalsOf(conn).connHandlerStarted();
      feed(frame(1, 'last'), frame(8, CLOSE_1000));
      expect(await output()).toEqual([]);
      if (way === 'readMessage') await conn.readMessage();
      else if (way === 'for await')
        for await (const message of conn) if (message.text() === 'last') break;
      if (way === 'a reader') await (await conn.nextReader()).read(new Uint8Array(4));
      expect(await output()).toEqual([]);
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
      expect(await output()).toEqual(['close 1000']);
    },
  );
});

describe('a buffer pool that throws', () => {
  it('fails only the call', async () => {
    let bad = false;
    const writeBufferPool = {
      get: () => {
        if (bad) throw new Error('pool');
        return undefined;
      },
      put: () => {},
    };
    const { conn, output } = wired('server', { writeBufferSize: 8, writeBufferPool });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('abc');
    const inLine = conn.send('in line');
    bad = true;
    await expect(writer.close()).rejects.toThrow('pool');
    await expect(inLine).rejects.toThrow('pool');
    bad = false;
    await conn.send('goes on');
    expect(await output()).toEqual(['text goes on']);
    expect(conn.bufferedAmount).toBe(0);
  });
});

describe('a write deadline with an open writer', () => {
  it('drops the transport when it expires with queued messages', async () => {
    const { conn, platform } = wired('server', { writeBufferSize: 4 });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('abcdefgh');
    await platform.settle();
    const inLine = conn.send('line');
    conn.setWriteDeadline(soon(1_000));
    await platform.advance(2_000);
    await expect(inLine).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
    expect(conn.state).toBe('closed');
  });

  it.each(['write', 'close', 'nextWriter'] as const)(
    'drops the transport at the next %s',
    async (call) => {
      const { conn, platform } = wired('server', { writeBufferSize: 4 });
      const writer = await conn.nextWriter(TextMessage);
      await writer.write('abcdefgh');
      await platform.settle();
      conn.setWriteDeadline(soon(-1));
      const late = call === 'nextWriter' ? conn.nextWriter(1) : writer[call]('x');
      await expect(late).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
      conn.setWriteDeadline(null);
      await expect(conn.send('x')).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
      await platform.settle();
      expect(conn.state).toBe('closed');
    },
  );

  it('sets no timer on a closed connection', async () => {
    const { conn, platform } = wired('server');
    conn.terminate();
    await platform.settle();
    conn.setReadDeadline(soon(1_000));
    conn.setWriteDeadline(soon(1_000));
    expect(platform.timers).toBe(0);
  });
});

describe('several nextWriter calls after a pending write', () => {
  it('each finish the previous writer', async () => {
    const { conn, platform, transport, sent, block } = wired('server', {
      writeBufferSize: 8,
      highWaterMark: 10,
    });
    await block();
    const first = await conn.nextWriter(TextMessage);
    void first.write('x'.repeat(30));
    const second = conn.nextWriter(TextMessage);
    const third = conn.nextWriter(TextMessage);
    for (let i = 0; i < 20; i++) {
      transport.drain();
      await turns(2);
    }
    await second;
    const writer = await third;
    await writer.write('third');
    await writer.close();
    await platform.settle();
    expect(sent().at(-1)).toBe('text third');
  });
});

describe('a writer of a close frame', () => {
  it('checks its payload', async () => {
    for (const payload of [Uint8Array.of(1), Uint8Array.of(0x03, 0xed)]) {
      const { conn, platform, transport } = wired('server');
      const writer = await conn.nextWriter(CloseMessage);
      await writer.write(payload);
      await expect(writer.close()).rejects.toBeInstanceOf(RangeError);
      await platform.settle();
      expect([conn.state, transport.writes.length]).toEqual(['open', 0]);
    }
  });
});
