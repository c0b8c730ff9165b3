// The compression options and switches of a Conn.
import { BinaryMessage, broadcast, PreparedMessage, TextMessage } from '@ws/conn';
import { describe, expect, it, vi } from 'vitest';
import { nothingLeft, Random } from '../kit/index.ts';
import {
  BACKENDS,
  CountingSource,
  closePair,
  KIB,
  pairOn,
  RSV1,
  someText,
  TAKEOVER,
  turns,
  until,
  wiredOn,
} from './support.ts';

const text = someText(new Random(1), 20_000, 'words');
const TAKES_OVER = { deflate: TAKEOVER, compression: { mode: 'takeover', threshold: 0 } } as const;

describe.each(BACKENDS)('a Conn that compresses on %s', (backend) => {
  nothingLeft();

  it('applies enableWriteCompression to later messages', async () => {
    const { conn, sent } = wiredOn(backend, { compression: { threshold: 0 } });
    const writer = await conn.nextWriter(BinaryMessage);
    await writer.write(new Uint8Array(5000));
    conn.enableWriteCompression(false);
    await writer.write(new Uint8Array(5000));
    await writer.close();
    await conn.send(new Uint8Array(5000));
    await conn.send(new Uint8Array(5000), { compress: true });
    conn.enableWriteCompression(true);
    await conn.send(new Uint8Array(5000));
    await turns();
    const frames = sent();
    expect(frames.slice(0, 3).every(({ payload }) => payload.length < 100)).toBe(true);
    expect(frames.filter(({ opcode }) => opcode !== 0).map(({ rsv }) => rsv)).toEqual([
      RSV1,
      0,
      RSV1,
      RSV1,
    ]);
  });

  it('reads compressed messages while it sends uncompressed ones', async () => {
    const { client, server } = pairOn(backend);
    server.enableWriteCompression(false);
    await client.send(text);
    expect((await server.readMessage()).text()).toBe(text);
    expect(server.stats.bytesIn).toBeLessThan(text.length / 2);
    await server.send(text);
    expect((await client.readMessage()).text()).toBe(text);
    expect(server.stats.bytesOut).toBeGreaterThan(text.length);
  });

  it('compresses at level 1 by default', async () => {
    const size = async (level?: number, set?: number): Promise<number> => {
      const compression = level === undefined ? true : { level };
      const { conn, transport } = wiredOn(backend, { compression });
      if (set !== undefined) conn.setCompressionLevel(set);
      await conn.send(text);
      transport.break();
      return conn.stats.bytesOut;
    };
    const byDefault = await size();
    expect(byDefault).toBe(await size(1));
    expect(byDefault).toBe(await size(9, 1));
    expect(await size(undefined, 9)).toBe(await size(9));
    expect(await size(-1)).toBe(await size(6));
    expect(await size(9)).toBeLessThan(byDefault);
    expect(await size(-2)).toBeGreaterThan(byDefault);
    expect(await size(0)).toBeGreaterThan(text.length);
  });

  it('compresses messages of no size at level 0', async () => {
    for (const size of [1, 64, 128, 129, 512, 513, 4096]) {
      const { conn, sent } = wiredOn(backend, { compression: { level: 0, threshold: 0 } });
      const body = 'a'.repeat(size);
      await conn.send(body);
      await conn.send(body, { compress: true });
      await conn.writePreparedMessage(new PreparedMessage(TextMessage, body));
      const writer = await conn.nextWriter(TextMessage);
      await writer.write(body);
      await writer.close();
      conn.setCompressionLevel(1);
      await conn.send('a'.repeat(100));
      await turns();
      const rsv = sent().map((frame) => frame.rsv);
      expect(rsv.length).toBeGreaterThanOrEqual(5);
      expect(rsv.indexOf(RSV1)).toBe(rsv.length - 1);
      conn.terminate();
    }
  });

  it('compresses nothing without a negotiated extension', async () => {
    const { conn, sent, source } = wiredOn(backend, { deflate: false });
    conn.enableWriteCompression(true);
    await conn.send(text, { compress: true });
    await conn.writePreparedMessage(new PreparedMessage(TextMessage, text));
    const writer = await conn.nextWriter(TextMessage, { compress: true });
    await writer.write(text);
    await writer.close();
    await turns();
    expect(sent().every(({ rsv }) => rsv === 0)).toBe(true);
    expect([source.deflaters, source.deflates, conn.extensions]).toEqual([0, 0, '']);
  });

  it('compresses a prepared message once for each level and window', async () => {
    const source = new CountingSource(backend);
    const conns = [
      ...Array.from({ length: 4 }, () => wiredOn(backend, { source })),
      wiredOn(backend, { source, compression: { level: 9 } }),
      wiredOn(backend, { source, deflate: { ...TAKEOVER, serverMaxWindowBits: 9 } }),
    ];
    const large = someText(new Random(2), 100_000, 'words');
    const message = new PreparedMessage(TextMessage, large);
    for (let i = 0; i < 3; i++) {
      for (const { conn } of conns) void conn.writePreparedMessage(message);
    }
    await until(() => conns.every(({ conn }) => conn.stats.messagesOut === 3));
    expect(source.deflates).toBe(3);
    const sizes = conns.map(({ conn }) => conn.stats.bytesOut);
    expect(new Set(sizes.slice(0, 4)).size).toBe(1);
    expect(new Set(sizes).size).toBe(3);
    // A broadcast reuses the compressed payloads.
    expect(
      broadcast(
        conns.map(({ conn }) => conn),
        message,
      ),
    ).toBe(6);
    await turns();
    expect(source.deflates).toBe(3);
  });

  it('masks a prepared message with a new key each time', async () => {
    const { conn, sent, transport } = wiredOn(backend, { role: 'client' });
    const message = new PreparedMessage(TextMessage, 'hello hello hello hello hello');
    for (let i = 0; i < 2; i++) await conn.writePreparedMessage(message);
    await turns();
    const [first, second] = sent();
    expect(first).toMatchObject({ rsv: RSV1, payload: second!.payload });
    const wire = Buffer.from(transport.sent);
    const half = wire.length / 2;
    expect(wire.subarray(0, 2).equals(wire.subarray(half, half + 2))).toBe(true);
    expect(wire.subarray(2, half).equals(wire.subarray(half + 2))).toBe(false);
  });

  it('sends messages above maxBytes as they are, except by nextWriter', async () => {
    const cases = [
      [undefined, 256 * KIB, true],
      [undefined, 256 * KIB + 1, false],
      [false, 400_000, true],
      [0, 300, false],
      [1000, 1000, true],
      [1000, 1001, false],
    ] as const;
    for (const [maxBytes, size, compressed] of cases) {
      const { client, server } = pairOn(backend, { compression: { maxBytes } });
      void client.send(new Uint8Array(size));
      expect((await server.readMessage()).data.length).toBe(size);
      const { bytesOut } = client.stats;
      expect([size, bytesOut < size / 2]).toEqual([size, compressed]);
      const writer = await client.nextWriter(BinaryMessage);
      await writer.write(new Uint8Array(size));
      await writer.close();
      expect((await server.readMessage()).data.length).toBe(size);
      expect(client.stats.bytesOut - bytesOut).toBeLessThan(size / 2);
      await closePair({ client, server });
    }
  });

  it('refers to earlier messages as options and engines allow', async () => {
    let source = new CountingSource(backend);
    const sizeOfSecond = async (compression: object): Promise<number> => {
      const { client, server } = pairOn(backend, { compression }, source);
      const noise = someText(new Random(5), 1500, 'noise');
      await client.send(noise);
      const first = client.stats.bytesOut;
      await client.send(noise);
      for (let i = 0; i < 2; i++) expect((await server.readMessage()).text()).toBe(noise);
      const { bytesOut } = client.stats;
      await closePair({ client, server });
      return bytesOut - first;
    };
    const alone = await sizeOfSecond({ mode: 'shared' });
    const again = await sizeOfSecond({ mode: 'takeover' });
    // The functions of zlib keep no context.
    if (backend === 'sync') return expect(again).toBe(alone);
    expect(again).toBeLessThan(alone / 10);
    source = new CountingSource(backend);
    // All 16 compressors belong to other connections, which have just sent, also on a busy machine.
    const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    const others = Array.from({ length: 16 }, () => wiredOn(backend, { source, ...TAKES_OVER }));
    for (const { conn } of others) void conn.send(text);
    expect(await sizeOfSecond({ mode: 'takeover' })).toBe(alone);
    clock.mockRestore();
    for (const { conn } of others) conn.terminate();
    // A distance of 1,500 bytes exceeds a window of 2^9.
    source = new CountingSource(backend);
    const narrow = { mode: 'takeover', clientMaxWindowBits: 9 };
    expect(await sizeOfSecond(narrow)).toBeGreaterThan(alone / 2);
  });
});
