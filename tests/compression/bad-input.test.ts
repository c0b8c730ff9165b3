// Compressed data that is broken, cut off, or far more than it seems.
import { constants, createDeflateRaw, deflateRawSync, inflateRawSync } from 'node:zlib';
import { BinaryMessage, TextMessage } from '@ws/conn';
import * as pako from 'pako';
import { describe, expect, it } from 'vitest';
import { hex, toHex } from '../../src/index.ts';
import { nothingLeft, Random } from '../../src/peers/index.ts';
import {
  BACKENDS,
  CountingSource,
  isSame,
  KIB,
  MIB,
  pack,
  SHARED,
  someText,
  TAKEOVER,
  turns,
  type Wired,
  wiredOn,
} from './support.ts';

const RSV1 = 0x40;
const CONTINUATION = 0;

/** How reading ended, with what the close frame said. */
async function failure(wired: Wired): Promise<{ code: unknown; close: string }> {
  let code: unknown;
  try {
    for (;;) await wired.conn.readMessage();
  } catch (error) {
    code = (error as { code?: unknown }).code;
  }
  await turns(2);
  const close = wired.sent().find(({ opcode }) => opcode === 8);
  wired.transport.break();
  await wired.conn.closed;
  return { code, close: toHex(close?.payload.subarray(0, 2) ?? new Uint8Array(0)) };
}

const CORRUPT = { code: 'WS_ERR_INVALID_DEFLATE', close: '03 ef' };
const NOT_UTF8 = { code: 'WS_ERR_INVALID_UTF8', close: '03 ef' };
const TOO_LONG = { code: 'WS_ERR_READ_LIMIT', close: '03 f1' };

/** What pako makes of a message: undefined when it is none. */
function byPako(message: Uint8Array): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let rest = Buffer.concat([message, hex('00 00 ff ff')]);
  for (let finals = 0; finals <= 8; finals++) {
    const dictionary = Buffer.concat(parts).subarray(-32_768);
    const inflate = new pako.Inflate({
      raw: true,
      ...(dictionary.length > 0 ? { dictionary } : {}),
    });
    inflate.onData = (chunk: string | Uint8Array) => parts.push(Buffer.from(chunk));
    inflate.push(rest, 2);
    const { ended, strm } = inflate as unknown as { ended: boolean; strm: { avail_in: number } };
    if (inflate.err !== 0) return undefined;
    if (!ended) return Buffer.concat(parts);
    rest = rest.subarray(rest.length - strm.avail_in);
    // The tail was needed to end a block: what is behind it is none of the message's.
    if (rest.length < 4) return undefined;
    if (toHex(rest) === '00 00 ff ff') return Buffer.concat(parts);
  }
  return undefined;
}

describe.each(BACKENDS)('compressed input on %s', (backend) => {
  nothingLeft();

  describe('with any byte flipped', () => {
    const messages: [string, Buffer][] = [
      ['fixed codes', pack('Hello, hello, hello and hello again')],
      ['codes of its own', pack(someText(new Random(5), 600, 'words'))],
      ['a stored block', pack('Hello, hello, hello', '', 0)],
      ['two blocks', Buffer.concat([pack('Hello, '), hex('00 00 ff ff'), pack('hello and hello')])],
    ];
    it.each(messages)('ends as 1007 or in what pako reads too: %s', async (_, message) => {
      const source = new CountingSource(backend);
      let corrupt = 0;
      for (let i = 0; i < message.length; i++) {
        for (const bit of [0x01, 0x10, 0xff]) {
          const broken = Buffer.from(message);
          broken[i]! ^= bit;
          const wired = wiredOn(backend, { source });
          wired.feed(wired.frame(BinaryMessage, broken, { rsv: RSV1 }));
          let data: Uint8Array | undefined;
          try {
            data = (await wired.conn.readMessage()).data;
          } catch (error) {
            expect(error).toMatchObject({ code: CORRUPT.code, closeCode: 1007 });
            corrupt++;
          }
          wired.transport.break();
          const other = byPako(broken);
          // The one or the other may be stricter about what stands behind the end.
          if (data !== undefined && other !== undefined) expect(isSame(data, other)).toBe(true);
          // The same engine serves the next connection at once.
          const next = wiredOn(backend, { source });
          next.feed(next.frame(BinaryMessage, message, { rsv: RSV1 }));
          expect(isSame((await next.conn.readMessage()).data, byPako(message)!)).toBe(true);
          next.transport.break();
        }
      }
      expect(corrupt).toBeGreaterThan(0);
    });
  });

  describe('with bytes left out', () => {
    it('fails where it ends within a block, never gives half a message', async () => {
      const text = someText(new Random(6), 600, 'words');
      const message = pack(text);
      let failed = 0;
      for (let end = 0; end < message.length; end++) {
        const wired = wiredOn(backend);
        wired.feed(wired.frame(BinaryMessage, message.subarray(0, end), { rsv: RSV1 }));
        try {
          const { data } = await wired.conn.readMessage();
          // A message that is cut off between two blocks is one all the same.
          expect(isSame(data, byPako(message.subarray(0, end)) ?? 'nothing')).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ closeCode: 1007 });
          failed++;
        }
        wired.transport.break();
      }
      expect(failed).toBeGreaterThan(message.length - 3);
    });

    it('fails where what is appended to it passes for its end', async () => {
      // Codes of all lengths: the one that ends the block is all ones, as the last bytes of what is appended.
      const counts = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377];
      const plain = Buffer.concat(counts.map((count, symbol) => Buffer.alloc(count, symbol)));
      const message = deflateRawSync(plain, { strategy: constants.Z_HUFFMAN_ONLY });
      const cutOff = message.subarray(0, -2);
      const sync = { finishFlush: constants.Z_SYNC_FLUSH };
      const ended = inflateRawSync(Buffer.concat([cutOff, hex('00 00 ff ff')]));
      expect(ended.length).toBeGreaterThan(inflateRawSync(cutOff, sync).length);
      const wired = wiredOn(backend);
      wired.feed(wired.frame(BinaryMessage, cutOff, { rsv: RSV1 }));
      await expect(wired.conn.readMessage()).rejects.toMatchObject({ closeCode: 1007 });
      wired.transport.break();
    });

    it('fails wherever a byte is missing, or is something else', async () => {
      const text = someText(new Random(7), 300, 'words');
      const message = pack(text);
      let failed = 0;
      for (let i = 0; i < message.length; i++) {
        const wired = wiredOn(backend);
        const broken = Buffer.concat([message.subarray(0, i), message.subarray(i + 1)]);
        wired.feed(wired.frame(BinaryMessage, broken, { rsv: RSV1 }));
        const got = await wired.conn.readMessage().then(
          ({ data }) => data,
          (error: { closeCode: number }) => error.closeCode,
        );
        if (got === 1007) failed++;
        else expect(isSame(got as Uint8Array, text)).toBe(false);
        wired.transport.break();
      }
      expect(failed).toBeGreaterThan(message.length / 2);
    });

    it('fails as a stream too, behind what was right', async () => {
      const wired = wiredOn(backend);
      const first = deflateRawSync('all right so far', { finishFlush: constants.Z_SYNC_FLUSH });
      wired.feed(
        wired.frame(TextMessage, first, { rsv: RSV1, fin: false }),
        wired.frame(CONTINUATION, hex('07')),
      );
      const reader = await wired.conn.nextReader();
      const into = new Uint8Array(100);
      const size = await reader.read(into);
      expect(Buffer.from(into.subarray(0, size)).toString()).toBe('all right so far');
      await expect(reader.read(into)).rejects.toMatchObject({ code: CORRUPT.code });
      expect(await failure(wired)).toEqual(CORRUPT);
    });
  });

  describe('with final blocks', () => {
    const FINAL = hex('4b 04 00');

    it.each([1, 2, 8])('takes %i of them', async (count) => {
      for (const deflate of [SHARED, TAKEOVER]) {
        const wired = wiredOn(backend, { deflate });
        const payload = Buffer.concat([...Array<Buffer>(count).fill(FINAL as Buffer), hex('00')]);
        wired.feed(wired.frame(TextMessage, payload, { rsv: RSV1 }));
        expect((await wired.conn.readMessage()).text()).toBe('a'.repeat(count));
        wired.transport.break();
      }
    });

    it.each([10, 100, 20_000])('fails with %i of them', async (count) => {
      for (const pieces of [1, 3]) {
        const wired = wiredOn(backend, { deflate: TAKEOVER });
        const payload = Buffer.concat([...Array<Buffer>(count).fill(FINAL as Buffer), hex('00')]);
        const size = Math.ceil(payload.length / pieces);
        for (let i = 0; i < pieces; i++) {
          wired.feed(
            wired.frame(
              i === 0 ? TextMessage : CONTINUATION,
              payload.subarray(i * size, (i + 1) * size),
              { rsv: i === 0 ? RSV1 : 0, fin: i === pieces - 1 },
            ),
          );
        }
        expect(await failure(wired)).toEqual(CORRUPT);
      }
    });
  });

  describe.each([KIB, 64 * KIB, MIB])('a thousand times its size, at a limit of %i', (limit) => {
    const bomb = pack(Buffer.alloc(limit * 8), '', 9);
    /** What the one-shot functions of zlib put out before they stop: a piece of theirs. */
    const slack = backend === 'handle' ? 1 : 16 * KIB;

    it.each<[string, (wired: Wired) => Promise<unknown>]>([
      ['readMessage', ({ conn }) => conn.readMessage()],
      ['receive', ({ conn }) => conn.receive(() => expect.unreachable())],
      ['discardReads', ({ conn }) => conn.discardReads()],
      ['a reader', async ({ conn }) => (await conn.nextReader()).bytes()],
    ])('ends the connection with 1009, read by %s', async (_, read) => {
      for (const size of [bomb.length, 700, 11]) {
        const wired = wiredOn(backend, { readLimit: limit });
        const reading = read(wired).catch((error: unknown) => error);
        for (let at = 0; at < bomb.length; at += size) {
          wired.feed(
            wired.frame(at === 0 ? BinaryMessage : CONTINUATION, bomb.subarray(at, at + size), {
              rsv: at === 0 ? RSV1 : 0,
              fin: at + size >= bomb.length,
            }),
          );
        }
        expect(await reading).toMatchObject({ code: TOO_LONG.code });
        expect(wired.source.inflated).toBeGreaterThanOrEqual(backend === 'handle' ? limit + 1 : 0);
        expect(wired.source.inflated).toBeLessThanOrEqual(limit + slack);
        expect(await failure(wired)).toEqual(TOO_LONG);
      }
    });

    it('is read when it is exactly as long as the limit, and fails with one byte more', async () => {
      for (const more of [0, 1]) {
        for (const split of [false, true]) {
          const wired = wiredOn(backend, { readLimit: limit });
          const message = pack(Buffer.alloc(limit + more));
          const half = split ? message.length >> 1 : 0;
          if (split) {
            wired.feed(
              wired.frame(BinaryMessage, message.subarray(0, half), { rsv: RSV1, fin: false }),
              wired.frame(CONTINUATION, message.subarray(half)),
            );
          } else wired.feed(wired.frame(BinaryMessage, message, { rsv: RSV1 }));
          if (more === 0) {
            expect((await wired.conn.readMessage()).data.length).toBe(limit);
            wired.transport.break();
          } else expect(await failure(wired)).toEqual(TOO_LONG);
        }
      }
    });
  });

  it('of more than twice the limit and 64 KiB on the wire is refused unread', async () => {
    for (const [length, refused] of [
      [2 * KIB + 64 * KIB + 1, true],
      [2 * KIB + 64 * KIB, false],
    ] as const) {
      const wired = wiredOn(backend, { readLimit: KIB });
      const reading = failure(wired);
      // The header alone.
      wired.transport.feed(
        wired.frame(BinaryMessage, new Uint8Array(length), { rsv: RSV1 }).subarray(0, 14),
      );
      await turns();
      expect(wired.sent().length).toBe(refused ? 1 : 0);
      expect(wired.source.used).toBe(0);
      wired.transport.break();
      expect(await reading).toMatchObject(refused ? TOO_LONG : { close: '' });
    }
  });

  it('of many fragments counts them all against what may be on the wire', async () => {
    const wired = wiredOn(backend, { readLimit: KIB });
    // Empty stored blocks: 5 bytes for nothing.
    const nothing = Buffer.concat(Array<Uint8Array>(2000).fill(hex('00 00 00 ff ff')));
    wired.feed(wired.frame(BinaryMessage, nothing, { rsv: RSV1, fin: false }));
    for (let i = 0; i < 6; i++) wired.feed(wired.frame(CONTINUATION, nothing, { fin: false }));
    expect(await failure(wired)).toEqual(TOO_LONG);
    expect(wired.source.inflated).toBe(0);
  });

  it('uncompressed among compressed has the plain limit, known by its header', async () => {
    const wired = wiredOn(backend, { readLimit: KIB });
    wired.transport.feed(wired.frame(BinaryMessage, new Uint8Array(KIB + 1)).subarray(0, 8));
    expect(await failure(wired)).toEqual(TOO_LONG);
  });

  it('obeys a limit that is set within a message', async () => {
    const plain = Buffer.from(someText(new Random(8), 300_000, 'noise'));
    const message = pack(plain);
    for (const split of ['frame', 'message'] as const) {
      for (const by of ['whole', 'reader'] as const) {
        const wired = wiredOn(backend, { readLimit: 400_000, readAhead: MIB });
        const reading =
          by === 'whole'
            ? wired.conn.readMessage()
            : wired.conn.nextReader().then((reader) => reader.bytes());
        const caught = reading.catch((error: unknown) => error);
        const half = message.length >> 1;
        const frames =
          split === 'frame'
            ? wired.frame(BinaryMessage, message, { rsv: RSV1 })
            : Buffer.concat([
                wired.frame(BinaryMessage, message.subarray(0, half), { rsv: RSV1, fin: false }),
                wired.frame(CONTINUATION, message.subarray(half)),
              ]);
        wired.feed(frames.subarray(0, half + 4));
        await turns();
        wired.conn.setReadLimit(1000);
        wired.feed(frames.subarray(half + 4));
        expect(await caught).toMatchObject({ code: TOO_LONG.code });
        expect(await failure(wired)).toEqual(TOO_LONG);
      }
    }
  });

  describe('with text that is not UTF-8', () => {
    const BAD = Buffer.concat([Buffer.from('all right: ä€😀 '), hex('f8'), Buffer.from('x')]);

    it('fails with 1007', async () => {
      const wired = wiredOn(backend);
      wired.feed(wired.frame(TextMessage, pack(BAD), { rsv: RSV1 }));
      expect(await failure(wired)).toEqual(NOT_UTF8);
    });

    it('fails at its first bad byte, with the rest still to come', async () => {
      const wired = wiredOn(backend);
      const start = deflateRawSync(BAD, { finishFlush: constants.Z_SYNC_FLUSH });
      const rest = pack(someText(new Random(1), 5000, 'noise'));
      const frame = wired.frame(TextMessage, Buffer.concat([start, rest]), { rsv: RSV1 });
      wired.feed(frame.subarray(0, 8 + start.length));
      expect(await failure(wired)).toEqual(NOT_UTF8);
    });

    it('fails where the message ends within a character, and only there', async () => {
      const wired = wiredOn(backend);
      const euro = Buffer.from('€');
      const [one, two] = [euro.subarray(0, 1), euro.subarray(1)].map((part) =>
        deflateRawSync(part, { finishFlush: constants.Z_SYNC_FLUSH }),
      );
      wired.feed(
        wired.frame(TextMessage, one, { rsv: RSV1, fin: false }),
        wired.frame(CONTINUATION, Buffer.concat([two!, hex('00')])),
        wired.frame(TextMessage, pack(euro.subarray(0, 2)), { rsv: RSV1 }),
      );
      expect((await wired.conn.readMessage()).text()).toBe('€');
      expect(await failure(wired)).toEqual(NOT_UTF8);
    });

    it('is read as bytes', async () => {
      const wired = wiredOn(backend);
      wired.feed(wired.frame(BinaryMessage, pack(BAD), { rsv: RSV1 }));
      expect(isSame((await wired.conn.readMessage()).data, BAD)).toBe(true);
      wired.transport.break();
    });
  });

  it('of a peer that looks back further than agreed is never read wrong', async () => {
    const text = someText(new Random(9), 5000, 'noise');
    const wired = wiredOn(backend, { deflate: { ...TAKEOVER, clientMaxWindowBits: 9 } });
    const deflater = createDeflateRaw({ windowBits: 15 });
    const chunks: Buffer[] = [];
    deflater.on('data', (chunk: Buffer) => chunks.push(chunk));
    for (let i = 0; i < 2; i++) {
      deflater.write(text);
      await new Promise<void>((resolve) => deflater.flush(constants.Z_SYNC_FLUSH, resolve));
      const message = Buffer.concat(chunks.splice(0)).subarray(0, -4);
      wired.feed(wired.frame(TextMessage, message, { rsv: RSV1 }));
    }
    deflater.close();
    expect((await wired.conn.readMessage()).text()).toBe(text);
    const second = await wired.conn.readMessage().then(
      (message) => message.text() === text,
      (error: { closeCode: number }) => error.closeCode,
    );
    expect([true, 1007]).toContain(second);
    wired.transport.break();
  });

  it('fails the connection with 1011 where zlib has no memory, and the next one works', async () => {
    const source = new CountingSource(backend);
    source.failure = new Error('no memory');
    for (let i = 0; i < 300; i++) {
      const wired = wiredOn(backend, { source });
      wired.feed(wired.frame(TextMessage, pack('Hello'), { rsv: RSV1, fin: i % 2 === 0 }));
      expect(await failure(wired)).toMatchObject({ close: '03 f3' });
    }
    source.failure = undefined;
    const wired = wiredOn(backend, { source });
    const reading = wired.conn.nextReader();
    wired.feed(
      wired.frame(TextMessage, deflateRawSync('Hello', { finishFlush: 2 }), {
        rsv: RSV1,
        fin: false,
      }),
    );
    // More than 256 that were counted and never given back would have it wait for the end.
    expect(await (await reading).read(new Uint8Array(10))).toBe(5);
    wired.transport.break();
  });

  it('after a close frame of ours is not inflated', async () => {
    const wired = wiredOn(backend);
    void wired.conn.close();
    await turns();
    wired.feed(wired.frame(BinaryMessage, pack(Buffer.alloc(MIB)), { rsv: RSV1 }));
    wired.feed(wired.frame(BinaryMessage, hex('07 07 07'), { rsv: RSV1 }));
    wired.feed(wired.frame(8, hex('03 e8')));
    wired.transport.feedEnd();
    expect(await wired.conn.closed).toMatchObject({ code: 1000, wasClean: true });
    expect(wired.source.used).toBe(0);
  });
});
