import {
  CloseCode,
  CloseMessage,
  formatCloseMessage,
  TimeoutError,
  TransportError,
} from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { turn } from '../fake-host.ts';
import { nothingLeft } from './leftovers.ts';
import { pattern } from './pattern.ts';
import { allGone, ended, OVER, type Stage } from './stage.ts';

const BINARY = 2;
const TEXT = 1;
const CLOSE = 8;

/** The end of a connection whose peer says nothing, says too little, or goes without a word. */
export function farewellSuite(stage: Stage): void {
  describe.each(OVER)(`our ${stage.role} over %s, when the peer`, (_, secure) => {
    nothingLeft();

    it(`closes, gets our end ${stage.role === 'server' ? 'at once' : 'after its own'}`, async () => {
      // RFC 6455, section 7.1.1: the server closes TCP first, the client waits for it.
      const ours = await stage.raw(secure);
      const { peer } = ours;
      await peer.send(CLOSE, formatCloseMessage(1001));
      await peer.frame();
      if (stage.role === 'server') await peer.until(() => peer.ended);
      else {
        for (let i = 0; i < 20; i++) await turn();
        expect(peer.ended).toBe(false);
      }
      peer.end();
      expect(await allGone(ours, peer.closed)).toMatchObject({ code: 1001, wasClean: true });
    });

    it('never answers our close frame, drops it after closeTimeout', async () => {
      const ours = await stage.raw(secure, { closeTimeout: 40 });
      const { conn, peer } = ours;
      const closing = conn.close(4001, 'anybody there');
      const { opcode, payload } = await peer.frame();
      expect(opcode).toBe(CLOSE);
      expect(payload.toString('latin1', 2)).toBe('anybody there');
      const info = await ended(ours);
      expect(info).toMatchObject({ code: 1006, wasClean: false });
      expect(info.error).toBeInstanceOf(TimeoutError);
      expect(await closing).toBe(info);
      await peer.until(() => peer.ended);
      peer.end();
      await allGone(ours, peer.closed);
    });

    it('has answered but keeps the socket open, drops it after closeTimeout', async () => {
      const ours = await stage.raw(secure, { closeTimeout: 40 });
      const { conn, peer } = ours;
      const closing = conn.close(4001);
      await peer.frame();
      await peer.send(CLOSE, formatCloseMessage(4002, 'as you like'));
      expect(await closing).toEqual({ code: 4002, reason: 'as you like', wasClean: true });
      await ended(ours);
      peer.end();
      await allGone(ours, peer.closed);
    });

    it('has closed and never ends, drops it after closeTimeout', async () => {
      const ours = await stage.raw(secure, { closeTimeout: 40 });
      await ours.peer.send(CLOSE, formatCloseMessage(4002));
      expect(await ended(ours)).toEqual({ code: 4002, reason: '', wasClean: true });
      ours.peer.end();
      await allGone(ours, ours.peer.closed);
      expect(ours.peer.frames.map(({ opcode }) => opcode)).toEqual([CLOSE]);
    });

    it('reads nothing, closes after closeTimeout with writes queued', async () => {
      const ours = await stage.raw(secure, { closeTimeout: 40, maxBufferedAmount: false });
      const { conn, peer } = ours;
      peer.stream.pause();
      const writes = [1, 2, 3, 4].map((i) => conn.send(pattern(16 << 20, i)));
      const closing = conn.close();
      expect(await closing).toMatchObject({ code: 1006, wasClean: false });
      const settled = await Promise.allSettled(writes);
      expect(settled.at(-1)!.status).toBe('rejected');
      peer.stream.resume();
      peer.destroy();
      await allGone(ours, peer.closed);
    });

    it('ends without a close frame, says unexpected EOF and ends as well', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      await peer.send(TEXT, 'last words');
      peer.end();
      const { data } = await conn.readMessage();
      expect(Buffer.from(data).toString()).toBe('last words');
      const error = { closeCode: CloseCode.AbnormalClosure, reason: 'unexpected EOF' };
      await expect(conn.readMessage()).rejects.toMatchObject(error);
      const info = await allGone(ours, peer.closed);
      expect(info).toMatchObject({ code: 1006, wasClean: false, error });
      expect(peer.ended).toBe(true);
      expect(peer.frames).toEqual([]);
    });

    it('ends within a frame, says unexpected EOF', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      await peer.bytes(peer.encode(BINARY, pattern(1000)).subarray(0, 700));
      peer.end();
      await expect(conn.readMessage()).rejects.toMatchObject({ reason: 'unexpected EOF' });
      expect(await allGone(ours, peer.closed)).toMatchObject({ code: 1006, wasClean: false });
    });

    it('ends instead of answering our close frame, is not clean', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      const closing = conn.close(4001);
      await peer.frame();
      peer.end();
      expect(await closing).toMatchObject({ code: 1006, wasClean: false });
      await allGone(ours, peer.closed);
    });

    it('closes and ends in one breath, gets our answer', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      await peer.send(TEXT, 'one');
      void peer.send(CLOSE, formatCloseMessage(4002, 'bye'));
      peer.end();
      const message = await conn.readMessage();
      expect(message.text()).toBe('one');
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4002 });
      const info = await allGone(ours, peer.closed);
      expect(info).toEqual({ code: 4002, reason: 'bye', wasClean: true });
      expect(peer.frames.map(({ opcode }) => opcode)).toEqual([CLOSE]);
    });

    it('ends while our writes are queued, gets every one of them before our end', async () => {
      const ours = await stage.raw(secure, { maxBufferedAmount: false });
      const { conn, peer } = ours;
      peer.stream.pause();
      const sent = [1 << 20, 8 << 20, 100, 70_000, 8 << 20].map((size, i) => pattern(size, i + 1));
      const writes = sent.map((bytes) => conn.send(bytes));
      peer.end();
      await expect(conn.readMessage()).rejects.toMatchObject({ reason: 'unexpected EOF' });
      expect(conn.bufferedAmount).toBeGreaterThan(0);
      await expect(conn.send('late')).rejects.toMatchObject({ reason: 'unexpected EOF' });
      peer.stream.resume();
      await peer.until(() => peer.ended);
      await Promise.all(writes);
      expect(peer.frames.map(({ payload }, i) => Buffer.compare(payload, sent[i]!))).toEqual(
        sent.map(() => 0),
      );
      expect(await allGone(ours, peer.closed)).toMatchObject({ code: 1006, wasClean: false });
    });

    it('closes while our writes are queued, gets every one of them before our close frame', async () => {
      const ours = await stage.raw(secure, { maxBufferedAmount: false });
      const { conn, peer } = ours;
      peer.stream.pause();
      const sent = [1 << 20, 8 << 20, 100, 70_000, 8 << 20].map((size, i) => pattern(size, i + 1));
      const writes = sent.map((bytes) => conn.send(bytes));
      await peer.send(CLOSE, formatCloseMessage(4002));
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4002 });
      peer.stream.resume();
      await peer.frame(sent.length);
      peer.end();
      await Promise.all(writes);
      const frames = peer.frames.map(({ payload }, i) =>
        Buffer.compare(payload, sent[i] ?? payload),
      );
      expect(frames).toEqual([...sent.map(() => 0), 0]);
      expect(peer.frames.at(-1)!.opcode).toBe(CLOSE);
      expect(await allGone(ours, peer.closed)).toEqual({ code: 4002, reason: '', wasClean: true });
    });

    it('goes while nobody reads, is gone for us', async () => {
      const ours = await stage.raw(secure);
      ours.peer.destroy();
      expect(await allGone(ours, ours.peer.closed)).toMatchObject({ code: 1006, wasClean: false });
      await expect(ours.conn.readMessage()).rejects.toThrow('websocket: ');
    });

    it('ends while a handler waits for a pong, lets go of it after closeTimeout', async () => {
      const ours = await stage.raw(secure, { closeTimeout: 40 });
      const { conn, peer } = ours;
      const trips: Promise<number>[] = [];
      const reading = conn.receive(async () => {
        trips.push(conn.ping());
        peer.end();
        await trips[0];
      });
      await peer.send(TEXT, 'go');
      await expect(reading).rejects.toThrow('websocket: ');
      await expect(trips[0]).rejects.toThrow('websocket: ');
      expect(await allGone(ours, peer.closed)).toMatchObject({ code: 1006, wasClean: false });
    });

    it('resets while a handler waits for a pong, lets go of it at once', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      const trips: Promise<number>[] = [];
      const reading = conn.receive(async () => {
        trips.push(conn.ping());
        peer.reset();
        await trips[0];
      });
      await peer.send(TEXT, 'go');
      await expect(reading).rejects.toBeInstanceOf(TransportError);
      await expect(trips[0]).rejects.toBeInstanceOf(TransportError);
      expect(await allGone(ours, peer.closed)).toMatchObject({ code: 1006, wasClean: false });
    });

    it('resets, tells a TransportError', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      const reading = conn.readMessage();
      peer.reset();
      await expect(reading).rejects.toBeInstanceOf(TransportError);
      const info = await allGone(ours, peer.closed);
      expect(info).toMatchObject({ code: 1006, wasClean: false });
      expect(info.error).toBeInstanceOf(TransportError);
      expect(info.error).toMatchObject({ cause: { code: 'ECONNRESET' } });
    });

    it('resets in the middle of closing, ends at once', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      const closing = conn.close();
      await peer.frame();
      peer.reset();
      expect(await closing).toMatchObject({ code: 1006, wasClean: false });
      await allGone(ours, peer.closed);
    });

    it('resets within a frame, delivers nothing of it', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      await peer.send(TEXT, 'whole');
      const message = await conn.readMessage();
      expect(message.text()).toBe('whole');
      await peer.bytes(peer.encode(BINARY, pattern(100_000)).subarray(0, 50_000));
      const reading = conn.readMessage();
      while (conn.stats.bytesIn < 50_000) await turn();
      peer.reset();
      await expect(reading).rejects.toBeInstanceOf(TransportError);
      await allGone(ours, peer.closed);
      expect(conn.stats.messagesIn).toBe(1);
    });

    it.each([
      ['ours alone', 1],
      ['several', 4],
    ])('resets in the middle of a write of 10 MiB, rejects it, %s', async (_, count) => {
      const ours = await stage.raw(secure, { maxBufferedAmount: false });
      const { conn, peer } = ours;
      // It reads a little, and no more.
      peer.stream.once('data', () => peer.stream.pause());
      const writes = Array.from({ length: count }, (_, i) => conn.send(pattern(10 << 20, i)));
      let ends = 0;
      void conn.closed.then(() => ends++);
      await new Promise((resolve) => peer.stream.once('data', resolve));
      peer.reset();
      for (const write of writes) await expect(write).rejects.toBeInstanceOf(TransportError);
      expect(await allGone(ours, peer.closed)).toMatchObject({ code: 1006, wasClean: false });
      await expect(conn.send('late')).rejects.toBeInstanceOf(TransportError);
      await turn();
      expect(ends).toBe(1);
    });

    it('breaks a rule, gets a close frame that says why and no reset', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      // RSV1, and a continuation of nothing; more follows that is never read as frames.
      void peer.bytes(Buffer.concat([Buffer.from([0xc0]), peer.encode(0, 'x').subarray(1)]));
      void peer.bytes(Buffer.alloc(200_000, 0xff));
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1002 });
      const { opcode, payload } = await peer.frame();
      expect([opcode, payload.readUInt16BE(0)]).toEqual([CloseMessage, 1002]);
      await peer.until(() => peer.ended);
      peer.end();
      expect(await allGone(ours, peer.closed)).toMatchObject({ code: 1002, wasClean: false });
    });
  });
}
