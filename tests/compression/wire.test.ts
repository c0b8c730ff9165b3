// The examples of RFC 7692, section 7.2.3, in both directions, and RSV1 of what is sent.
import { BinaryMessage, TextMessage as TEXT } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { hex, nothingLeft, toHex } from '../kit/index.ts';
import { BACKENDS, CONTINUATION, RSV1, SHARED, TAKEOVER, turns, wiredOn } from './support.ts';

const PING = 9;
const PONG = 10;

const HELLO = hex('f2 48 cd c9 c9 07 00');
/** A reference to the Hello of an earlier message. */
const AGAIN = hex('f2 00 11 00 00');
const BOTH = [SHARED, TAKEOVER];
/** `Hello Hello Hello Hello`, compressed by either backend. */
const FOUR_HELLOS = 'f2 48 cd c9 c9 57 f0 40 27 01 00';

describe.each(BACKENDS)('compressed frames on %s', (backend) => {
  nothingLeft();

  // A string is an uncompressed message.
  it.each<[string, (typeof SHARED)[], (Uint8Array | string)[], string[]]>([
    ['in one block', [SHARED], [HELLO], ['Hello']],
    ['with a reference to the previous message', [TAKEOVER], [HELLO, AGAIN], ['Hello', 'Hello']],
    [
      'with a reference across an uncompressed message, which is not in the window',
      [TAKEOVER],
      [HELLO, 'World', AGAIN],
      ['Hello', 'World', 'Hello'],
    ],
    [
      'after a final block, with a reference to bytes before it',
      [TAKEOVER],
      [hex('f3 48 cd c9 c9 07 00 00'), AGAIN],
      ['Hello', 'Hello'],
    ],
    ...['00', '', '03 00 00'].map((bytes): [string, (typeof SHARED)[], Uint8Array[], string[]] => [
      // The first is the one byte of section 7.2.3.6, the last an empty final block.
      `empty, as the bytes '${bytes}'`,
      BOTH,
      [hex(bytes), hex(bytes), HELLO, hex(bytes)],
      ['', '', 'Hello', ''],
    ]),
  ])('are read as in RFC 7692, %s', async (_, parameters, messages, texts) => {
    for (const deflate of parameters) {
      const { conn, feed, frame, packed } = wiredOn(backend, { deflate });
      feed(
        ...messages.flatMap((message) =>
          typeof message === 'string' ? frame(TEXT, Buffer.from(message)) : packed(TEXT, message),
        ),
      );
      for (const text of texts) {
        const message = await conn.readMessage();
        expect([message.type, message.text()]).toEqual([TEXT, text]);
      }
    }
  });

  it.each([
    ['a stored block', '00 05 00 fa ff 48 65 6c 6c 6f 00'],
    ['a final block', 'f3 48 cd c9 c9 07 00 00'],
    ['two blocks', 'f2 48 05 00 00 00 ff ff ca c9 c9 07 00'],
    ['two final blocks', 'f3 48 05 00 cb c9 c9 07 00 00'],
  ])('are read as in RFC 7692, in %s, whole and in fragments', async (_, bytes) => {
    for (const deflate of BOTH) {
      const { conn, feed, frame, packed } = wiredOn(backend, { deflate });
      const payload = hex(bytes);
      feed(
        ...packed(TEXT, payload),
        frame(TEXT, payload.subarray(0, 4), { rsv: RSV1, fin: false }),
        frame(CONTINUATION, payload.subarray(4)),
        ...packed(TEXT, HELLO),
      );
      for (let i = 0; i < 3; i++) expect((await conn.readMessage()).text()).toBe('Hello');
    }
  });

  it('are read in two fragments, with a ping between them', async () => {
    const { conn, feed, frame, sent } = wiredOn(backend);
    feed(
      frame(TEXT, hex('f2 48 cd'), { rsv: RSV1, fin: false }),
      frame(PING, hex('01')),
      frame(CONTINUATION, hex('c9 c9 07 00')),
    );
    expect((await conn.readMessage()).text()).toBe('Hello');
    await turns();
    expect(sent().map(({ opcode, rsv }) => [opcode, rsv])).toEqual([[PONG, 0]]);
  });

  it('are read byte by byte, each a fragment', async () => {
    const { conn, feed, packed } = wiredOn(backend);
    for (const byte of Buffer.concat(packed(TEXT, HELLO, 1))) feed(Uint8Array.of(byte));
    expect((await conn.readMessage()).text()).toBe('Hello');
  });

  describe('are sent', () => {
    it('as in RFC 7692 when they get smaller, in one frame or in fragments', async () => {
      const { conn, sent } = wiredOn(backend, { compression: { level: 6 } });
      for (const text of ['Hello', 'Hello Hello Hello Hello']) {
        const writer = await conn.nextWriter(TEXT, { compress: true });
        await writer.write(text);
        await writer.close();
      }
      await turns();
      expect(sent().map(({ rsv, payload }) => [rsv, toHex(payload).slice(0, 14)])).toEqual([
        [0, '48 65 6c 6c 6f'],
        [RSV1, 'f2 48 cd c9 c9'],
      ]);
    });

    it('with RSV1, without the tail, with a reference to the previous message', async () => {
      const compression = { mode: 'takeover', threshold: 0, level: 6 } as const;
      const { conn, sent } = wiredOn(backend, { deflate: TAKEOVER, compression });
      const text = 'Hello Hello Hello Hello';
      for (let i = 0; i < 2; i++) await conn.send(text);
      await turns();
      const [first, second] = sent();
      expect([first!.rsv, first!.fin, second!.rsv, second!.fin]).toEqual([RSV1, true, RSV1, true]);
      expect(toHex(first!.payload)).toBe(FOUR_HELLOS);
      // The functions of zlib refer to no earlier message.
      const most = backend === 'sync' ? 0 : -4;
      expect(second!.payload.length - first!.payload.length).toBeLessThanOrEqual(most);
    });

    it('without references if there is no context takeover', async () => {
      const { conn, sent } = wiredOn(backend, { compression: { threshold: 0, level: 6 } });
      for (let i = 0; i < 2; i++) await conn.send('Hello Hello Hello Hello');
      await turns();
      expect(sent().map(({ payload }) => toHex(payload))).toEqual(Array(2).fill(FOUR_HELLOS));
    });

    it('with RSV1 only on the first fragment, not on control frames', async () => {
      const { conn, sent } = wiredOn(backend, { writeBufferSize: 1000 });
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
    });

    it('with the empty block of section 7.2.3.6 as an empty last fragment', async () => {
      const { conn, sent } = wiredOn(backend, { writeBufferSize: 1000 });
      const writer = await conn.nextWriter(BinaryMessage);
      for (let i = 0; i < 2; i++) await writer.write(Buffer.alloc(1000, 'abc'));
      await writer.close();
      const empty = await conn.nextWriter(TEXT, { compress: true });
      await empty.close();
      await turns();
      const frames = sent();
      expect(frames.at(-1)).toMatchObject({ opcode: TEXT, fin: true });
      expect(['', '00']).toContain(toHex(frames.at(-1)!.payload));
      expect(frames[0]).toMatchObject({ opcode: BinaryMessage, rsv: RSV1, fin: false });
      expect(toHex(frames[0]!.payload.subarray(-4))).toBe('00 00 ff ff');
    });
  });
});
