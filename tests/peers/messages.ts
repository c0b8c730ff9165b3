import { once } from 'node:events';
import { BinaryMessage, type BorrowedMessage, type Conn, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import type { RawData, WebSocket } from 'ws';
import { nothingLeft } from '../kit/index.ts';
import { type Connector, SOCKETS } from './connector.ts';
import { pattern, patternText, SIZES } from './pattern.ts';

/** A sent message: text or bytes. */
export type Sent = string | Buffer;

let made: readonly Sent[] | undefined;

/** Every size as bytes and as text. */
export function everySize(): readonly Sent[] {
  made ??= SIZES.flatMap((size) => [pattern(size), patternText(size)]);
  return made;
}

/** Compares a received message with the sent one. */
export function expectSame(sent: Sent, type: number, bytes: Uint8Array): void {
  expect(type).toBe(typeof sent === 'string' ? TextMessage : BinaryMessage);
  expect(bytes.length).toBe(Buffer.byteLength(sent));
  // Compares without printing megabytes.
  expect(Buffer.compare(bytes, Buffer.from(sent as string))).toBe(0);
}

type Take = (message: Pick<BorrowedMessage, 'type' | 'data'>) => void;

/** Every way of reading: passes `count` messages to `take` and stops. */
export const waysOfReading: readonly (readonly [
  string,
  (conn: Conn, count: number, take: Take) => Promise<void>,
])[] = Object.entries<(conn: Conn, count: number, take: Take) => Promise<void>>({
  readMessage: async (conn, count, take) => {
    for (let i = 0; i < count; i++) take(await conn.readMessage());
  },
  'for await': async (conn, count, take) => {
    let left = count;
    for await (const message of conn) {
      take(message);
      if (--left === 0) break;
    }
  },
  receive: (conn, count, take) =>
    new Promise((resolve, reject) => {
      let left = count;
      conn
        .receive((message) => {
          take(message);
          if (--left === 0) resolve();
        })
        .catch(reject);
    }),
});

/** Passes the next messages of `ws` to `take`. Resolves after `count` messages. */
export function readWs(
  ws: WebSocket,
  count: number,
  take: (type: number, bytes: Buffer) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = count;
    ws.on('error', reject);
    ws.on('message', (data: RawData, binary) => {
      take(binary ? BinaryMessage : TextMessage, data as Buffer);
      if (--left === 0) resolve();
    });
  });
}

/** Messages and control frames with `ws` at the other end, except the closing handshake. */
export function messageSuite(connector: Connector, carriers = SOCKETS): void {
  describe.each(carriers)(`our ${connector.role} and ws over %s`, (_, carrier) => {
    nothingLeft();

    it.each(waysOfReading)('reads every size by %s', async (_, read) => {
      const { conn, ws } = await connector.ws(carrier, { readLimit: 1 << 24 });
      const sent = everySize();
      let at = 0;
      const reading = read(conn, sent.length, ({ type, data }) => {
        expectSame(sent[at++]!, type, data);
      });
      for (const message of sent) ws.send(message);
      await reading;
      expect(at).toBe(sent.length);
      expect(conn.stats.messagesIn).toBe(sent.length);
    });

    it.each([
      ['awaited', true],
      ['not awaited', false],
    ])('writes every size, each as one frame, %s', async (_, awaited) => {
      const { conn, ws } = await connector.ws(carrier, { maxBufferedAmount: false });
      const sent = everySize();
      let at = 0;
      const reading = readWs(ws, sent.length, (type, bytes) => {
        expectSame(sent[at++]!, type, bytes);
      });
      for (const message of sent) {
        const written = conn.send(message);
        if (awaited) await written;
      }
      await reading;
      expect(at).toBe(sent.length);
      expect(conn.stats.framesOut).toBe(sent.length);
    });

    it.each(waysOfReading)('joins fragments with pings between them, by %s', async (_, read) => {
      const { conn, ws } = await connector.ws(carrier);
      const sizes = [0, 1, 125, 0, 126, 65_535, 65_536, 3];
      const bytes = sizes.map((size, i) => pattern(size, i + 1));
      const whole = Buffer.from(patternText(70_000));
      // Splits within characters.
      const text = [whole.subarray(0, 8), whole.subarray(8, 11), whole.subarray(11)];
      const sent: Sent[] = [Buffer.concat(bytes), whole.toString(), 'last'];
      let at = 0;
      const reading = read(conn, sent.length, ({ type, data }) => {
        expectSame(sent[at++]!, type, data);
      });
      const pongs: string[] = [];
      ws.on('pong', (payload) => pongs.push(payload.toString()));
      for (const [binary, pieces] of [
        [true, bytes],
        [false, text],
      ] as const) {
        pieces.forEach((piece, i) => {
          ws.send(piece, { binary, fin: i === pieces.length - 1 });
          ws.ping(`${binary ? 'bytes' : 'text'} ${i}`);
        });
      }
      ws.send('last');
      await reading;
      while (pongs.length < bytes.length + text.length) await once(ws, 'pong');
      expect(pongs).toEqual([
        ...bytes.map((_, i) => `bytes ${i}`),
        ...text.map((_, i) => `text ${i}`),
      ]);
    });

    it.each([0, 1, 125])('answers a ping of %d bytes without a pending read', async (size) => {
      const { ws } = await connector.ws(carrier);
      const pong = once(ws, 'pong');
      ws.ping(pattern(size));
      const [payload] = (await pong) as [Buffer];
      expectSame(pattern(size), BinaryMessage, payload);
    });

    it.each([0, 1, 125])('pings with %d bytes', async (size) => {
      const { conn, ws } = await connector.ws(carrier);
      const ping = once(ws, 'ping');
      const trip = await conn.ping(pattern(size));
      const [payload] = (await ping) as [Buffer];
      expectSame(pattern(size), BinaryMessage, payload);
      expect(trip).toBeGreaterThanOrEqual(0);
      expect(conn.stats.rtt).toBe(trip);
    });

    it('settles every ping in flight, between messages', async () => {
      const { conn, ws } = await connector.ws(carrier);
      ws.on('message', (data, binary) => ws.send(data, { binary }));
      const trips: Promise<number>[] = [];
      for (let i = 0; i < 20; i++) {
        void conn.send(`message ${i}`);
        trips.push(conn.ping());
      }
      const texts: string[] = [];
      for (let i = 0; i < 20; i++) texts.push((await conn.readMessage()).text());
      expect((await Promise.all(trips)).every((trip) => trip >= 0)).toBe(true);
      expect(texts).toEqual(texts.map((_, i) => `message ${i}`));
    });

    it('passes pings and pongs to their handlers', async () => {
      const { conn, ws } = await connector.ws(carrier);
      const heard: string[] = [];
      const pong = once(ws, 'pong');
      conn.setPingHandler((payload) => {
        heard.push(`ping ${Buffer.from(payload).toString()}`);
        return conn.writeControl(10, 'instead');
      });
      conn.setPongHandler((payload) => void heard.push(`pong ${Buffer.from(payload).toString()}`));
      ws.pong('unasked');
      ws.ping('one');
      const [payload] = (await pong) as [Buffer];
      expect(payload.toString()).toBe('instead');
      expect(heard).toEqual(['pong unasked', 'ping one']);
    });
  });
}
