// The bytes of RFC 7692, section 7.2.3, in both directions, and its rules for RSV1.
import { BinaryMessage, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/index.ts';
import { BACKENDS, SHARED, TAKEOVER, turns, wiredOn } from './support.ts';

const RSV1 = 0x40;
const TEXT = TextMessage;
const CONTINUATION = 0;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const HELLO = hex('f2 48 cd c9 c9 07 00');

describe.each(BACKENDS)('compressed frames on %s', (backend) => {
  describe('as RFC 7692 shows them are read', () => {
    it('in one block', async () => {
      const { conn, feed, frame } = wiredOn(backend);
      feed(frame(TEXT, HELLO, { rsv: RSV1 }));
      const message = await conn.readMessage();
      expect([message.type, message.text()]).toEqual([TEXT, 'Hello']);
      conn.terminate();
    });

    it('in two fragments, with a ping between them', async () => {
      const { conn, feed, frame, sent } = wiredOn(backend);
      feed(
        frame(TEXT, hex('f2 48 cd'), { rsv: RSV1, fin: false }),
        frame(PING, hex('01')),
        frame(CONTINUATION, hex('c9 c9 07 00')),
      );
      expect((await conn.readMessage()).text()).toBe('Hello');
      await turns();
      expect(sent().map(({ opcode, rsv }) => [opcode, rsv])).toEqual([[PONG, 0]]);
      conn.terminate();
    });

    it('byte by byte, each a fragment', async () => {
      const { conn, feed, frame } = wiredOn(backend);
      for (const [i, byte] of HELLO.entries()) {
        const more = { rsv: i === 0 ? RSV1 : 0, fin: i === HELLO.length - 1 };
        for (const one of frame(i === 0 ? TEXT : CONTINUATION, Uint8Array.of(byte), more)) {
          feed(Uint8Array.of(one));
        }
      }
      expect((await conn.readMessage()).text()).toBe('Hello');
      conn.terminate();
    });

    it('with reference to the message before', async () => {
      const { conn, feed, frame } = wiredOn(backend, { deflate: TAKEOVER });
      feed(frame(TEXT, HELLO, { rsv: RSV1 }), frame(TEXT, hex('f2 00 11 00 00'), { rsv: RSV1 }));
      expect((await conn.readMessage()).text()).toBe('Hello');
      expect((await conn.readMessage()).text()).toBe('Hello');
      conn.terminate();
    });

    it('with reference past an uncompressed message, which is in no window', async () => {
      const { conn, feed, frame } = wiredOn(backend, { deflate: TAKEOVER });
      feed(
        frame(TEXT, HELLO, { rsv: RSV1 }),
        frame(TEXT, Buffer.from('World')),
        frame(TEXT, hex('f2 00 11 00 00'), { rsv: RSV1 }),
      );
      const texts = [];
      for (let i = 0; i < 3; i++) texts.push((await conn.readMessage()).text());
      expect(texts).toEqual(['Hello', 'World', 'Hello']);
      conn.terminate();
    });

    it('but fail where the reference was agreed away', async () => {
      const { conn, feed, frame, sent } = wiredOn(backend, { deflate: SHARED });
      feed(frame(TEXT, HELLO, { rsv: RSV1 }), frame(TEXT, hex('f2 00 11 00 00'), { rsv: RSV1 }));
      expect((await conn.readMessage()).text()).toBe('Hello');
      await expect(conn.readMessage()).rejects.toMatchObject({ code: 'WS_ERR_INVALID_DEFLATE' });
      await turns();
      expect(toHex(sent()[0]!.payload.subarray(0, 2))).toBe('03 ef');
      conn.terminate();
    });

    it.each([
      ['a stored block', '00 05 00 fa ff 48 65 6c 6c 6f 00'],
      ['a final block', 'f3 48 cd c9 c9 07 00 00'],
      ['two blocks', 'f2 48 05 00 00 00 ff ff ca c9 c9 07 00'],
      ['two final blocks', 'f3 48 05 00 cb c9 c9 07 00 00'],
    ])('in %s', async (_, bytes) => {
      for (const deflate of [SHARED, TAKEOVER]) {
        const { conn, feed, frame } = wiredOn(backend, { deflate });
        const payload = hex(bytes);
        feed(
          frame(TEXT, payload, { rsv: RSV1 }),
          frame(TEXT, payload.subarray(0, 4), { rsv: RSV1, fin: false }),
          frame(CONTINUATION, payload.subarray(4)),
          frame(TEXT, HELLO, { rsv: RSV1 }),
        );
        for (let i = 0; i < 3; i++) expect((await conn.readMessage()).text()).toBe('Hello');
        conn.terminate();
      }
    });

    it('behind a final block, with reference to what was before it', async () => {
      const { conn, feed, frame } = wiredOn(backend, { deflate: TAKEOVER });
      feed(
        frame(TEXT, hex('f3 48 cd c9 c9 07 00 00'), { rsv: RSV1 }),
        frame(TEXT, hex('f2 00 11 00 00'), { rsv: RSV1 }),
      );
      expect((await conn.readMessage()).text()).toBe('Hello');
      expect((await conn.readMessage()).text()).toBe('Hello');
      conn.terminate();
    });

    it.each([
      ['the one byte of 7.2.3.6', '00'],
      ['no byte at all', ''],
      ['an empty final block', '03 00 00'],
    ])('empty, as %s', async (_, bytes) => {
      for (const deflate of [SHARED, TAKEOVER]) {
        const { conn, feed, frame } = wiredOn(backend, { deflate });
        const empty = frame(TEXT, hex(bytes), { rsv: RSV1 });
        feed(empty, empty, frame(TEXT, HELLO, { rsv: RSV1 }), empty);
        const texts = [];
        for (let i = 0; i < 4; i++) texts.push((await conn.readMessage()).text());
        expect(texts).toEqual(['', '', 'Hello', '']);
        conn.terminate();
      }
    });
  });

  describe('leave', () => {
    it('as RFC 7692 shows them', async () => {
      const { conn, sent } = wiredOn(backend, { compression: { level: 6 } });
      const writer = await conn.nextWriter(TEXT, { compress: true });
      await writer.write('Hello');
      await writer.close();
      await turns();
      expect(sent()).toMatchObject([{ opcode: TEXT, rsv: RSV1, fin: true, payload: HELLO }]);
      conn.terminate();
    });

    it('with RSV1, without the tail, and with reference to the message before', async () => {
      const compression = { mode: 'takeover', threshold: 0, level: 6 } as const;
      const { conn, sent } = wiredOn(backend, { deflate: TAKEOVER, compression });
      const text = 'Hello Hello Hello Hello';
      for (let i = 0; i < 2; i++) await conn.send(text);
      await turns();
      const [first, second] = sent();
      expect([first!.rsv, first!.fin, second!.rsv, second!.fin]).toEqual([RSV1, true, RSV1, true]);
      expect(toHex(first!.payload)).toBe('f2 48 cd c9 c9 57 f0 40 27 01 00');
      expect(second!.payload.length).toBeLessThan(first!.payload.length - 3);
      conn.terminate();
    });

    it('each for itself, where that is agreed on', async () => {
      const { conn, sent } = wiredOn(backend, { compression: { threshold: 0, level: 6 } });
      for (let i = 0; i < 2; i++) await conn.send('Hello Hello Hello Hello');
      await turns();
      expect(sent().map(({ payload }) => toHex(payload))).toEqual(
        Array(2).fill('f2 48 cd c9 c9 57 f0 40 27 01 00'),
      );
      conn.terminate();
    });

    it('without RSV1 and as they are when they would not be smaller', async () => {
      const { conn, sent } = wiredOn(backend);
      await conn.send('Hello');
      await conn.send('');
      await conn.send(Uint8Array.of(1), { compress: true });
      await turns();
      expect(sent().map(({ rsv, payload }) => [rsv, payload.length])).toEqual([
        [0, 5],
        [0, 0],
        [0, 1],
      ]);
      conn.terminate();
    });

    it('with RSV1 on the first fragment only, and on no control frame', async () => {
      const { conn, sent, transport } = wiredOn(backend, { writeBufferSize: 1000 });
      const writer = await conn.nextWriter(BinaryMessage);
      await writer.write(Buffer.alloc(1500, 'abc'));
      void conn.ping('x').catch(() => {});
      await writer.write(Buffer.alloc(1500, 'abc'));
      await writer.close();
      await turns();
      expect(sent().map(({ opcode, rsv, fin }) => [opcode, rsv, fin])).toEqual([
        [BinaryMessage, RSV1, false],
        [PING, 0, true],
        [CONTINUATION, 0, false],
        [CONTINUATION, 0, true],
      ]);
      transport.break();
    });

    it('streamed, in the empty block of 7.2.3.6 when nothing is left for the last fragment', async () => {
      const { conn, sent } = wiredOn(backend, { writeBufferSize: 1000 });
      const writer = await conn.nextWriter(BinaryMessage);
      for (let i = 0; i < 2; i++) await writer.write(Buffer.alloc(1000, 'abc'));
      await writer.close();
      const empty = await conn.nextWriter(TextMessage, { compress: true });
      await empty.close();
      await turns();
      const frames = sent();
      expect(frames.at(-1)).toMatchObject({ opcode: TextMessage, fin: true });
      expect(['', '00']).toContain(toHex(frames.at(-1)!.payload));
      expect(frames[0]).toMatchObject({ opcode: BinaryMessage, rsv: RSV1, fin: false });
      expect(toHex(frames[0]!.payload.subarray(-4))).toBe('00 00 ff ff');
      conn.terminate();
    });
  });

  describe('break RFC 7692 and end the connection with 1002', () => {
    it.each<[string, number, boolean, number]>([
      ['RSV1 on a continuation', CONTINUATION, true, RSV1],
      ['RSV1 on a ping', PING, false, RSV1],
      ['RSV1 on a pong', PONG, false, RSV1],
      ['RSV1 on a close frame', CLOSE, false, RSV1],
      ['RSV1 with RSV2', TEXT, false, 0x60],
      ['RSV1 with RSV3', TEXT, false, 0x50],
      ['RSV2 alone', TEXT, false, 0x20],
    ])('by %s', async (_, opcode, within, rsv) => {
      const { conn, feed, frame, sent } = wiredOn(backend);
      if (within) feed(frame(TEXT, HELLO.subarray(0, 3), { rsv: RSV1, fin: false }));
      feed(frame(opcode, hex('00'), { rsv }));
      await expect(conn.readMessage()).rejects.toMatchObject({
        code: 'WS_ERR_PROTOCOL',
        closeCode: 1002,
      });
      await turns();
      expect(sent().map(({ opcode, payload }) => [opcode, toHex(payload.subarray(0, 2))])).toEqual([
        [CLOSE, '03 ea'],
      ]);
      conn.terminate();
    });

    it('by RSV1 where nothing was agreed on', async () => {
      const { conn, feed, frame } = wiredOn(backend, { deflate: false });
      feed(frame(TEXT, HELLO, { rsv: RSV1 }));
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1002 });
      conn.terminate();
    });
  });
});
