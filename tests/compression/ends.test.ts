// How connections end while messages are being compressed or inflated, and that nothing of them is left.
import { constants, deflateRawSync } from 'node:zlib';
import { BinaryMessage, broadcast, historyBytesOf, PreparedMessage, TextMessage } from '@ws/conn';
import { Dialer } from '@ws/node-client';
import { nodeDeflate } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { rawSocket } from '../../src/index.ts';
import { nothingLeft, Random, upgradeRequest, whenOver } from '../../src/peers/index.ts';
import {
  BACKENDS,
  CountingSource,
  isSame,
  KIB,
  MIB,
  pack,
  pairOn,
  SHARED,
  someText,
  TAKEOVER,
  turns,
  until,
  type Wired,
  wiredOn,
} from './support.ts';

const RSV1 = 0x40;
const CONTINUATION = 0;
const TAKEOVER_MODE = { mode: 'takeover', threshold: 0, sendHistory: 2048 } as const;
const LARGE = 100_000;

/** A first fragment that can be inflated as far as it goes, and more of the like. */
function part(text: string): Buffer {
  return deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH });
}

/** Lets time go by for libuv's threads, until all that they were given is done. */
async function idle(source: CountingSource): Promise<void> {
  await until(() => source.pending === 0);
  await turns(20);
}

describe.each(BACKENDS)('the end of a compressed connection on %s', (backend) => {
  nothingLeft();

  const texts = Array.from({ length: 8 }, (_, i) => someText(new Random(i), LARGE + i, 'words'));

  describe('with messages on other threads', () => {
    it('sends all that was accepted before the close frame', async () => {
      const { client, server, source } = pairOn(backend, { maxBufferedAmount: false });
      const sent = texts.flatMap((text) => [client.send(text), client.send('small')]);
      const prepared = new PreparedMessage(TextMessage, texts[0]!);
      sent.push(client.writePreparedMessage(prepared));
      expect(source.pending).toBe(1);
      const closing = client.close(1000, 'done');
      for (const text of texts) {
        expect((await server.readMessage()).text() === text).toBe(true);
        expect((await server.readMessage()).text()).toBe('small');
      }
      expect((await server.readMessage()).text() === texts[0]).toBe(true);
      await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 1000, reason: 'done' });
      expect(await closing).toMatchObject({ wasClean: true });
      await Promise.all(sent);
      expect(source.pending).toBe(0);
      // The one that was begun was not waited for: all left as they were.
      expect(client.stats.bytesOut).toBeGreaterThan(9 * LARGE);
      await idle(source);
    });

    it('sends them before its answer to a close frame', async () => {
      const { client, server, source } = pairOn(backend, { maxBufferedAmount: false });
      server.setCloseHandler(() => {
        for (const text of texts) void server.send(text);
      });
      void server.readMessage().catch(() => {});
      const reading = client.close();
      await expect(reading).resolves.toMatchObject({ code: 1000, wasClean: true });
      expect(server.stats.messagesOut).toBe(texts.length);
      await idle(source);
    });

    it('settles every write when it is cut off', async () => {
      const { client, server, source } = pairOn(backend, {
        maxBufferedAmount: false,
        compression: TAKEOVER_MODE,
      });
      const sent = texts.flatMap((text) => [client.send(text), client.send('small')]);
      client.terminate();
      const outcomes = await Promise.allSettled(sent);
      expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
      expect(source.pending).toBe(0);
      server.terminate();
      await server.closed;
      await idle(source);
      expect(historyBytesOf(source)).toBe(0);
      expect(client.bufferedAmount).toBe(0);
    });

    it('settles every write when the write deadline strikes', async () => {
      const { client, server, source } = pairOn(backend, { maxBufferedAmount: false });
      const sent = texts.map((text) => client.send(text));
      client.setWriteDeadline(Date.now() - 1);
      const outcomes = await Promise.allSettled(sent);
      expect(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.code)).toEqual(
        texts.map(() => 'WS_ERR_TIMEOUT'),
      );
      expect(source.pending).toBe(0);
      await server.closed;
      await idle(source);
    });

    it('leaves out the message whose signal is aborted, and goes on', async () => {
      const { client, server, source } = pairOn(backend, { maxBufferedAmount: false });
      const aborts = texts.map(() => new AbortController());
      const sent = texts.map((text, i) => client.send(text, { signal: aborts[i]!.signal }));
      const reason = new Error('not wanted any more');
      aborts[0]!.abort(reason);
      aborts[3]!.abort(reason);
      for (const [i, text] of texts.entries()) {
        if (i === 0 || i === 3) continue;
        expect((await server.readMessage()).text() === text).toBe(true);
      }
      const outcomes = await Promise.allSettled(sent);
      expect(outcomes.map(({ status }) => status === 'rejected')).toEqual(
        texts.map((_, i) => i === 0 || i === 3),
      );
      await client.close();
      expect(client.stats.messagesOut).toBe(texts.length - 2);
      await idle(source);
    });

    it('leaves a broadcast to the others', async () => {
      const source = new CountingSource(backend);
      const pairs = Array.from({ length: 5 }, () => pairOn(backend, {}, source));
      const got = pairs.map(({ server }) => server.readMessage().catch(() => undefined));
      const sent = broadcast(
        pairs.map(({ client }) => client),
        texts[0]!,
      );
      expect([sent, source.jobs]).toEqual([5, 1]);
      pairs[0]!.client.terminate();
      void pairs[1]!.client.close();
      const messages = await Promise.all(got);
      expect(messages.map((message) => message?.text() === texts[0])).toEqual([
        false,
        true,
        true,
        true,
        true,
      ]);
      for (const { client } of pairs) client.terminate();
      for (const { server } of pairs) await server.closed;
      await idle(source);
    });

    it('counts them as buffered, and refuses what is too much', async () => {
      const { client, server, source } = pairOn(backend, { maxBufferedAmount: 3 * LARGE });
      const first = client.send(texts[0]!);
      expect(client.bufferedAmount).toBe(LARGE);
      const second = client.send(texts[1]!);
      expect(client.bufferedAmount).toBe(2 * LARGE + 1);
      await expect(client.send(Buffer.alloc(LARGE))).rejects.toMatchObject({
        code: 'WS_ERR_BACKPRESSURE',
      });
      expect(broadcast([client], Buffer.alloc(LARGE))).toBe(0);
      for (const text of texts.slice(0, 2)) {
        expect((await server.readMessage()).text() === text).toBe(true);
      }
      await Promise.all([first, second]);
      await turns();
      expect(client.bufferedAmount).toBe(0);
      await client.close();
      await idle(source);
    });

    it('keeps those that wait for a blocked transport within the bound', async () => {
      const { conn, source, transport } = wiredOn(backend, { maxBufferedAmount: 500_000 });
      transport.block();
      const noise = someText(new Random(4), LARGE, 'noise');
      const refused: unknown[] = [];
      for (let i = 0; i < 20; i++) {
        conn.send(`${noise}${i}`).catch((error: { code: unknown }) => refused.push(error.code));
        expect(conn.bufferedAmount).toBeLessThanOrEqual(500_000);
      }
      await idle(source);
      expect(conn.stats.messagesOut).toBe(20 - refused.length);
      expect([...new Set(refused)]).toEqual(['WS_ERR_BACKPRESSURE']);
      transport.drain();
      await turns();
      expect(conn.bufferedAmount).toBe(0);
      transport.break();
    });

    it('is that of a handler that throws, or that drops the connection', async () => {
      for (const how of ['throws', 'terminates'] as const) {
        const { client, server, source } = pairOn(backend, {
          compression: TAKEOVER_MODE,
          maxBufferedAmount: false,
        });
        const reading = server.receive((message) => {
          void server.send(message);
          if (how === 'throws') throw new Error('the handler has failed');
          server.terminate();
        });
        reading.catch(() => {});
        for (const text of texts) void client.send(text);
        if (how === 'throws') await expect(reading).rejects.toThrow('the handler has failed');
        await Promise.all([client.closed, server.closed]);
        await idle(source);
        expect(historyBytesOf(source)).toBe(0);
      }
    });

    it('is a reset, over a socket', async () => {
      const before = historyBytesOf(nodeDeflate);
      const errors: unknown[] = [];
      const server = await serve(
        { host: '127.0.0.1', compression: TAKEOVER_MODE, maxBufferedAmount: false },
        (conn) => {
          for (const text of texts) conn.send(text).catch((error: unknown) => errors.push(error));
          return conn.discardReads();
        },
      );
      whenOver(() => server.close());
      const peer = await rawSocket(Number(new URL(server.url).port));
      const offer = 'Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n';
      await peer.send(upgradeRequest().replace(/\r\n$/, offer));
      await peer.until('permessage-deflate');
      peer.reset();
      await until(() => server.connections.size === 0);
      await turns(20);
      expect(historyBytesOf(nodeDeflate)).toBe(before);
      expect(errors.length).toBeLessThanOrEqual(texts.length);
    });

    it.each([
      ['on another thread', undefined],
      ['here', false],
    ] as const)(
      'leaves out a message whose bytes were given away while it waited to be compressed %s',
      async (_, asyncDeflateThreshold) => {
        const { client, server, source } = pairOn(backend, {
          maxBufferedAmount: false,
          compression: { asyncDeflateThreshold },
        });
        // The one that is sent first has the next ones wait in line.
        const writer = await server.nextWriter(TextMessage);
        const bytes = new Uint8Array(LARGE).fill(65);
        const sent = server.send(bytes);
        const next = server.send('next');
        structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
        await writer.close();
        await expect(sent).rejects.toThrow('bytes of a pending write were detached');
        await next;
        expect((await client.readMessage()).text()).toBe('');
        expect((await client.readMessage()).text()).toBe('next');
        await client.close();
        await idle(source);
      },
    );

    it('changes nothing about bytes that belong to others again', async () => {
      const { client, server, source } = pairOn(backend, { maxBufferedAmount: false });
      const bytes = Buffer.from(texts[0]!);
      const sent = server.send(bytes);
      server.terminate();
      await expect(sent).rejects.toThrow();
      bytes.fill(0);
      await client.closed;
      await idle(source);
    });
  });

  describe('within a message', () => {
    it('gives back what two thousand of them held', async () => {
      const source = new CountingSource(backend);
      for (let round = 0; round < 4; round++) {
        const conns: Wired[] = [];
        for (let i = 0; i < 500; i++) {
          const wired = wiredOn(backend, {
            source,
            deflate: i % 2 === 0 ? TAKEOVER : SHARED,
            compression: { ...TAKEOVER_MODE, takeoverEngines: 2 },
          });
          conns.push(wired);
          const { conn, feed, frame } = wired;
          void conn.send('Hello, hello and hello').catch(() => {});
          feed(
            frame(TextMessage, pack('Hello, hello and hello'), { rsv: RSV1 }),
            frame(TextMessage, part('half a message'), { rsv: RSV1, fin: false }),
          );
          const whole = conn.readMessage();
          const rest = whole.then(async () => {
            if (i % 3 === 0) await conn.readMessage();
            else if (i % 3 === 1) await (await conn.nextReader()).bytes();
          });
          rest.catch(() => {});
        }
        await turns();
        expect(historyBytesOf(source)).toBeGreaterThanOrEqual(500 * 512);
        expect(conns[0]!.conn.stats.compressionBytes).toBeGreaterThanOrEqual(512);
        for (const [i, { conn, transport }] of conns.entries()) {
          if (i % 4 === 0) conn.terminate();
          else if (i % 4 === 1) transport.break(new Error('reset'));
          else if (i % 4 === 2) {
            transport.feedEnd();
            transport.break();
          } else void conn.close().then(() => {});
        }
        await turns();
        for (const { transport } of conns) transport.break();
        await Promise.all(conns.map(({ conn }) => conn.closed));
        await turns();
        expect(historyBytesOf(source)).toBe(0);
        expect(conns.every(({ conn }) => conn.stats.compressionBytes === 0)).toBe(true);
        expect(source.inflaters).toBeLessThanOrEqual(8);
        expect(source.deflaters).toBeLessThanOrEqual(2 + 8);
      }
      // Nobody has kept its place among those who may inflate piece by piece.
      const { conn, feed, frame, transport } = wiredOn(backend, { source });
      feed(frame(TextMessage, part('piece by piece'), { rsv: RSV1, fin: false }));
      expect(await (await conn.nextReader()).read(new Uint8Array(100))).toBe(14);
      transport.break();
    });

    it.each(['whole', 'a reader'])('closes cleanly, read %s', async (how) => {
      const source = new CountingSource(backend);
      const message = pack(someText(new Random(1), 100_000, 'noise'));
      for (const split of [true, false]) {
        const { conn, feed, frame, transport } = wiredOn(backend, { source });
        const frames = split
          ? Buffer.concat([
              frame(TextMessage, message.subarray(0, 9000), { rsv: RSV1, fin: false }),
              frame(CONTINUATION, message.subarray(9000)),
            ])
          : frame(TextMessage, message, { rsv: RSV1 });
        const reading = how === 'whole' ? conn.readMessage() : conn.nextReader();
        feed(frames.subarray(0, 10_000));
        await turns();
        const closing = conn.close();
        await turns();
        feed(frames.subarray(10_000), frame(8, Uint8Array.of(3, 232)));
        transport.feedEnd();
        expect(await closing).toMatchObject({ code: 1000, wasClean: true });
        await reading.catch(() => {});
      }
      expect(source.inflaters).toBe(1);
    });

    it('gives all of it to who waits, then the end, whichever comes in the same turn', async () => {
      for (const by of ['close frame', 'FIN', 'reset']) {
        const wired = wiredOn(backend, { readLimit: false });
        const { conn, feed, frame, transport } = wired;
        const reading = conn.readMessage();
        feed(frame(BinaryMessage, pack(Buffer.alloc(4 * MIB)), { rsv: RSV1 }));
        if (by === 'close frame') feed(frame(8, Uint8Array.of(3, 232)));
        if (by !== 'reset') transport.feedEnd();
        else transport.break(new Error('reset'));
        expect((await reading).data.length).toBe(4 * MIB);
        const closeCode = by === 'close frame' ? 1000 : undefined;
        await expect(conn.readMessage()).rejects.toMatchObject(
          closeCode === undefined ? {} : { closeCode },
        );
        transport.break();
        await conn.closed;
        expect(wired.source.inflaters).toBeLessThanOrEqual(1);
      }
    });

    it('gives back its inflater when the read deadline strikes', async () => {
      const source = new CountingSource(backend);
      for (let i = 0; i < 3; i++) {
        const { conn, feed, frame, transport } = wiredOn(backend, { source });
        conn.setReadDeadline(Date.now() - 1);
        feed(frame(TextMessage, part('half'), { rsv: RSV1, fin: false }));
        await expect(conn.readMessage()).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
        feed(frame(CONTINUATION, pack(Buffer.alloc(MIB))));
        await turns();
        transport.break();
      }
      expect(source.inflaters).toBeLessThanOrEqual(1);
    });

    it('lets more than 256 be read at a time, those beyond when they are complete', async () => {
      const source = new CountingSource(backend);
      const text = someText(new Random(1), 2000, 'words');
      const conns = Array.from({ length: 300 }, () => wiredOn(backend, { source }));
      let begun = 0;
      const read = conns.map(async ({ conn, feed, frame }) => {
        feed(
          frame(TextMessage, part(text), { rsv: RSV1, fin: false }),
          frame(CONTINUATION, part(text), { fin: false }),
        );
        const reader = await conn.nextReader();
        const size = await reader.read(new Uint8Array(100));
        begun++;
        return size + Buffer.byteLength(await reader.text());
      });
      await turns(10);
      expect([begun, source.inflaters]).toEqual([256, 256]);
      for (const { feed, frame } of conns) feed(frame(CONTINUATION, Uint8Array.of(0)));
      const lengths = await Promise.all(read);
      expect(new Set(lengths)).toEqual(new Set([2 * Buffer.byteLength(text)]));
      expect(source.inflaters).toBeLessThanOrEqual(8);
      for (const { transport } of conns) transport.break();
    });

    it('lets more than 64 be written at a time, those beyond as they are', async () => {
      const source = new CountingSource(backend);
      const half = someText(new Random(2), 6000, 'words');
      const conns = Array.from({ length: 80 }, () => wiredOn(backend, { source }));
      const streams = async (): Promise<number> => {
        const writers = [];
        for (const { conn } of conns) {
          const writer = await conn.nextWriter(TextMessage);
          await writer.write(half);
          writers.push(writer);
        }
        await turns();
        const compressed = conns.filter(({ sent }) => {
          return sent().findLast(({ opcode }) => opcode === TextMessage)?.rsv === RSV1;
        }).length;
        for (const writer of writers) await writer.close();
        return compressed;
      };
      expect(await streams()).toBe(64);
      expect(await streams()).toBe(64);
      expect(source.deflaters).toBeLessThanOrEqual(8);
      for (const { transport } of conns) transport.break();
    });

    it('gives back the deflater of a stream that is aborted or cut off', async () => {
      const source = new CountingSource(backend);
      for (let i = 0; i < 70; i++) {
        const { conn, transport } = wiredOn(backend, { source });
        const writer = await conn.nextWriter(BinaryMessage);
        await writer.write(Buffer.alloc(10_000));
        if (i % 2 === 0) writer.abort();
        transport.break();
        await conn.closed;
      }
      const { conn, sent, transport } = wiredOn(backend, { source });
      const writer = await conn.nextWriter(BinaryMessage);
      await writer.write(Buffer.alloc(10_000));
      await turns();
      expect(sent()[0]!.rsv).toBe(RSV1);
      transport.break();
    });
  });

  it('without memory for a deflater fails the write, and the next one is right', async () => {
    for (const compression of [{ threshold: 0 }, TAKEOVER_MODE]) {
      const { client, server, source } = pairOn(backend, { compression });
      const text = someText(new Random(3), 3000, 'words');
      await client.send(text);
      for (let i = 0; i < 3; i++) {
        source.failure = new Error('no memory');
        await expect(client.send(`${text}${i}`)).rejects.toThrow('no memory');
        source.failure = undefined;
        await client.send(`${i}${text}`);
      }
      expect((await server.readMessage()).text()).toBe(text);
      for (let i = 0; i < 3; i++) expect((await server.readMessage()).text()).toBe(`${i}${text}`);
      await client.close();
    }
  });

  it('without memory on another thread sends the message as it is', async () => {
    const { client, server, source } = pairOn(backend, { compression: TAKEOVER_MODE });
    source.failure = new Error('no memory');
    const prepared = new PreparedMessage(TextMessage, texts[0]!);
    void client.send(texts[0]!);
    void client.writePreparedMessage(prepared);
    for (let i = 0; i < 2; i++) {
      expect((await server.readMessage()).text() === texts[0]).toBe(true);
    }
    expect(client.stats.bytesOut).toBeGreaterThan(2 * LARGE);
    source.failure = undefined;
    const before = client.stats.bytesOut;
    void client.writePreparedMessage(prepared);
    void client.send(texts[1]!);
    for (const text of texts.slice(0, 2)) {
      expect((await server.readMessage()).text() === text).toBe(true);
    }
    expect(client.stats.bytesOut - before).toBeLessThan(LARGE);
    await client.close();
  });

  it('leaves no history where peers may not refer back', async () => {
    const { client, server, source } = pairOn(backend);
    for (let i = 0; i < 20; i++) {
      await client.send(someText(new Random(i), 5000, 'words'));
      await server.readMessage();
      expect([client.stats.compressionBytes, server.stats.compressionBytes]).toEqual([0, 0]);
    }
    expect(historyBytesOf(source)).toBe(0);
    await client.close();
  });

  it('holds a window of 4 KiB at most on a server that takes over context', async () => {
    const { client, server, source } = pairOn(backend, { compression: 'takeover' });
    for (let i = 0; i < 20; i++) {
      await client.send(someText(new Random(i), 5000, 'words'));
      await server.readMessage();
    }
    expect(server.stats.compressionBytes).toBe(4 * KIB);
    expect(client.stats.compressionBytes).toBe(0);
    expect(historyBytesOf(source)).toBe(4 * KIB);
    await client.close();
    await turns();
    expect(historyBytesOf(source)).toBe(0);
  });

  it('over the memory budget lets new connections agree on no takeover', async () => {
    const source = new CountingSource(backend);
    const options = { compression: 'takeover' } as const;
    const first = pairOn(backend, options, source);
    expect(first.client.extensions).toBe('permessage-deflate; client_max_window_bits=12');
    await first.client.send(someText(new Random(1), 5000, 'words'));
    await first.server.readMessage();
    source.memoryBudget = 4 * KIB;
    const second = pairOn(backend, options, source);
    expect(second.client.extensions).toBe(
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
    );
    await second.client.send(someText(new Random(2), 5000, 'words'));
    await second.server.readMessage();
    expect(historyBytesOf(source)).toBe(4 * KIB);
    await first.client.close();
    await turns();
    const third = pairOn(backend, options, source);
    expect(third.client.extensions).toBe('permessage-deflate; client_max_window_bits=12');
    await second.client.close();
    await third.client.close();
  });

  it('is that of a program with sockets too', async () => {
    const server = await serve({ host: '127.0.0.1', compression: TAKEOVER_MODE }, (conn) =>
      conn.receive((message) => conn.send(message)),
    );
    whenOver(() => server.close());
    const before = historyBytesOf(nodeDeflate);
    const dialer = new Dialer({ compression: TAKEOVER_MODE });
    const conns = await Promise.all(
      Array.from({ length: 20 }, async () => (await dialer.dial(server.url)).conn),
    );
    for (const conn of conns) {
      await conn.send(texts[0]!.slice(0, 5000));
      expect(isSame((await conn.readMessage()).data, texts[0]!.slice(0, 5000))).toBe(true);
    }
    expect(historyBytesOf(nodeDeflate)).toBeGreaterThan(before + 20 * 4 * KIB);
    for (const [i, conn] of conns.entries()) {
      if (i % 2 === 0) conn.terminate();
      else await conn.close();
    }
    await until(() => server.connections.size === 0);
    expect(historyBytesOf(nodeDeflate)).toBe(before);
  });
});
