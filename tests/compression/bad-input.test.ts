// Corrupt, truncated and oversized compressed messages.
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { BinaryMessage, TextMessage } from '@ws/conn';
import * as pako from 'pako';
import { describe, expect, it } from 'vitest';
import { hex, nothingLeft, Random, rounds, toHex } from '../kit/index.ts';
import {
  BACKENDS,
  CONTINUATION,
  CountingSource,
  isSame,
  KIB,
  MIB,
  pack,
  RSV1,
  someText,
  turns,
  type Wired,
  wiredOn,
} from './support.ts';

/** Reads until the failure and returns its code and the code of the close frame. */
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

/** The message as pako inflates it, or undefined for a corrupt one. */
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
    // A block has consumed part of the tail, so the message is incomplete.
    if (rest.length < 4) return undefined;
    if (toHex(rest) === '00 00 ff ff') return Buffer.concat(parts);
  }
  return undefined;
}

describe.each(BACKENDS)('compressed input on %s', (backend) => {
  nothingLeft();

  describe('with one changed byte', () => {
    const messages: [string, Buffer][] = [
      ['fixed codes', pack('Hello, hello, hello and hello again')],
      ['codes of its own', pack(someText(new Random(5), 400, 'words'))],
      ['a stored block', pack('Hello, hello, hello', '', 0)],
      ['two blocks', Buffer.concat([pack('Hello, '), hex('00 00 ff ff'), pack('hello and hello')])],
    ];
    it.each(messages)('fails with 1007 or equals the result of pako: %s', async (_, message) => {
      const source = new CountingSource(backend);
      const whole = byPako(message)!;
      let corrupt = 0;
      for (let i = 0; i < message.length; i += rounds(4, 1)) {
        const broken = Buffer.from(message);
        broken[i]! ^= [0x01, 0x10, 0xff][i % 3]!;
        const wired = wiredOn(backend, { source });
        wired.feed(...wired.packed(BinaryMessage, broken));
        let data: Uint8Array | undefined;
        try {
          data = (await wired.conn.readMessage()).data;
        } catch (error) {
          expect(error).toMatchObject({ code: CORRUPT.code, closeCode: 1007 });
          corrupt++;
        }
        wired.transport.break();
        const other = byPako(broken);
        // The two may differ in bytes after the final block.
        if (data !== undefined && other !== undefined) expect(isSame(data, other)).toBe(true);
        // The same engine inflates the next message correctly.
        const next = wiredOn(backend, { source });
        next.feed(...next.packed(BinaryMessage, message));
        expect(isSame((await next.conn.readMessage()).data, whole)).toBe(true);
        next.transport.break();
      }
      expect(corrupt).toBeGreaterThan(0);
    });
  });

  describe('with missing bytes', () => {
    it('fails when it ends within a block', async () => {
      const text = someText(new Random(6), 600, 'words');
      const message = pack(text);
      let failed = 0;
      for (let end = 0; end < message.length; end++) {
        const wired = wiredOn(backend);
        wired.feed(...wired.packed(BinaryMessage, message.subarray(0, end)));
        try {
          const { data } = await wired.conn.readMessage();
          // A message that ends between two blocks is valid.
          expect(isSame(data, byPako(message.subarray(0, end)) ?? 'nothing')).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ closeCode: 1007 });
          failed++;
        }
        wired.transport.break();
      }
      expect(failed).toBeGreaterThan(message.length - 3);
    });

    it('fails when the appended tail looks like the end of its last block', async () => {
      // The code for the end of the block is all ones, like the last bytes of the tail.
      const counts = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377];
      const plain = Buffer.concat(counts.map((count, symbol) => Buffer.alloc(count, symbol)));
      const message = deflateRawSync(plain, { strategy: constants.Z_HUFFMAN_ONLY });
      const cutOff = message.subarray(0, -2);
      const sync = { finishFlush: constants.Z_SYNC_FLUSH };
      const ended = inflateRawSync(Buffer.concat([cutOff, hex('00 00 ff ff')]));
      expect(ended.length).toBeGreaterThan(inflateRawSync(cutOff, sync).length);
      const wired = wiredOn(backend);
      wired.feed(...wired.packed(BinaryMessage, cutOff));
      await expect(wired.conn.readMessage()).rejects.toMatchObject({ closeCode: 1007 });
    });

    it('fails or differs when any byte is missing', async () => {
      const text = someText(new Random(7), 300, 'words');
      const message = pack(text);
      let failed = 0;
      for (let i = 0; i < message.length; i++) {
        const wired = wiredOn(backend);
        const broken = Buffer.concat([message.subarray(0, i), message.subarray(i + 1)]);
        wired.feed(...wired.packed(BinaryMessage, broken));
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

    it('fails as a stream after the valid part', async () => {
      const wired = wiredOn(backend);
      const first = deflateRawSync('all right so far', { finishFlush: constants.Z_SYNC_FLUSH });
      wired.feed(
        wired.frame(TextMessage, first, { rsv: RSV1, fin: false }),
        wired.frame(CONTINUATION, hex('07')),
      );
      const reader = await wired.conn.nextReader();
      const into = new Uint8Array(100);
      // The functions of zlib inflate all of a message, or nothing.
      if (backend === 'handle') {
        const size = await reader.read(into);
        expect(Buffer.from(into.subarray(0, size)).toString()).toBe('all right so far');
      }
      await expect(reader.read(into)).rejects.toMatchObject({ code: CORRUPT.code });
      expect(await failure(wired)).toEqual(CORRUPT);
    });
  });

  describe.each([KIB, 64 * KIB, MIB])(
    'that inflates to eight times the read limit of %i bytes',
    (limit) => {
      const bomb = pack(Buffer.alloc(limit * 8), '', 9);

      it.each<[string, (wired: Wired) => Promise<unknown>]>([
        ['readMessage', ({ conn }) => conn.readMessage()],
        ['receive', ({ conn }) => conn.receive(() => expect.unreachable())],
        ['discardReads', ({ conn }) => conn.discardReads()],
        ['a reader', async ({ conn }) => (await conn.nextReader()).bytes()],
      ])('fails with 1009, read by %s', async (_, read) => {
        for (const size of [bomb.length, 700, 11]) {
          const wired = wiredOn(backend, { readLimit: limit });
          const reading = read(wired).catch((error: unknown) => error);
          for (const part of wired.packed(BinaryMessage, bomb, size)) wired.feed(part);
          expect(await reading).toMatchObject({ code: TOO_LONG.code });
          // The functions of zlib throw all of it away.
          expect(wired.source.inflated).toBe(backend === 'sync' ? 0 : limit + 1);
          expect(await failure(wired)).toEqual(TOO_LONG);
        }
      });

      it('is read at exactly the limit and fails with one more byte', async () => {
        for (const more of [0, 1]) {
          for (const parts of [1, 2]) {
            const wired = wiredOn(backend, { readLimit: limit });
            const message = pack(Buffer.alloc(limit + more));
            const size = Math.ceil(message.length / parts);
            wired.feed(...wired.packed(BinaryMessage, message, size));
            if (more === 1) expect(await failure(wired)).toEqual(TOO_LONG);
            else expect((await wired.conn.readMessage()).data.length).toBe(limit);
          }
        }
      });
    },
  );

  it('of more than twice the limit plus 64 KiB on the wire fails by its header', async () => {
    for (const [length, refused] of [
      [2 * KIB + 64 * KIB + 1, true],
      [2 * KIB + 64 * KIB, false],
    ] as const) {
      const wired = wiredOn(backend, { readLimit: KIB });
      const reading = failure(wired);
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

  it('counts all fragments against the limit on the wire', async () => {
    const wired = wiredOn(backend, { readLimit: KIB });
    // Empty stored blocks: 5 bytes each, no output.
    const nothing = Buffer.concat(Array<Uint8Array>(2000).fill(hex('00 00 00 ff ff')));
    wired.feed(wired.frame(BinaryMessage, nothing, { rsv: RSV1, fin: false }));
    for (let i = 0; i < 6; i++) wired.feed(wired.frame(CONTINUATION, nothing, { fin: false }));
    expect(await failure(wired)).toEqual(TOO_LONG);
    expect(wired.source.inflated).toBe(0);
  });

  it('obeys a limit that changes within a message', async () => {
    const plain = Buffer.from(someText(new Random(8), 300_000, 'noise'));
    const message = pack(plain);
    for (const size of [message.length, message.length >> 1]) {
      for (const by of ['whole', 'reader'] as const) {
        const wired = wiredOn(backend, { readLimit: 400_000, readAhead: MIB });
        const reading =
          by === 'whole'
            ? wired.conn.readMessage()
            : wired.conn.nextReader().then((reader) => reader.bytes());
        const caught = reading.catch((error: unknown) => error);
        const frames = Buffer.concat(wired.packed(BinaryMessage, message, size));
        const half = message.length >> 1;
        wired.feed(frames.subarray(0, half + 4));
        await turns();
        wired.conn.setReadLimit(1000);
        wired.feed(frames.subarray(half + 4));
        expect(await caught).toMatchObject({ code: TOO_LONG.code });
        expect(await failure(wired)).toEqual(TOO_LONG);
      }
    }
  });

  it('obeys a limit that is raised within a message', async () => {
    const { conn, feed, packed } = wiredOn(backend, { readLimit: 1000 });
    const whole = packed(BinaryMessage, pack(Buffer.alloc(10_000)))[0]!;
    feed(whole.subarray(0, 8));
    await turns();
    conn.setReadLimit(10_000);
    feed(whole.subarray(8));
    expect((await conn.readMessage()).data.length).toBe(10_000);
  });

  describe('with text that is not UTF-8', () => {
    const BAD = Buffer.concat([Buffer.from('all right: ä€😀 '), hex('f8'), Buffer.from('x')]);

    it('fails with 1007', async () => {
      const wired = wiredOn(backend);
      wired.feed(...wired.packed(TextMessage, pack(BAD)));
      expect(await failure(wired)).toEqual(NOT_UTF8);
    });

    it('fails at the first invalid byte, before the rest arrives', async () => {
      const wired = wiredOn(backend);
      const start = deflateRawSync(BAD, { finishFlush: constants.Z_SYNC_FLUSH });
      const rest = pack(someText(new Random(1), 5000, 'noise'));
      const frame = wired.frame(TextMessage, Buffer.concat([start, rest]), { rsv: RSV1 });
      // The functions of zlib inflate a message when it is whole.
      wired.feed(backend === 'sync' ? frame : frame.subarray(0, 8 + start.length));
      expect(await failure(wired)).toEqual(NOT_UTF8);
    });

    it('fails when the message ends within a character, not when a fragment does', async () => {
      const wired = wiredOn(backend);
      const euro = Buffer.from('€');
      const [one, two] = [euro.subarray(0, 1), euro.subarray(1)].map((part) =>
        deflateRawSync(part, { finishFlush: constants.Z_SYNC_FLUSH }),
      );
      wired.feed(
        wired.frame(TextMessage, one, { rsv: RSV1, fin: false }),
        wired.frame(CONTINUATION, Buffer.concat([two!, hex('00')])),
        ...wired.packed(TextMessage, pack(euro.subarray(0, 2))),
      );
      expect((await wired.conn.readMessage()).text()).toBe('€');
      expect(await failure(wired)).toEqual(NOT_UTF8);
    });

    it('is read as bytes', async () => {
      const wired = wiredOn(backend);
      wired.feed(...wired.packed(BinaryMessage, pack(BAD)));
      expect(isSame((await wired.conn.readMessage()).data, BAD)).toBe(true);
    });
  });

  it('is not inflated after our close frame', async () => {
    const wired = wiredOn(backend);
    void wired.conn.close(1000, '', { discard: true });
    await turns();
    wired.feed(...wired.packed(BinaryMessage, pack(Buffer.alloc(MIB))));
    wired.feed(...wired.packed(BinaryMessage, hex('07 07 07')));
    wired.feed(wired.frame(8, hex('03 e8')));
    wired.transport.feedEnd();
    expect(await wired.conn.closed).toMatchObject({ code: 1000, wasClean: true });
    expect(wired.source.used).toBe(0);
  });
});
