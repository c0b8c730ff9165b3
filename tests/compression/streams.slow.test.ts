// Compressed streams and all ways of reading them.
import { BinaryMessage, type MessageReader, ReadPendingError, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, Random } from '../kit/index.ts';
import { pattern } from '../peers/pattern.ts';
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
  someText,
  TAKEOVER,
  turns,
  until,
  wiredOn,
} from './support.ts';

// The functions of zlib inflate whole messages.
describe.each(['handle'] as const)('compressed streams on %s, piece by piece,', (backend) => {
  nothingLeft();

  it('deliver received bytes before the message is complete', async () => {
    const { conn, feed, frame } = wiredOn(backend);
    const parts = ['one and one and one', 'two and two and two', 'three'];
    const into = new Uint8Array(100);
    const packed = parts.map((text) => part(text, { level: 0 }));
    const reading = conn.nextReader();
    feed(frame(TextMessage, packed[0], { rsv: RSV1, fin: false }));
    const reader = await reading;
    for (const [i, text] of parts.entries()) {
      // The peer sends the next part after the test has read this one.
      if (i > 0) feed(frame(CONTINUATION, packed[i], { fin: false }));
      const size = await reader.read(into);
      expect(Buffer.from(into.subarray(0, size)).toString()).toBe(text);
    }
    feed(frame(CONTINUATION, Uint8Array.of(0)));
    expect(await reader.read(into)).toBe(0);
  });

  it('deliver the plain bytes of half a frame', async () => {
    const { conn, feed, frame } = wiredOn(backend);
    const text = someText(new Random(1), 60_000, 'words');
    const whole = frame(TextMessage, pack(text), { rsv: RSV1 });
    const reading = conn.nextReader();
    feed(whole.subarray(0, whole.length / 2));
    const reader = await reading;
    const into = new Uint8Array(100);
    const size = await reader.read(into);
    expect(text.startsWith(Buffer.from(into.subarray(0, size)).toString())).toBe(true);
    feed(whole.subarray(whole.length / 2));
    expect((await reader.text()) === text.slice(size)).toBe(true);
  });

  it('reach a reader before the writer closes', async () => {
    for (const mode of ['shared', 'takeover'] as const) {
      const { client, server } = pairOn(backend, { compression: { mode, threshold: 0 } });
      const writer = await client.nextWriter(TextMessage);
      const sent = someText(new Random(4), 20_000, 'words');
      const into = new Uint8Array(sent.length);
      let got = 0;
      let reader: MessageReader | undefined;
      for (let at = 5000; at <= sent.length; at += 5000) {
        await writer.write(sent.slice(at - 5000, at));
        reader ??= await server.nextReader();
        // The write buffer keeps bytes until it is full.
        while (got <= at - 5000) got += await reader.read(into.subarray(got));
        await server.send(`got ${at}`);
        expect((await client.readMessage()).text()).toBe(`got ${at}`);
      }
      await writer.close();
      into.set(await reader!.bytes(), got);
      expect(isSame(into, sent)).toBe(true);
      await closePair({ client, server });
    }
  });
});

describe.each(BACKENDS)('compressed streams on %s', (backend) => {
  nothingLeft();

  it('are not inflated ahead of a reader that does not read', async () => {
    const readAhead = 64 * KIB;
    const { conn, feed, packed, source, transport } = wiredOn(backend, {
      readAhead,
      readLimit: false,
    });
    const bomb = pack(Buffer.alloc(32 * MIB));
    const reading = conn.nextReader();
    for (const frame of packed(BinaryMessage, bomb, 4000)) feed(frame);
    const reader = await reading;
    await turns(50);
    expect(transport.paused).toBe(true);
    const slack = 64 * KIB;
    expect(source.inflated).toBeLessThanOrEqual(readAhead + slack);
    const into = new Uint8Array(readAhead);
    for (let left = 2 * MIB; left > 0; ) left -= await reader.read(into);
    await turns(50);
    expect(source.inflated).toBeLessThanOrEqual(2 * MIB + 3 * readAhead + slack);
    let rest = 32 * MIB;
    for await (const piece of reader) rest -= piece.length;
    expect(rest).toBeGreaterThan(0);
  });

  it('are not inflated without a pending readMessage', async () => {
    const { conn, feed, frame, source, transport } = wiredOn(backend);
    const bomb = frame(BinaryMessage, pack(Buffer.alloc(MIB)), { rsv: RSV1 });
    feed(...Array.from({ length: 40 }, () => bomb));
    await turns(50);
    expect(transport.paused).toBe(true);
    expect(source.inflated).toBeLessThanOrEqual(MIB);
    for (let i = 0; i < 40; i++) expect((await conn.readMessage()).data.length).toBe(MIB);
  });

  it('are not inflated all at once after the connection breaks', async () => {
    const { conn, feed, frame, source, transport } = wiredOn(backend);
    const bomb = frame(BinaryMessage, pack(Buffer.alloc(MIB)), { rsv: RSV1 });
    feed(...Array.from({ length: 41 }, () => bomb));
    // Without a read nobody would read what has arrived, and the end would drop it.
    await conn.readMessage();
    await turns();
    transport.break();
    await turns(50);
    expect(source.inflated).toBeLessThanOrEqual(3 * MIB);
    for (let i = 0; i < 40; i++) expect((await conn.readMessage()).data.length).toBe(MIB);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1006 });
    expect(conn.state).toBe('closed');
  });

  it.each([TAKEOVER, { ...TAKEOVER, clientNoContextTakeover: true }])(
    'can be abandoned, and the next message is complete',
    async (deflate) => {
      const { conn, feed, frame } = wiredOn(backend, { deflate });
      const text = someText(new Random(2), 200_000, 'words');
      // With takeover the second message refers to the end of the first one.
      const whole = pack(text);
      feed(
        frame(TextMessage, whole.subarray(0, 10_000), { rsv: RSV1, fin: false }),
        frame(CONTINUATION, whole.subarray(10_000)),
        frame(
          TextMessage,
          pack(`${text.slice(-100)}!`, deflate.clientNoContextTakeover ? '' : text),
          {
            rsv: RSV1,
          },
        ),
      );
      const reader = await conn.nextReader();
      expect(await reader.read(new Uint8Array(10))).toBe(10);
      for await (const piece of reader) {
        expect(piece.length).toBeGreaterThan(0);
        break;
      }
      expect((await conn.readMessage()).text()).toBe(`${text.slice(-100)}!`);
      await expect(reader.read(new Uint8Array(10))).rejects.toThrow(ReadPendingError);
    },
  );

  it('can be read in every way, one after the other', async () => {
    const { client, server } = pairOn(backend, { compression: { mode: 'takeover', threshold: 0 } });
    const value = { list: Array.from({ length: 500 }, (_, i) => ({ id: i, name: `name ${i}` })) };
    const text = JSON.stringify(value);
    const sendAll = (count: number): void => {
      for (let i = 0; i < count; i++) void client.writeJSON(value);
    };
    sendAll(4);
    expect((await server.readMessage()).text()).toBe(text);
    expect(await server.readJSON()).toEqual(value);
    const reader = await server.nextReader();
    expect(await reader.json()).toEqual(value);
    for await (const message of server) {
      expect(message.json()).toEqual(value);
      break;
    }
    sendAll(3);
    let got = 0;
    const received = server.receive((message) => {
      expect(message.text()).toBe(text);
      got++;
    });
    await until(() => got === 3);
    await client.close();
    await received;
    expect(server.stats.messagesIn).toBe(7);
  });

  it('can be discarded', async () => {
    const { client, server } = pairOn(backend, { maxBufferedAmount: false });
    const discarding = server.discardReads();
    for (let i = 0; i < 20; i++) await client.send(Buffer.alloc(i * 10_000, 'abc'));
    await client.close();
    await discarding;
    expect(server.stats.messagesIn).toBe(20);
  });

  it.each([300, 4000, 30_000, 200_000])(
    'lend %i bytes that stay unchanged while other connections inflate',
    async (size) => {
      const random = new Random(size);
      const source = new CountingSource(backend);
      const settings = { maxBufferedAmount: false } as const;
      const ends = Array.from({ length: 6 }, () => pairOn(backend, settings, source));
      const texts = ends.map(() => someText(random, size, 'words'));
      let wrong = 0;
      let handled = 0;
      for (const [i, { server }] of ends.entries()) {
        void server.receive(async (message) => {
          const { data } = message;
          await turns(1 + (i % 3));
          if (!isSame(data, texts[i]!)) wrong++;
          await server.send(message);
          handled++;
        });
      }
      for (let round = 0; round < 4; round++) {
        for (const [i, { client }] of ends.entries()) void client.send(texts[i]!);
      }
      for (const [i, { client }] of ends.entries()) {
        for (let round = 0; round < 4; round++) {
          expect((await client.readMessage()).text() === texts[i]).toBe(true);
        }
        await client.close();
      }
      expect([wrong, handled]).toEqual([0, 24]);
      expect(source.inflated).toBeGreaterThanOrEqual(24 * size);
    },
  );

  it('survive a handler that transfers borrowed bytes to another thread', async () => {
    const source = new CountingSource(backend);
    const thief = pairOn(backend, {}, source);
    let handled = 0;
    thief.server
      .receive(({ data }) => {
        handled++;
        try {
          structuredClone(data.buffer, { transfer: [data.buffer] });
        } catch {
          // The pool of Buffer cannot be transferred. In newer versions of Node it is larger.
        }
      })
      .catch(() => {});
    const sizes = [500, 5000, 30_000, 60_000];
    for (const size of sizes) await thief.client.send('a'.repeat(size));
    await until(() => handled === sizes.length);
    const other = pairOn(backend, {}, source);
    for (const size of sizes) {
      await other.client.send('a'.repeat(size));
      expect((await other.server.readMessage()).text() === 'a'.repeat(size)).toBe(true);
    }
    await closePair(other);
  });

  it('carry every type of buffer, and lone surrogates as U+FFFD', async () => {
    const { client, server } = pairOn(backend, { compression: { threshold: 0 } });
    for (const size of [8, 5000, 40_000, 100_000]) {
      const shared = new Uint8Array(new SharedArrayBuffer(size)).fill(66);
      const all = [shared, shared.buffer, new DataView(shared.slice().buffer), Buffer.from(shared)];
      for (const data of all) {
        void client.send(data);
        expect((await server.readMessage()).text() === 'B'.repeat(size)).toBe(true);
      }
      void client.send('\ud800x'.repeat(size));
      expect((await server.readMessage()).text() === '\ufffdx'.repeat(size)).toBe(true);
    }
  });

  it('carry fragments larger than the scratch buffer', async () => {
    for (const from of ['client', 'server'] as const) {
      const ends = pairOn(backend, { writeBufferSize: 300_000 });
      const noise = pattern(700_000, 3);
      const writer = await ends[from].nextWriter(BinaryMessage);
      const reading = ends[from === 'client' ? 'server' : 'client'].readMessage();
      await writer.write(noise);
      await writer.close();
      expect(isSame((await reading).data, noise)).toBe(true);
      expect(ends[from].stats.framesOut).toBe(3);
      await closePair(ends);
    }
  });

  it('work as web streams', async () => {
    const { client, server } = pairOn(backend, { readLimit: 4 * MIB });
    const sent = Buffer.from(someText(new Random(6), 3 * MIB, 'words'));
    const writer = await client.nextWriter(BinaryMessage);
    const source = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < sent.length; at += 100_000) {
          controller.enqueue(sent.subarray(at, at + 100_000));
        }
        controller.close();
      },
    });
    const piping = source.pipeTo(writer.writable());
    const got: Uint8Array[] = [];
    const sink = new WritableStream<Uint8Array>({ write: (piece) => void got.push(piece) });
    await (await server.nextReader()).readable().pipeTo(sink);
    await piping;
    expect(isSame(Buffer.concat(got), sent)).toBe(true);
    expect(client.stats.bytesOut).toBeLessThan(sent.length);
  });

  it('of incompressible data are sent uncompressed, or grow by at most 1 % when streamed', async () => {
    const { client, server } = pairOn(backend);
    const noise = pattern(30_000, 7);
    await client.send(noise);
    expect(isSame((await server.readMessage()).data, noise)).toBe(true);
    expect(client.stats.bytesOut).toBeLessThanOrEqual(noise.length + 14);
    const writer = await client.nextWriter(BinaryMessage);
    await writer.write(noise);
    await writer.close();
    expect(isSame((await server.readMessage()).data, noise)).toBe(true);
    expect(client.stats.bytesOut).toBeLessThanOrEqual(noise.length * 2.02);
  });
});
