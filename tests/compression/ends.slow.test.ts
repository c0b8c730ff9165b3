// The end of connections with messages in compression or decompression. Nothing may leak.
import { BinaryMessage, broadcast, type Conn, PreparedMessage, TextMessage } from '@ws/conn';
import { historyBytesOf } from '@ws/deflate/internal';
import { Dialer } from '@ws/node-client';
import { nodeDeflate } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { nothingLeft, Random, rawClient, upgradeRequest, whenOver } from '../kit/index.ts';
import {
  BACKENDS,
  CONTINUATION,
  CountingSource,
  closePair,
  isSame,
  KIB,
  MIB,
  pack,
  pairOn,
  part,
  RSV1,
  SHARED,
  someText,
  TAKEOVER,
  turns,
  until,
  type Wired,
  wiredOn,
} from './support.ts';

const TAKEOVER_MODE = { mode: 'takeover', threshold: 0 } as const;
const LARGE = 100_000;

describe.each(BACKENDS)('the end of a compressed connection on %s', (backend) => {
  nothingLeft();

  const texts = Array.from({ length: 8 }, (_, i) => someText(new Random(i), LARGE + i, 'words'));

  describe('with messages that wait for a writer', () => {
    it('sends every accepted message before the close frame', async () => {
      const { client, server } = pairOn(backend, { maxBufferedAmount: false });
      const writer = await client.nextWriter(TextMessage);
      const sent = texts.flatMap((text) => [client.send(text), client.send('small')]);
      const prepared = new PreparedMessage(TextMessage, texts[0]!);
      sent.push(client.writePreparedMessage(prepared), writer.close());
      const closing = client.close(1000, 'done');
      expect((await server.readMessage()).text()).toBe('');
      for (const text of texts) {
        expect((await server.readMessage()).text() === text).toBe(true);
        expect((await server.readMessage()).text()).toBe('small');
      }
      expect((await server.readMessage()).text() === texts[0]).toBe(true);
      await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 1000, reason: 'done' });
      expect(await closing).toMatchObject({ wasClean: true });
      await Promise.all(sent);
      expect(client.stats.bytesOut).toBeLessThan(5 * LARGE);
    });

    it('sends every accepted message before the answer to a close frame', async () => {
      const { client, server } = pairOn(backend, { maxBufferedAmount: false });
      server.setCloseHandler(() => {
        for (const text of texts) void server.send(text);
      });
      void server.readMessage().catch(() => {});
      const reading = client.close();
      await expect(reading).resolves.toMatchObject({ code: 1000, wasClean: true });
      expect(server.stats.messagesOut).toBe(texts.length);
    });

    it.each<[string, (client: Conn) => void, string]>([
      ['on terminate()', (client) => client.terminate(), 'WS_ERR_CLOSE'],
      ['at its deadline', (client) => client.setWriteDeadline(Date.now() - 1), 'WS_ERR_TIMEOUT'],
    ])('rejects every write %s', async (_, end, code) => {
      const { client, server, source } = pairOn(backend, {
        maxBufferedAmount: false,
        compression: TAKEOVER_MODE,
      });
      await client.nextWriter(TextMessage);
      const sent = texts.flatMap((text) => [client.send(text), client.send('small')]);
      end(client);
      const outcomes = await Promise.allSettled(sent);
      expect(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.code)).toEqual(
        sent.map(() => code),
      );
      server.terminate();
      await server.closed;
      expect(historyBytesOf(source)).toBe(0);
      expect(client.bufferedAmount).toBe(0);
    });

    it('omits messages with an aborted signal and sends the others', async () => {
      const { client, server } = pairOn(backend, { maxBufferedAmount: false });
      const aborts = texts.map(() => new AbortController());
      const writer = await client.nextWriter(TextMessage);
      const sent = texts.map((text, i) => client.send(text, { signal: aborts[i]!.signal }));
      const reason = new Error('not wanted any more');
      aborts[0]!.abort(reason);
      aborts[3]!.abort(reason);
      void writer.close();
      expect((await server.readMessage()).text()).toBe('');
      for (const [i, text] of texts.entries()) {
        if (i === 0 || i === 3) continue;
        expect((await server.readMessage()).text() === text).toBe(true);
      }
      const outcomes = await Promise.allSettled(sent);
      expect(outcomes.map(({ status }) => status === 'rejected')).toEqual(
        texts.map((_, i) => i === 0 || i === 3),
      );
      await closePair({ client, server });
      expect(client.stats.messagesOut).toBe(1 + texts.length - 2);
    });

    it('sends a broadcast to the remaining connections', async () => {
      const source = new CountingSource(backend);
      const pairs = Array.from({ length: 5 }, () => pairOn(backend, {}, source));
      const got = pairs.map(({ server }) => server.readMessage().catch(() => undefined));
      const sent = broadcast(
        pairs.map(({ client }) => client),
        texts[0]!,
      );
      expect(sent).toBe(5);
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
      for (const { server } of pairs) await server.discardReads().catch(() => {});
    });

    it('keeps messages for a blocked transport within maxBufferedAmount', async () => {
      const { conn, transport } = wiredOn(backend, { maxBufferedAmount: 500_000 });
      transport.block();
      const noise = someText(new Random(4), LARGE, 'noise');
      const refused: unknown[] = [];
      for (let i = 0; i < 20; i++) {
        conn.send(`${noise}${i}`).catch((error: { code: unknown }) => refused.push(error.code));
        expect(conn.bufferedAmount).toBeLessThanOrEqual(500_000);
      }
      await turns();
      expect(conn.stats.messagesOut).toBe(20 - refused.length);
      expect([...new Set(refused)]).toEqual(['WS_ERR_BACKPRESSURE']);
      transport.drain();
      await turns();
      expect(conn.bufferedAmount).toBe(0);
    });

    it('releases everything after a handler throws or terminates', async () => {
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
        expect(historyBytesOf(source)).toBe(0);
      }
    });

    it('releases everything after a RST of the client', async () => {
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
      const peer = await rawClient(Number(new URL(server.url).port));
      const offer = 'Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n';
      await peer.write(upgradeRequest().replace(/\r\n$/, offer));
      await peer.until('permessage-deflate');
      peer.reset();
      await until(() => server.connections.size === 0);
      await turns(20);
      expect(historyBytesOf(nodeDeflate)).toBe(before);
      expect(errors.length).toBeLessThanOrEqual(texts.length);
    });

    it('ignores later changes to the bytes of a rejected write', async () => {
      const { client, server } = pairOn(backend, { maxBufferedAmount: false });
      const bytes = Buffer.from(texts[0]!);
      await server.nextWriter(TextMessage);
      const sent = server.send(bytes);
      server.terminate();
      await expect(sent).rejects.toThrow();
      bytes.fill(0);
      await client.closed;
    });
  });

  describe('within a message', () => {
    it('releases the memory of a thousand connections', async () => {
      const source = new CountingSource(backend);
      for (let round = 0; round < 2; round++) {
        const conns: Wired[] = [];
        for (let i = 0; i < 500; i++) {
          const wired = wiredOn(backend, {
            source,
            deflate: i % 2 === 0 ? TAKEOVER : SHARED,
            compression: TAKEOVER_MODE,
          });
          conns.push(wired);
          const { conn, feed, frame, packed } = wired;
          void conn.send('Hello, hello and hello').catch(() => {});
          feed(
            ...packed(TextMessage, pack('Hello, hello and hello')),
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
        // Half of them keep what they have received.
        expect(historyBytesOf(source)).toBeGreaterThanOrEqual(250 * 512);
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
        expect(source.deflaters).toBeLessThanOrEqual(16 + 8);
      }
      // No ended connection still holds one of the 256 inflaters.
      const { conn, feed, frame } = wiredOn(backend, { source });
      // The functions of zlib inflate a message when it is whole.
      const fin = backend === 'sync';
      const payload = (fin ? pack : part)('piece by piece');
      feed(frame(TextMessage, payload, { rsv: RSV1, fin }));
      expect(await (await conn.nextReader()).read(new Uint8Array(100))).toBe(14);
    });

    it.each(['whole', 'a reader'])('closes cleanly, read by %s', async (how) => {
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
        // The reader that reads no further has half of the time.
        const closing = conn.close(1000, '', { timeout: 1_000 });
        await turns();
        feed(frames.subarray(10_000), frame(8, Uint8Array.of(3, 232)));
        transport.feedEnd();
        expect(await closing).toMatchObject({ code: 1000, wasClean: true });
        await reading.catch(() => {});
      }
      expect(source.inflaters).toBe(1);
    });

    it('delivers the whole message to a pending read before the end of the same turn', async () => {
      for (const by of ['close frame', 'FIN', 'reset']) {
        const wired = wiredOn(backend, { readLimit: false });
        const { conn, feed, frame, transport, packed } = wired;
        const reading = conn.readMessage();
        feed(...packed(BinaryMessage, pack(Buffer.alloc(4 * MIB))));
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

    it('releases its inflater at the read deadline', async () => {
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

    it('releases the deflater of an aborted or interrupted stream', async () => {
      const source = new CountingSource(backend);
      for (let i = 0; i < 70; i++) {
        const { conn, transport } = wiredOn(backend, { source });
        const writer = await conn.nextWriter(BinaryMessage);
        await writer.write(Buffer.alloc(10_000));
        if (i % 2 === 0) writer.abort();
        transport.break();
        await conn.closed;
      }
      const { conn, sent } = wiredOn(backend, { source });
      const writer = await conn.nextWriter(BinaryMessage);
      await writer.write(Buffer.alloc(10_000));
      await turns();
      expect(sent()[0]!.rsv).toBe(RSV1);
    });
  });

  it.each([
    ['no history without context takeover', 'shared', 0],
    ['at most 4 KiB of history on a server with context takeover', 'takeover', 4 * KIB],
  ] as const)('keeps %s', async (_, mode, bytes) => {
    const { client, server, source } = pairOn(backend, { compression: { mode, threshold: 0 } });
    for (let i = 0; i < 20; i++) {
      await client.send(someText(new Random(i), 5000, 'words'));
      await server.readMessage();
    }
    const held = [client.stats.compressionBytes, server.stats.compressionBytes];
    // The functions of zlib keep no context.
    const kept = backend === 'sync' ? 0 : bytes;
    expect([...held, historyBytesOf(source)]).toEqual([0, kept, kept]);
    await closePair({ client, server });
    await turns();
    expect(historyBytesOf(source)).toBe(0);
  });

  it('releases all histories of connections over sockets', async () => {
    const server = await serve({ host: '127.0.0.1', compression: TAKEOVER_MODE }, (conn) =>
      conn.receive((message) => conn.send(message)),
    );
    whenOver(() => server.close());
    const before = historyBytesOf(nodeDeflate);
    const dialer = new Dialer({ compression: TAKEOVER_MODE });
    const conns = await Promise.all(
      Array.from({ length: 20 }, async () => dialer.dial(server.url)),
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
