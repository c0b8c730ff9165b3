import {
  BinaryMessage,
  BorrowedMessage,
  broadcast,
  type Conn,
  PingMessage,
  PreparedMessage,
  TextMessage,
} from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, turn } from '../kit/index.ts';
import { type Connector, SOCKETS, wsClosed } from './connector.ts';
import { everySize, expectSame, readWs } from './messages.ts';
import { pattern, patternText } from './pattern.ts';

const POSITION = { x: 1.5, tags: ['é', '😀'], at: '2020-02-02T02:02:02.000Z' };

/** Streams `text` without awaiting the writes. */
async function streamed(conn: Conn, text: string): Promise<void> {
  const writer = await conn.nextWriter(TextMessage, { queue: true }).catch(() => undefined);
  void writer?.write(text);
  void writer?.close();
}

/** JSON, prepared messages and broadcasts, with `ws` at the other end. */
export function valueSuite(connector: Connector, carriers = SOCKETS): void {
  describe.each(carriers)(`our ${connector.role} and ws over %s`, (_, carrier) => {
    nothingLeft();

    it('write and read JSON of every size', async () => {
      const { conn, ws } = await connector.ws(carrier);
      const texts: string[] = [];
      ws.on('message', (data, binary) => {
        expect(binary).toBe(false);
        texts.push((data as Buffer).toString());
        ws.send(data);
      });
      const values = [
        null,
        0,
        'é😀',
        [],
        {},
        POSITION,
        patternText(70_000),
        [patternText(900_000)],
      ];
      for (const value of values) {
        await conn.writeJSON(value);
        expect(await conn.readJSON()).toEqual(value);
      }
      expect(texts).toEqual(values.map((value) => JSON.stringify(value)));
    });

    it('send prepared messages of every size, many times', async () => {
      const { conn, ws } = await connector.ws(carrier, { maxBufferedAmount: false });
      const sent = everySize().filter((message) => Buffer.byteLength(message) <= 1 << 20);
      let at = 0;
      const reading = readWs(ws, 3 * sent.length, (type, bytes) => {
        expectSame(sent[Math.floor(at++ / 3)]!, type, bytes);
      });
      for (const message of sent) {
        const type = typeof message === 'string' ? TextMessage : BinaryMessage;
        const prepared = new PreparedMessage(type, message);
        void conn.writePreparedMessage(prepared);
        void conn.writePreparedMessage(prepared);
        await conn.writePreparedMessage(prepared);
      }
      await conn.writePreparedMessage(new PreparedMessage(PingMessage, 'p'));
      await reading;
    });

    it('broadcast to connections except excluded, closed and slow ones', async () => {
      const settings = { maxBufferedAmount: 2 << 20 };
      const all = await Promise.all(
        Array.from({ length: 5 }, () => connector.ws(carrier, settings)),
      );
      const got = all.map(({ ws }) => {
        const messages: Buffer[] = [];
        ws.on('message', (data) => messages.push(data as Buffer));
        return messages;
      });
      const conns = all.map(({ conn }) => conn);
      const [first, second, closed, slow] = all;
      await closed!.conn.close();
      slow!.ws.pause();
      // Fills the kernel's buffers, then the queue of the connection.
      while (slow!.conn.bufferedAmount < 1 << 20) {
        slow!.conn.send(pattern(1 << 20)).catch(() => {});
        await turn();
      }
      const large = pattern(1_500_000, 7);
      expect(broadcast(conns, large)).toBe(3);
      expect(broadcast(conns, 'to most', { except: [first!.conn, slow!.conn] })).toBe(2);
      expect(broadcast(conns, 'to one', { filter: (conn) => conn === second!.conn })).toBe(1);
      expect(broadcast(conns, new PreparedMessage(TextMessage, 'last'))).toBe(4);
      slow!.ws.resume();
      const last = Buffer.from('last');
      const ends = [0, 1, 3, 4].map(async (i) => {
        while (!got[i]!.some((bytes) => bytes.equals(last))) {
          await new Promise((resolve) => all[i]!.ws.once('message', resolve));
        }
      });
      await Promise.all(ends);
      const short = (bytes: Buffer): string => (bytes.equals(large) ? 'large' : bytes.toString());
      expect(got[0]!.map(short)).toEqual(['large', 'last']);
      expect(got[1]!.map(short)).toEqual(['large', 'to most', 'to one', 'last']);
      expect(got[2]).toEqual([]);
      expect(got[3]!.at(-1)).toEqual(last);
      expect(got[4]!.map(short)).toEqual(['large', 'to most', 'last']);
    });

    it('broadcast a borrowed message', async () => {
      const from = await connector.ws(carrier);
      const to = await Promise.all([connector.ws(carrier), connector.ws(carrier)]);
      from.conn
        .receive((message) => {
          expect(message).toBeInstanceOf(BorrowedMessage);
          broadcast(
            to.map(({ conn }) => conn),
            message,
          );
        })
        .catch(() => {});
      const sent = [pattern(100_000), patternText(100_000), pattern(5), 'last'];
      const reading = to.map(({ ws }) => {
        let at = 0;
        return readWs(ws, sent.length, (type, bytes) => expectSame(sent[at++]!, type, bytes));
      });
      for (const message of sent) from.ws.send(message);
      await Promise.all(reading);
    });

    it('write only, while discardReads discards incoming messages', async () => {
      const { conn, ws } = await connector.ws(carrier);
      const ended = conn.discardReads();
      let pongs = 0;
      ws.on('pong', () => pongs++);
      for (let i = 0; i < 100; i++) {
        ws.send(pattern(50_000, i));
        ws.ping();
      }
      let at = 0;
      const reading = readWs(ws, 100, (type, bytes) => expectSame(`message ${at++}`, type, bytes));
      for (let i = 0; i < 100; i++) await conn.send(`message ${i}`);
      await reading;
      while (pongs < 100) await new Promise((resolve) => ws.once('pong', resolve));
      expect(conn.stats.messagesIn).toBe(100);
      const closed = wsClosed(ws);
      ws.close(1001, 'enough');
      expect(await ended).toMatchObject({ code: 1001, reason: 'enough', wasClean: true });
      await closed;
    });

    it('ping and close within a handler', async () => {
      const { conn, ws } = await connector.ws(carrier);
      const closed = wsClosed(ws);
      let trip = -1;
      const ended = conn.receive(async (message) => {
        trip = await conn.ping();
        await conn.send(`${message.text()} after ${trip >= 0 ? 'a ping' : ''}`);
        await conn.close(1000, 'done');
      });
      const got: string[] = [];
      ws.on('message', (data) => got.push((data as Buffer).toString()));
      ws.send('asked');
      expect(await ended).toMatchObject({ code: 1000, wasClean: true });
      expect(await closed).toEqual({ code: 1000, reason: 'done' });
      expect(got).toEqual(['asked after a ping']);
    });
  });

  describe.each(carriers)(
    `our ${connector.role} over %s, with a peer that resets,`,
    (_, carrier) => {
      nothingLeft();

      it('rejects a thousand writes that are not awaited, without an unhandled rejection', async () => {
        const { conn, peer } = await connector.raw(carrier, { maxBufferedAmount: false });
        peer.stream.pause();
        const large = pattern(100_000);
        const prepared = new PreparedMessage(TextMessage, 'prepared');
        for (let i = 0; i < 1_000; i++) {
          if (i === 500) peer.reset();
          if (i % 100 === 0) await turn();
          if (i % 5 === 0) void conn.send(large);
          else if (i % 5 === 1) void conn.send(`message ${i}`);
          else if (i % 5 === 2) void conn.writeJSON({ i });
          else if (i % 5 === 3) void conn.writePreparedMessage(prepared);
          else void streamed(conn, `stream ${i}`);
        }
        expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
        await expect(conn.send('late')).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
        expect(conn.bufferedAmount).toBe(0);
        await peer.closed;
      });
    },
  );
}
