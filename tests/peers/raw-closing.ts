import {
  CloseCode,
  CloseMessage,
  formatCloseMessage,
  TimeoutError,
  TransportError,
} from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, turn } from '../kit/index.ts';
import { type Connector, opener, SOCKETS } from './connector.ts';
import { pattern } from './pattern.ts';

const BINARY = 2;
const TEXT = 1;
const CLOSE = 8;

/** The end of a connection whose peer breaks the closing handshake, sends a FIN or a RST. */
export function rawClosingSuite(connector: Connector, carriers = SOCKETS): void {
  describe.each(carriers)(`our ${connector.role} over %s, with a raw peer,`, (_, carrier) => {
    nothingLeft();
    const open = opener(connector, carrier);

    it(`ends TCP ${connector.role === 'server' ? 'at once' : 'after the peer'} when the peer closes`, async () => {
      // RFC 6455, section 7.1.1: the server closes TCP first, the client waits for it.
      const { peer, over } = await open.raw({ closeTimeout: 60_000 });
      await peer.send(CLOSE, formatCloseMessage(1001));
      await peer.frame();
      if (connector.role === 'server') await peer.until(() => peer.ended);
      else {
        for (let i = 0; i < 20; i++) await turn();
        expect(peer.ended).toBe(false);
      }
      peer.end();
      expect(await over()).toMatchObject({ code: 1001, wasClean: true });
    });

    it('drops a peer that does not answer the close frame within closeTimeout', async () => {
      const { conn, peer, ended, over } = await open.raw({ closeTimeout: 250 });
      const closing = conn.close(4001, 'anybody there');
      const { opcode, payload } = await peer.frame();
      expect(opcode).toBe(CLOSE);
      expect(payload.toString('latin1', 2)).toBe('anybody there');
      const info = await ended();
      expect(info).toMatchObject({ code: 1006, wasClean: false });
      expect(info.error).toBeInstanceOf(TimeoutError);
      expect(await closing).toBe(info);
      await peer.until(() => peer.ended);
      peer.end();
      await over();
    });

    it('drops a peer that answers but does not end TCP within closeTimeout', async () => {
      const { conn, peer, ended, over } = await open.raw({ closeTimeout: 1_000 });
      const closing = conn.close(4001);
      await peer.frame();
      await peer.send(CLOSE, formatCloseMessage(4002, 'as you like'));
      expect(await closing).toEqual({ code: 4002, reason: 'as you like', wasClean: true });
      await ended();
      peer.end();
      await over();
    });

    it('drops a peer that closes but does not end TCP within closeTimeout', async () => {
      const { peer, ended, over } = await open.raw({ closeTimeout: 250 });
      await peer.send(CLOSE, formatCloseMessage(4002));
      expect(await ended()).toEqual({ code: 4002, reason: '', wasClean: true });
      peer.end();
      await over();
      expect(peer.frames.map(({ opcode }) => opcode)).toEqual([CLOSE]);
    });

    it('drops a peer that reads nothing within closeTimeout, with writes queued', async () => {
      const { conn, peer, over } = await open.raw({ closeTimeout: 250, maxBufferedAmount: false });
      peer.stream.pause();
      const writes = [1, 2, 3, 4].map((i) => conn.send(pattern(6 << 20, i)));
      const closing = conn.close();
      expect(await closing).toMatchObject({ code: 1006, wasClean: false });
      const settled = await Promise.allSettled(writes);
      expect(settled.at(-1)!.status).toBe('rejected');
      peer.stream.resume();
      peer.destroy();
      await over();
    });

    it('reports unexpected EOF for a FIN without a close frame, and ends as well', async () => {
      const { conn, peer, over } = await open.raw();
      await peer.send(TEXT, 'last words');
      peer.end();
      const { data } = await conn.readMessage();
      expect(Buffer.from(data).toString()).toBe('last words');
      const error = { closeCode: CloseCode.AbnormalClosure, reason: 'unexpected EOF' };
      await expect(conn.readMessage()).rejects.toMatchObject(error);
      const info = await over();
      expect(info).toMatchObject({ code: 1006, wasClean: false, error });
      expect(peer.ended).toBe(true);
      expect(peer.frames).toEqual([]);
    });

    it('reports unexpected EOF for a FIN within a frame', async () => {
      const { conn, peer, over } = await open.raw();
      await peer.write(peer.encode(BINARY, pattern(1000)).subarray(0, 700));
      peer.end();
      await expect(conn.readMessage()).rejects.toMatchObject({ reason: 'unexpected EOF' });
      expect(await over()).toMatchObject({ code: 1006, wasClean: false });
    });

    it('is not clean when a FIN answers its close frame', async () => {
      const { conn, peer, over } = await open.raw();
      const closing = conn.close(4001);
      await peer.frame();
      peer.end();
      expect(await closing).toMatchObject({ code: 1006, wasClean: false });
      await over();
    });

    it('answers a close frame that a FIN follows at once', async () => {
      const { conn, peer, over } = await open.raw();
      await peer.send(TEXT, 'one');
      void peer.send(CLOSE, formatCloseMessage(4002, 'bye'));
      peer.end();
      const message = await conn.readMessage();
      expect(message.text()).toBe('one');
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4002 });
      const info = await over();
      expect(info).toEqual({ code: 4002, reason: 'bye', wasClean: true });
      expect(peer.frames.map(({ opcode }) => opcode)).toEqual([CLOSE]);
    });

    it.each([
      ['FIN when the peer ends', false],
      ['close frame when the peer closes', true],
    ])('sends every queued write before its %s', async (_, closes) => {
      const { conn, peer, over } = await open.raw({
        maxBufferedAmount: false,
        closeTimeout: 30_000,
      });
      peer.stream.pause();
      const sent = [1 << 20, 8 << 20, 100, 70_000, 1 << 20].map((size, i) => pattern(size, i + 1));
      const writes = sent.map((bytes) => conn.send(bytes));
      if (closes) await peer.send(CLOSE, formatCloseMessage(4002));
      else peer.end();
      const error = closes ? { closeCode: 4002 } : { reason: 'unexpected EOF' };
      await expect(conn.readMessage()).rejects.toMatchObject(error);
      if (!closes) {
        expect(conn.bufferedAmount).toBeGreaterThan(0);
        await expect(conn.send('late')).rejects.toMatchObject(error);
      }
      peer.stream.resume();
      if (closes) await peer.frame(sent.length);
      else await peer.until(() => peer.ended);
      if (closes) peer.end();
      await Promise.all(writes);
      const data = peer.frames.filter(({ opcode }) => opcode === BINARY);
      expect(data.map(({ payload }, i) => Buffer.compare(payload, sent[i]!))).toEqual(
        sent.map(() => 0),
      );
      if (closes) expect(peer.frames.at(-1)!.opcode).toBe(CLOSE);
      const info = closes
        ? { code: 4002, reason: '', wasClean: true }
        : { code: 1006, wasClean: false };
      expect(await over()).toMatchObject(info);
    });

    it('closes on a FIN without a pending read', async () => {
      const { conn, peer, over } = await open.raw();
      peer.destroy();
      expect(await over()).toMatchObject({
        code: 1006,
        wasClean: false,
      });
      await expect(conn.readMessage()).rejects.toThrow('websocket: ');
    });

    it.each([
      ['after closeTimeout when a FIN', 'end', 'websocket: '],
      ['at once when a RST', 'reset', TransportError],
    ] as const)('closes %s arrives while a handler waits for a pong', async (_, how, error) => {
      const { conn, peer, over } = await open.raw(how === 'end' ? { closeTimeout: 250 } : {});
      const trips: Promise<number>[] = [];
      const reading = conn.receive(async () => {
        trips.push(conn.ping());
        peer[how]();
        await trips[0];
      });
      await peer.send(TEXT, 'go');
      await expect(reading).rejects.toThrow(error);
      await expect(trips[0]).rejects.toThrow(error);
      expect(await over()).toMatchObject({ code: 1006, wasClean: false });
    });

    it('reports a RST as a TransportError', async () => {
      const { conn, peer, over } = await open.raw();
      const reading = conn.readMessage();
      peer.reset();
      await expect(reading).rejects.toBeInstanceOf(TransportError);
      const info = await over();
      expect(info).toMatchObject({ code: 1006, wasClean: false });
      expect(info.error).toBeInstanceOf(TransportError);
      expect(info.error).toMatchObject({ cause: carrier.resetCause });
    });

    it('closes at once when a RST arrives while it is closing', async () => {
      const { conn, peer, over } = await open.raw();
      const closing = conn.close();
      await peer.frame();
      peer.reset();
      expect(await closing).toMatchObject({ code: 1006, wasClean: false });
      await over();
    });

    it('delivers nothing of a frame that a RST interrupts', async () => {
      const { conn, peer, over } = await open.raw();
      await peer.send(TEXT, 'whole');
      const message = await conn.readMessage();
      expect(message.text()).toBe('whole');
      await peer.write(peer.encode(BINARY, pattern(100_000)).subarray(0, 50_000));
      const reading = conn.readMessage();
      while (conn.stats.bytesIn < 50_000) await turn();
      peer.reset();
      await expect(reading).rejects.toBeInstanceOf(TransportError);
      await over();
      expect(conn.stats.messagesIn).toBe(1);
    });

    it.each([
      ['one write', 1],
      ['two writes', 2],
    ])('rejects %s of 10 MiB that a RST interrupts', async (_, count) => {
      const { conn, peer, over } = await open.raw({ maxBufferedAmount: false });
      // The peer reads one chunk only.
      peer.stream.once('data', () => peer.stream.pause());
      const writes = Array.from({ length: count }, (_, i) => conn.send(pattern(10 << 20, i)));
      let ends = 0;
      void conn.closed.then(() => ends++);
      await new Promise((resolve) => peer.stream.once('data', resolve));
      peer.reset();
      for (const write of writes) await expect(write).rejects.toBeInstanceOf(TransportError);
      expect(await over()).toMatchObject({ code: 1006, wasClean: false });
      await expect(conn.send('late')).rejects.toBeInstanceOf(TransportError);
      await turn();
      expect(ends).toBe(1);
    });

    it('answers a protocol error with a close frame and no RST', async () => {
      const { conn, peer, over } = await open.raw();
      // RSV1 on a continuation without a message. The bytes after it are never decoded.
      void peer.write(Buffer.concat([Buffer.from([0xc0]), peer.encode(0, 'x').subarray(1)]));
      void peer.write(Buffer.alloc(200_000, 0xff));
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1002 });
      const { opcode, payload } = await peer.frame();
      expect([opcode, payload.readUInt16BE(0)]).toEqual([CloseMessage, 1002]);
      await peer.until(() => peer.ended);
      peer.end();
      expect(await over()).toMatchObject({ code: 1002, wasClean: false });
    });
  });
}
