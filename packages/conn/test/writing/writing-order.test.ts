// Messages that wait for an open writer: their order, their limit and their size.
import { describe, expect, it } from 'vitest';
import { broadcast, CloseMessage, PingMessage, TextMessage } from '../../src/index.ts';
import { wired } from '../wired.ts';

describe('the writes that wait for an open writer', () => {
  it('include no text above maxBufferedAmount', async () => {
    const { conn, output } = wired('server', { maxBufferedAmount: 100 });
    const writer = await conn.nextWriter(TextMessage);
    const first = conn.send('a'.repeat(60));
    const refused = conn.send('b'.repeat(60));
    await expect(refused).rejects.toMatchObject({ code: 'WS_ERR_BACKPRESSURE' });
    expect(conn.bufferedAmount).toBe(60);
    await writer.close();
    await first;
    expect(await output()).toEqual(['text', `text ${'a'.repeat(60)}`]);
  });

  it('are sent, however full the send queue is then', async () => {
    for (const data of ['a'.repeat(700), Buffer.alloc(700, 'a')]) {
      const { conn, platform, transport, sent } = wired('server', { maxBufferedAmount: 300 });
      const writer = await conn.nextWriter(TextMessage);
      const written = conn.send(data);
      transport.block();
      void conn.ping('p'.repeat(100));
      void writer.close();
      await platform.settle();
      transport.drain();
      await written;
      await platform.settle();
      expect(sent().at(-1)).toMatch(/^(text|binary) <700>$/);
    }
  });

  it('are sent before a later broadcast, also when they need several turns', async () => {
    const { conn, sent, output } = wired('server', { maxBufferedAmount: false });
    const writer = await conn.nextWriter(TextMessage);
    const writes = Array.from({ length: 1_500 }, (_, i) => conn.send(`${i}`));
    await writer.close();
    expect(broadcast([conn], 'late')).toBe(1);
    await Promise.all(writes);
    expect(await output()).toHaveLength(1_502);
    expect(sent().at(-1)).toBe('text late');
  });

  it('count a borrowed message by its length, at any offset of its chunk', async () => {
    const { conn, platform, feed, frame, sent } = wired('server', { maxBufferedAmount: 2_300 });
    await platform.settle();
    const writer = await conn.nextWriter(TextMessage);
    const waiting: number[] = [];
    const writes: Promise<void>[] = [];
    void conn.receive((message) => {
      writes.push(conn.send(message));
      waiting.push(conn.bufferedAmount);
    });
    feed(frame(1, 'a'.repeat(60)), frame(1, 'b'.repeat(60)), frame(1, 'c'.repeat(60)));
    expect(waiting).toEqual([60, 120, 180]);
    await writer.close();
    await Promise.all(writes);
    await platform.settle();
    expect(sent().map((text) => text.slice(0, 6))).toEqual(['text', 'text a', 'text b', 'text c']);
  });
});

describe('a writer whose last fragment waits for a slow peer', () => {
  it('sends no frame after an earlier close frame', async () => {
    const { conn, platform, transport, output } = wired('server', {
      writeBufferSize: 100,
      highWaterMark: 100,
    });
    const writer = await conn.nextWriter(TextMessage);
    transport.block();
    void conn.ping('p'.repeat(100));
    await platform.settle();
    const written = writer.write('a'.repeat(150));
    void written.then(() => conn.writeControl(CloseMessage));
    const closed = writer.close();
    transport.drain();
    await expect(closed).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    expect(await output()).toEqual(['ping <100>', 'text... <100>', 'close']);
  });
});

describe('a transport', () => {
  it('that drains within its write, and then returns false, receives more', async () => {
    const { conn, platform, transport, output } = wired('server');
    const write = transport.write.bind(transport);
    transport.write = (bytes, release) => {
      write(bytes, release);
      transport.sink!.drain();
      return false;
    };
    await conn.send('one');
    await platform.settle();
    await conn.send('two');
    expect(await output()).toEqual(['text one', 'text two']);
  });

  it('that returns false while it is empty blocks no writer', async () => {
    const { conn, platform, transport, drain } = wired('server', { highWaterMark: 1000 });
    transport.block();
    await conn.send('going');
    await platform.settle();
    let isWritten = false;
    void conn.send(new Uint8Array(1000)).then(() => (isWritten = true));
    await platform.settle();
    expect(isWritten).toBe(false);
    const write = transport.write.bind(transport);
    transport.write = (bytes, release) => {
      write(bytes, release);
      return false;
    };
    await drain();
    expect([isWritten, conn.bufferedAmount]).toEqual([true, 0]);
  });
});

describe('an expired write deadline', () => {
  it('does not end a connection that a broadcast skips', async () => {
    const { conn, platform, output } = wired('server');
    await platform.settle();
    conn.setWriteDeadline(Date.now() - 1);
    await platform.advance(1);
    expect(broadcast([conn], 'too late')).toBe(0);
    await platform.settle();
    expect(conn.state).toBe('open');
    conn.setWriteDeadline(null);
    expect(broadcast([conn], 'in time')).toBe(1);
    expect(await output()).toEqual(['text in time']);
  });
});

describe('a control frame that is written as a stream', () => {
  it('counts as a ping, not as a message', async () => {
    const { conn, output } = wired('server');
    const writer = await conn.nextWriter(PingMessage);
    await writer.write('p');
    await writer.close();
    expect(await output()).toEqual(['ping p']);
    expect(conn.stats).toMatchObject({ messagesOut: 0, pingsOut: 1 });
  });
});
