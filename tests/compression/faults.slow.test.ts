// Messages whose engine, memory or sender fails before they are sent.
import { randomBytes } from 'node:crypto';
import { type BufferPool, broadcast, PreparedMessage, TextMessage } from '@ws/conn';
import { type DeflateJob } from '@ws/deflate';
import { describe, expect, it } from 'vitest';
import { nothingLeft, Random } from '../kit/index.ts';
import {
  BACKENDS,
  CountingSource,
  closePair,
  type Done,
  isSame,
  MIB,
  pairOn,
  RSV1,
  someText,
  turns,
  until,
  wiredOn,
} from './support.ts';

const LARGE = 100_000;
const TAKEOVER_MODE = { mode: 'takeover', threshold: 0, sendHistory: 4096 } as const;

/** Engines that work, and threads that cannot start. */
class NoThreads extends CountingSource {
  noThreads = true;

  override deflateLater(job: DeflateJob, done: Done): () => void {
    if (this.noThreads) throw new Error('no threads');
    return super.deflateLater(job, done);
  }
}

/** Jobs that the test starts and ends. */
class HeldJobs extends CountingSource {
  readonly held: { job: DeflateJob; done: Done }[] = [];
  cancelled = 0;

  override deflateLater(job: DeflateJob, done: Done): () => void {
    this.held.push({ job, done });
    return () => this.cancelled++;
  }
}

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

  it('is sent uncompressed without a free thread, and later messages follow', async () => {
    const source = new NoThreads(backend);
    const { client, server } = pairOn(backend, { maxBufferedAmount: false }, source);
    const writer = await client.nextWriter(TextMessage);
    const sent = Array.from({ length: 3000 }, () => client.send(Buffer.alloc(33_000)));
    sent.push(client.send('last'));
    await writer.close();
    let got = 0;
    await server.readMessage();
    for (; got < 3000; got++) expect((await server.readMessage()).data.length).toBe(33_000);
    expect((await server.readMessage()).text()).toBe('last');
    await Promise.all(sent);
  });

  it('is sent by every connection if it is prepared and no thread is free', async () => {
    const source = new NoThreads(backend);
    const pairs = [pairOn(backend, {}, source), pairOn(backend, {}, source)];
    const prepared = new PreparedMessage(TextMessage, large);
    for (const { client, server } of pairs) {
      void client.writePreparedMessage(prepared);
      expect((await server.readMessage()).text() === large).toBe(true);
      source.noThreads = false;
    }
    expect(pairs[0]!.client.stats.bytesOut).toBeGreaterThan(LARGE);
    expect(pairs[1]!.client.stats.bytesOut).toBeLessThan(LARGE);
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

describe.each(BACKENDS)('a message that waits to be compressed on %s', (backend) => {
  nothingLeft();

  it.each([{ asyncDeflateThreshold: 16_384 }, { asyncDeflateThreshold: false as const }])(
    'keeps its bytes while the next one uses the buffers of the engine: %o',
    async (option) => {
      const compression = { threshold: 0, ...option };
      const { client, server } = pairOn(backend, { compression });
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
    },
  );

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

  it('is copied when its job starts, not before', async () => {
    const source = new HeldJobs(backend);
    const { conn, sent } = wiredOn(backend, { source });
    const bytes = new Uint8Array(LARGE);
    const first = conn.send(bytes);
    const second = conn.send(bytes);
    bytes[0] = 1;
    const begun = source.held[0]!.job.begin()!;
    expect([begun[0], begun.buffer === bytes.buffer]).toEqual([1, false]);
    bytes[0] = 2;
    source.held[0]!.done(undefined);
    await first;
    // The second job has not started, so its bytes are sent without a copy.
    source.held[1]!.done(undefined);
    await second;
    await turns();
    expect(sent().map(({ payload }) => payload[0])).toEqual([1, 2]);
  });

  it('is not copied per connection', async () => {
    const source = new CountingSource(backend);
    const wired = Array.from({ length: 100 }, () => wiredOn(backend, { source }));
    const bytes = Buffer.alloc(MIB);
    const before = process.memoryUsage().arrayBuffers;
    const writes = wired.map(({ conn }) => conn.send(bytes));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * MIB);
    await Promise.all(writes);
    await turns();
    expect(wired.every(({ sent }) => sent()[0]!.rsv === RSV1)).toBe(true);
  });

  it.each([
    ['a client sends it', 'client', LARGE],
    ['a server sends less than 32 KiB', 'server', 32_767],
  ] as const)('is copied at once when %s', async (_, role, size) => {
    const source = new HeldJobs(backend);
    const compression = { threshold: 0, asyncDeflateThreshold: 16_384 };
    const { conn, sent } = wiredOn(backend, { source, role, compression });
    const bytes = new Uint8Array(size).fill(1);
    const writes = [conn.send(bytes), conn.send(bytes)];
    bytes.fill(2);
    const begun = source.held[0]!.job.begin()!;
    expect([begun[0], begun.length]).toEqual([1, size]);
    source.held[0]!.done(undefined);
    source.held[1]!.done(undefined);
    await Promise.all(writes);
    await turns();
    expect(sent().map(({ payload }) => payload[0])).toEqual([1, 1]);
  });
});
