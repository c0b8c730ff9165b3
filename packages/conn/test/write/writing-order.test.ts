// What waits in line behind an open writer, how much of it, and what is counted.
import { describe, expect, it } from 'vitest';
import { broadcast, CloseMessage, PingMessage, TextMessage } from '../src/index.ts';
import { wired } from './wired.ts';

describe('the line behind an open writer', () => {
  it('takes no text beyond maxBufferedAmount', async () => {
    const { conn, host, sent } = wired('server', { maxBufferedAmount: 100 });
    const writer = await conn.nextWriter(TextMessage);
    const first = conn.send('a'.repeat(60));
    const refused = conn.send('b'.repeat(60));
    await expect(refused).rejects.toMatchObject({ code: 'WS_ERR_BACKPRESSURE' });
    expect(conn.bufferedAmount).toBe(60);
    await writer.close();
    await first;
    await host.settle();
    expect(sent()).toEqual(['text', `text ${'a'.repeat(60)}`]);
  });

  it('sends what it has taken, however little room is left when its turn has come', async () => {
    for (const data of ['a'.repeat(700), Buffer.alloc(700, 'a')]) {
      const { conn, host, transport, sent } = wired('server', { maxBufferedAmount: 300 });
      const writer = await conn.nextWriter(TextMessage);
      const written = conn.send(data);
      transport.block();
      void conn.ping('p'.repeat(100));
      void writer.close();
      await host.settle();
      transport.drain();
      await written;
      await host.settle();
      expect(sent().at(-1)).toMatch(/^(text|binary) <700>$/);
    }
  });

  it('counts a borrowed message by its length, wherever it lies in its chunk', async () => {
    const { conn, host, feed, frame, sent } = wired('server', { maxBufferedAmount: 250 });
    await host.settle();
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
    await host.settle();
    expect(sent().map((text) => text.slice(0, 6))).toEqual(['text', 'text a', 'text b', 'text c']);
  });
});

describe('a writer whose last fragment waits for a slow peer', () => {
  it('sends nothing behind a close frame that was quicker', async () => {
    const { conn, host, transport, sent } = wired('server', {
      writeBufferSize: 100,
      highWaterMark: 100,
    });
    const writer = await conn.nextWriter(TextMessage);
    transport.block();
    void conn.ping('p'.repeat(100));
    await host.settle();
    const written = writer.write('a'.repeat(150));
    void written.then(() => conn.writeControl(CloseMessage));
    const closed = writer.close();
    transport.drain();
    await expect(closed).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    await host.settle();
    expect(sent()).toEqual(['ping <100>', 'text... <100>', 'close']);
  });
});

describe('a transport', () => {
  it('that takes more while it is written to, though it says no, is written to', async () => {
    const { conn, host, transport, sent } = wired('server');
    const write = transport.write.bind(transport);
    transport.write = (bytes, release) => {
      write(bytes, release);
      transport.sink!.drain();
      return false;
    };
    await conn.send('one');
    await host.settle();
    await conn.send('two');
    await host.settle();
    expect(sent()).toEqual(['text one', 'text two']);
  });

  it('that says no with nothing left in it keeps nobody waiting', async () => {
    const { conn, host, transport } = wired('server', { highWaterMark: 1000 });
    transport.block();
    await conn.send('going');
    await host.settle();
    let isWritten = false;
    void conn.send(new Uint8Array(1000)).then(() => (isWritten = true));
    await host.settle();
    expect(isWritten).toBe(false);
    const write = transport.write.bind(transport);
    transport.write = (bytes, release) => {
      write(bytes, release);
      return false;
    };
    transport.drain();
    await host.settle();
    expect([isWritten, conn.bufferedAmount]).toEqual([true, 0]);
  });
});

describe('a write deadline that has passed', () => {
  it('is no reason to end a connection that is left out of a broadcast', async () => {
    const { conn, host, sent } = wired('server');
    await host.settle();
    conn.setWriteDeadline(Date.now() - 1);
    await host.advance(1);
    expect(broadcast([conn], 'too late')).toBe(0);
    await host.settle();
    expect(conn.state).toBe('open');
    conn.setWriteDeadline(null);
    expect(broadcast([conn], 'in time')).toBe(1);
    await host.settle();
    expect(sent()).toEqual(['text in time']);
  });
});

describe('a control frame that is written as a stream', () => {
  it('is a ping, and no message', async () => {
    const { conn, host, sent } = wired('server');
    const writer = await conn.nextWriter(PingMessage);
    await writer.write('p');
    await writer.close();
    await host.settle();
    expect(sent()).toEqual(['ping p']);
    expect(conn.stats).toMatchObject({ messagesOut: 0, pingsOut: 1 });
  });
});
