// Messages whose engine, memory or sender fails before they are sent.
import { randomBytes } from 'node:crypto';
import { BinaryMessage, type BufferPool, broadcast, PreparedMessage, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, Random } from '../kit/index.ts';
import {
  BACKENDS,
  CountingSource,
  closePair,
  isSame,
  MIB,
  pairOn,
  someText,
  turns,
  until,
  wiredOn,
} from './support.ts';

const LARGE = 100_000;
const TAKEOVER_MODE = { mode: 'takeover', threshold: 0 } as const;

/** A buffer pool that fails on demand. */
class BadPool implements BufferPool {
  fails = false;

  get(): undefined {
    if (this.fails) throw new Error('the pool is empty');
  }

  put(): void {}
}

describe.each(BACKENDS)('a message that cannot be compressed on %s', (backend) => {
  nothingLeft();

  const small = someText(new Random(1), 3000, 'words');
  const large = someText(new Random(2), LARGE, 'words');

  it('is sent uncompressed to every connection if it is prepared', async () => {
    const source = new CountingSource(backend);
    const broken = pairOn(backend, {}, source);
    const pairs = [broken, pairOn(backend), pairOn(backend)];
    source.failure = new Error('no memory');
    const conns = pairs.map(({ client }) => client);
    expect(broadcast(conns, small)).toBe(3);
    await broken.client.writePreparedMessage(new PreparedMessage(TextMessage, small));
    for (const { server } of pairs) expect((await server.readMessage()).text()).toBe(small);
    expect((await broken.server.readMessage()).text()).toBe(small);
    expect(broken.client.stats.bytesOut).toBeGreaterThan(2 * small.length);
    expect(pairs[1]!.client.stats.bytesOut).toBeLessThan(small.length);
  });

  it('is rejected without a write buffer, and later messages are correct', async () => {
    for (const compression of [{ threshold: 0 }, TAKEOVER_MODE]) {
      const pool = new BadPool();
      const { client, server } = pairOn(backend, {
        compression,
        client: { writeBufferPool: pool },
      });
      const prepared = new PreparedMessage(TextMessage, small);
      await client.send(small.slice(0, 500));
      for (const first of [
        () => client.send(small),
        () => client.send(large),
        () => client.writePreparedMessage(prepared),
        () => client.writePreparedMessage(new PreparedMessage(TextMessage, large)),
        async () => {
          const writer = await client.nextWriter(TextMessage);
          await writer.write('');
          await writer.close();
        },
      ]) {
        await turns();
        pool.fails = true;
        const second = client.send(Buffer.from(large));
        const outcomes = await Promise.allSettled([first(), second]);
        expect(outcomes.map((outcome) => String((outcome as { reason?: unknown }).reason))).toEqual(
          ['Error: the pool is empty', 'Error: the pool is empty'],
        );
        expect(client.bufferedAmount).toBe(0);
        pool.fails = false;
        await client.send(small);
      }
      expect((await server.readMessage()).text()).toBe(small.slice(0, 500));
      for (let i = 0; i < 5; i++) expect((await server.readMessage()).text()).toBe(small);
      await closePair({ client, server });
    }
  });

  it('does not delay other connections', async () => {
    const source = new CountingSource(backend);
    const pool = new BadPool();
    const pairs = [pool, undefined, undefined].map((writeBufferPool) =>
      pairOn(backend, { client: { writeBufferPool } }, source),
    );
    const conns = pairs.map(({ client }) => client);
    for (const text of [small, large]) {
      pool.fails = true;
      broadcast(conns, text);
      for (const { server } of pairs.slice(1)) {
        expect((await server.readMessage()).text() === text).toBe(true);
      }
      await turns();
      pool.fails = false;
      await pairs[0]!.client.send('better');
      expect((await pairs[0]!.server.readMessage()).text()).toBe('better');
    }
  });
});

describe.each(BACKENDS)('a message that waits on %s', (backend) => {
  nothingLeft();

  it('keeps its bytes while the next one uses the buffers of the engine', async () => {
    const { client, server } = pairOn(backend, { compression: { threshold: 0 } });
    // Before and after compression they have 32 to 64 KiB.
    const texts = [1, 2, 3].map(() => {
      return '\u6f22'.repeat(1_000) + randomBytes(36_000).toString('base64');
    });
    const wide = [1, 2, 3].map((i) => String.fromCharCode(0x4e00 + i).repeat(15_000));
    const sent = [...texts, ...wide];
    const writes = sent.map((text) => server.send(text));
    for (const text of sent) expect((await client.readMessage()).text() === text).toBe(true);
    await Promise.all(writes);
    await closePair({ client, server });
  });

  it('stays accepted while other frames are sent', async () => {
    const { conn, transport, sent } = wiredOn(backend, {
      maxBufferedAmount: 3 * (LARGE + 1_024),
      highWaterMark: 6 * LARGE,
    });
    transport.block();
    const noise = [0, 1, 2].map(() => randomBytes(LARGE));
    const writes = noise.map((bytes) => conn.send(bytes));
    void conn.ping().catch(() => {});
    await until(() => conn.stats.messagesOut === 3);
    transport.drain();
    await Promise.all(writes);
    await turns();
    const messages = sent().filter(({ opcode }) => opcode === 2);
    expect(messages.map(({ payload }, i) => isSame(payload, noise[i]!))).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('is not copied per connection', async () => {
    const source = new CountingSource(backend);
    const wired = Array.from({ length: 100 }, () => wiredOn(backend, { source }));
    const bytes = Buffer.alloc(MIB);
    const writers = await Promise.all(wired.map(({ conn }) => conn.nextWriter(BinaryMessage)));
    const before = process.memoryUsage().arrayBuffers;
    const writes = wired.map(({ conn }) => conn.send(bytes));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * MIB);
    await Promise.all(writers.map((writer) => writer.close()));
    await Promise.all(writes);
    await turns();
    // Above `maxBytes` it is sent as it is.
    expect(wired.every(({ sent }) => sent()[1]!.rsv === 0)).toBe(true);
  });

  it.each([
    ['a client sends it', 'client', LARGE],
    ['a server sends less than 32 KiB', 'server', 32_767],
  ] as const)('is copied at once when %s', async (_, role, size) => {
    const { conn, sent } = wiredOn(backend, { role, compression: { maxBytes: 0 } });
    const writer = await conn.nextWriter(BinaryMessage);
    const bytes = new Uint8Array(size).fill(1);
    const writes = [conn.send(bytes), conn.send(bytes)];
    bytes.fill(2);
    await writer.close();
    await Promise.all(writes);
    await turns();
    const whole = sent().filter(({ payload }) => payload.length === size);
    expect(whole.map(({ payload }) => payload[0])).toEqual([1, 1]);
  });
});
