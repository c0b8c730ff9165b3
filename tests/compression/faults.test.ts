// What becomes of messages whose engine, memory or owner gives up on them before they have left.
import { randomBytes } from 'node:crypto';
import {
  type BufferPool,
  broadcast,
  type DeflateJob,
  type Deflater,
  PreparedMessage,
  TextMessage,
} from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, Random } from '../../src/peers/index.ts';
import {
  BACKENDS,
  CountingSource,
  isSame,
  MIB,
  pairOn,
  someText,
  TAKEOVER,
  turns,
  until,
  wiredOn,
} from './support.ts';

const RSV1 = 0x40;
const LARGE = 100_000;
const TAKEOVER_MODE = { mode: 'takeover', threshold: 0, sendHistory: 4096 } as const;

/** Engines that work, and a thread that does not even begin. */
class NoThreads extends CountingSource {
  noThreads = true;

  override deflateLater(
    job: DeflateJob,
    done: (output: Uint8Array | undefined) => void,
  ): () => void {
    if (this.noThreads) throw new Error('no threads');
    return super.deflateLater(job, done);
  }
}

/** Jobs that begin and end when they are told to. */
class HeldJobs extends CountingSource {
  readonly held: { job: DeflateJob; done: (output: Uint8Array | undefined) => void }[] = [];
  cancelled = 0;

  override deflateLater(
    job: DeflateJob,
    done: (output: Uint8Array | undefined) => void,
  ): () => void {
    this.held.push({ job, done });
    return () => this.cancelled++;
  }
}

class CountsMade extends CountingSource {
  made = 0;

  override deflater(level: number, windowBits: number): Deflater {
    this.made++;
    return super.deflater(level, windowBits);
  }
}

/** A pool that fails while it is told to. */
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

  it('is sent as it is when it is prepared, to everybody', async () => {
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
    for (const conn of conns) await conn.close();
  });

  it('is sent as it is when no thread takes it, and those behind it go on', async () => {
    const source = new NoThreads(backend);
    const { client, server } = pairOn(backend, { maxBufferedAmount: false }, source);
    const writer = await client.nextWriter(TextMessage);
    const sent = Array.from({ length: 3000 }, () => client.send(Buffer.alloc(33_000)));
    sent.push(client.send('behind them'));
    await writer.close();
    let got = 0;
    await server.readMessage();
    for (; got < 3000; got++) expect((await server.readMessage()).data.length).toBe(33_000);
    expect((await server.readMessage()).text()).toBe('behind them');
    await Promise.all(sent);
    await client.close();
  });

  it('is sent by all who have it prepared, when no thread takes it', async () => {
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
    for (const { client } of pairs) await client.close();
  });

  it('is refused while there is no buffer to write it to, and later ones are right', async () => {
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
      await client.close();
    }
  });

  it('holds up no other connection', async () => {
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
    for (const conn of conns) await conn.close();
  });
});

describe.each(BACKENDS)('a message that waits to be compressed on %s', (backend) => {
  nothingLeft();

  it('was accepted, whatever else is sent meanwhile', async () => {
    const { conn, transport, sent } = wiredOn(backend, {
      maxBufferedAmount: 3 * LARGE,
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
    transport.break();
  });

  it('is referred to until a thread is free, and copied then', async () => {
    const source = new HeldJobs(backend);
    const { conn, transport, sent } = wiredOn(backend, { source });
    const bytes = new Uint8Array(LARGE);
    const first = conn.send(bytes);
    const second = conn.send(bytes);
    bytes[0] = 1;
    const begun = source.held[0]!.job.begin()!;
    expect([begun[0], begun.buffer === bytes.buffer]).toEqual([1, false]);
    bytes[0] = 2;
    source.held[0]!.done(undefined);
    await first;
    // The second has not begun: it is sent from where it lies.
    source.held[1]!.done(undefined);
    await second;
    await turns();
    expect(sent().map(({ payload }) => payload[0])).toEqual([1, 2]);
    transport.break();
  });

  it('costs no copy for each connection that sends it', async () => {
    const source = new CountingSource(backend);
    const wired = Array.from({ length: 100 }, () => wiredOn(backend, { source }));
    const bytes = Buffer.alloc(MIB);
    const before = process.memoryUsage().arrayBuffers;
    const writes = wired.map(({ conn }) => conn.send(bytes));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * MIB);
    await Promise.all(writes);
    await turns();
    expect(wired.every(({ sent }) => sent()[0]!.rsv === RSV1)).toBe(true);
    for (const { transport } of wired) transport.break();
  });

  it.each([
    ['a client', 'client', LARGE],
    ['a server, of 64 KiB', 'server', 65_536],
  ] as const)('is copied at once when it is that of %s', async (_, role, size) => {
    const source = new HeldJobs(backend);
    const { conn, transport, sent } = wiredOn(backend, { source, role });
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
    transport.break();
  });

  it('is left out when its bytes are given away before', async () => {
    for (const begins of [true, false]) {
      const source = new HeldJobs(backend);
      const { conn, transport, sent } = wiredOn(backend, { source });
      const bytes = new Uint8Array(LARGE);
      const lost = conn.send(bytes);
      const next = conn.send('next', { compress: false });
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      if (begins) expect(source.held[0]!.job.begin()).toBeUndefined();
      source.held[0]!.done(undefined);
      await expect(lost).rejects.toThrow('bytes of a pending write were detached');
      await next;
      await turns();
      expect(sent().map(({ payload }) => Buffer.from(payload).toString())).toEqual(['next']);
      transport.break();
    }
  });

  it('is not sent when it is given up, whenever its turn has come', async () => {
    const source = new HeldJobs(backend);
    const { conn, transport, sent } = wiredOn(backend, { source });
    const aborts = [0, 1, 2].map(() => new AbortController());
    const writes = aborts.map(({ signal }) => conn.send(Buffer.alloc(LARGE), { signal }));
    for (const abort of aborts) abort.abort();
    for (const write of writes) await expect(write).rejects.toThrow('aborted');
    await turns();
    expect(sent()).toHaveLength(0);
    expect(source.cancelled).toBe(3);
    expect(conn.bufferedAmount).toBe(0);
    // What has left has left.
    const abort = new AbortController();
    const sooner = conn.send(Buffer.alloc(LARGE));
    const later = conn.send(Buffer.alloc(LARGE), { signal: abort.signal });
    source.held[3]!.done(undefined);
    await sooner;
    await turns();
    abort.abort();
    await expect(later).rejects.toThrow('aborted');
    source.held[4]!.done(undefined);
    await conn.send('last', { compress: false });
    await turns();
    expect(sent().map(({ payload }) => payload.length)).toEqual([LARGE, 4]);
    transport.break();
  });
});

describe.each(BACKENDS)('a deflater with a context on %s', (backend) => {
  nothingLeft();

  it('is made anew when the source says so', async () => {
    const source = new CountsMade(backend);
    const { conn, transport, sent } = wiredOn(backend, {
      source,
      deflate: TAKEOVER,
      compression: TAKEOVER_MODE,
    });
    const text = someText(new Random(3), 2000, 'noise');
    await conn.send(text);
    await conn.send(text);
    expect([source.made, source.deflaters]).toEqual([1, 1]);
    source.generation++;
    await conn.send(text);
    expect([source.made, source.deflaters]).toEqual([2, 1]);
    await turns();
    expect(sent().every(({ rsv }) => rsv === RSV1)).toBe(true);
    transport.break();
  });
});
