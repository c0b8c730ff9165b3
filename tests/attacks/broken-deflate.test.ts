import { constants, createDeflateRaw, inflateRawSync } from 'node:zlib';
import { BinaryMessage, type Message, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import {
  BACKENDS,
  CountingSource,
  isSame,
  pack,
  SHARED,
  someText,
  TAKEOVER,
  turns,
  type Wired,
  wiredOn,
} from '../compression/support.ts';
import { hex, turn } from '../kit/index.ts';
import { nothingLeft, Random } from '../peers/index.ts';
import { claim, survives } from './harness/index.ts';
import { closeCodeIn, only, ROLES } from './target-conn.ts';

const RSV1 = 0x40;
const TAIL = hex('00 00 ff ff');

/** The broken messages use these in turn. */
const VARIANTS = [BinaryMessage, TextMessage].flatMap((type) =>
  [SHARED, TAKEOVER].flatMap((deflate) => ROLES.map((role) => ({ type, deflate, role }))),
);

/** Reads one message, or returns the close code that the target sent. */
async function messageOrCode({ conn, sent }: Wired): Promise<Message | number> {
  try {
    return await conn.readMessage();
  } catch {
    await turns(2);
    return closeCodeIn(sent());
  }
}

async function end({ conn, transport }: Wired): Promise<void> {
  transport.break();
  await conn.closed;
  await turn();
}

describe.each(BACKENDS)('compressed data on %s', (backend) => {
  nothingLeft();

  const source = new CountingSource(backend);

  it('ends the connection with 1007 if it is broken', async () => {
    const random = new Random(82);
    const noise = (size: number): Buffer =>
      Buffer.from(Array.from({ length: size }, () => random.below(256)));
    const text = pack(someText(random, 600, 'words'));
    const broken: Uint8Array[] = [
      // Block type 3, a stored block whose lengths differ, too many codes, a distance too far back.
      hex('07'),
      hex('00 05 00 05 00 61 62 63 64 65'),
      hex('05 e0 81 08 00 00 00 00 20 7f eb 0b 00'),
      hex('4b 04 02 00 00 00'),
      // Without a tail: the end is within the last block, or an announced block is missing.
      ...[1, 2, 10, 100].map((missing) => text.subarray(0, text.length - missing)),
      text.subarray(0, 5),
      ...Array.from({ length: 100 }, (_, i) => noise(5 + i * 3)),
    ];
    const attack = claim(
      'random bytes, invalid blocks and a missing tail as compressed data',
      'CVE-2026-2229',
    );
    await survives(attack, { close: 1007, warmUps: 5 }, async (watch) => {
      const closes = [];
      for (const [i, bytes] of broken.entries()) {
        const { type, deflate, role } = VARIANTS[i % VARIANTS.length]!;
        const wired = wiredOn(backend, { role, source, deflate });
        wired.feed(wired.frame(type, bytes, { rsv: RSV1 }), wired.frame(1, Buffer.from('after')));
        watch.sent(bytes.length + 20);
        const got = await messageOrCode(wired);
        closes.push(typeof got === 'number' ? got : `case ${i} was delivered`);
        // The next message is not delivered either.
        closes.push(await messageOrCode(wired));
        await end(wired);
      }
      return { close: only(closes) };
    });
  });

  it('continues after up to 8 final blocks', async () => {
    const messages = Array.from({ length: 20 }, (_, i) => {
      // Final blocks of one letter each.
      const finals = Array.from({ length: i + 1 }, () => hex('4b 04 00'));
      return Buffer.concat([...finals, hex('00')]);
    });
    const attack = claim('data after a final DEFLATE block', 'RFC 7692, 7.2.3.4');
    await survives(attack, { finals: 8, close: 1007, warmUps: 5 }, async (watch) => {
      let finals = 0;
      const closes = [];
      for (const deflate of [SHARED, TAKEOVER]) {
        for (const [i, message] of messages.entries()) {
          const wired = wiredOn(backend, { source, deflate, role: ROLES[i % 2]! });
          wired.feed(wired.frame(TextMessage, message, { rsv: RSV1 }));
          watch.sent(message.length + 6);
          const got = await messageOrCode(wired);
          if (typeof got === 'number') closes.push(got);
          else {
            expect(got.text()).toBe('a'.repeat(i + 1));
            finals = Math.max(finals, i + 1);
          }
          await end(wired);
        }
      }
      return { finals, close: only(closes) };
    });
  });

  it('is an empty message if it contains no data', async () => {
    const attack = claim('an empty compressed message', 'RFC 7692, 7.2.3.6');
    await survives(attack, { delivered: '""', warmUps: 5 }, async (watch) => {
      const delivered = [];
      for (const role of ROLES) {
        for (const payload of ['', '00', '00 00 00 ff ff 00', '02 00']) {
          for (const deflate of [SHARED, TAKEOVER]) {
            const wired = wiredOn(backend, { source, deflate, role });
            const frame = wired.frame(TextMessage, hex(payload), { rsv: RSV1 });
            wired.feed(frame, frame, wired.frame(TextMessage, pack('x'), { rsv: RSV1 }));
            watch.sent(3 * frame.length);
            for (const text of ['', '', 'x']) {
              const got = await messageOrCode(wired);
              const is = typeof got === 'number' ? got : got.text();
              if (text === '') delivered.push(JSON.stringify(is));
              else expect(is).toBe(text);
            }
            await end(wired);
          }
        }
      }
      return { delivered: only(delivered) };
    });
  });

  it('ends the connection with 1007 if it refers back without context takeover', async () => {
    const text = someText(new Random(85), 400, 'words');
    const first = pack(text);
    const second = pack(text, text);
    const attack = claim(
      'a reference to an earlier message without context takeover',
      'RFC 7692, 7.1.1',
    );
    await survives(attack, { close: 1007, warmUps: 5 }, async (watch) => {
      const closes = [];
      for (const role of ROLES) {
        const broken = wiredOn(backend, { source, role });
        const right = wiredOn(backend, { source, role, deflate: TAKEOVER });
        for (const wired of [broken, right]) {
          for (const message of [first, second]) {
            wired.feed(wired.frame(TextMessage, message, { rsv: RSV1 }));
          }
          watch.sent(first.length + second.length);
          expect((await wired.conn.readMessage()).text()).toBe(text);
        }
        closes.push(await messageOrCode(broken));
        // Only the reference is invalid.
        expect((await right.conn.readMessage()).text()).toBe(text);
        await end(broken);
        await end(right);
      }
      return { close: only(closes) };
    });
  });

  it('is read correctly or not at all if it refers beyond the window', async () => {
    const streams = await Promise.all(Array.from({ length: 60 }, (_, i) => farStream(i)));
    const attack = claim('references beyond the negotiated window', 'RFC 7692, 7.1.2');
    await survives(attack, { read: 'Right bytes or 1007', warmUps: 3 }, async (watch) => {
      let wrong = 0;
      let right = 0;
      let refused = 0;
      const wireds = streams.map((_, i) => {
        const deflate = { ...TAKEOVER, clientMaxWindowBits: 9, serverMaxWindowBits: 9 };
        return wiredOn(backend, { source, role: ROLES[i % 2]!, deflate });
      });
      const read = async (i: number, at: number): Promise<void> => {
        const wired = wireds[i]!;
        const { plain, packed } = streams[i]![at]!;
        const cut = Math.floor(packed.length / 2);
        wired.feed(
          wired.frame(BinaryMessage, packed.subarray(0, cut), { rsv: RSV1, fin: false }),
          wired.frame(0, packed.subarray(cut)),
        );
        watch.sent(packed.length);
        const got = await messageOrCode(wired);
        if (typeof got === 'number') {
          expect(got).toBe(1007);
          refused++;
        } else if (isSame(got.data, plain)) right++;
        else wrong++;
        await turn();
      };
      // One connection after the other, which may share an engine; then all connections in turn.
      const half = streams.length / 2;
      for (let i = 0; i < half; i++) {
        for (let at = 0; at < 4; at++) await read(i, at);
      }
      for (let at = 0; at < 4; at++) {
        for (let i = half; i < streams.length; i++) {
          if (wireds[i]!.conn.state === 'open') await read(i, at);
        }
      }
      for (const wired of wireds) await end(wired);
      expect(Math.min(right, refused)).toBeGreaterThan(20);
      return { read: wrong === 0 ? 'Right bytes or 1007' : `${wrong} wrong` };
    });
  });
});

/** Returns messages of a peer with a window of 15 bits, and their text by a 15-bit inflater. */
async function farStream(seed: number): Promise<{ plain: Buffer; packed: Buffer }[]> {
  const random = new Random(8600 + seed);
  const far = Buffer.from(someText(random, 100 + random.below(300), 'noise'));
  const between = (): Buffer =>
    Buffer.from(someText(random, random.below(3) === 0 ? random.below(300) : 600, 'noise'));
  const deflater = createDeflateRaw({ windowBits: 15, level: 9 });
  const chunks: Buffer[] = [];
  deflater.on('data', (chunk: Buffer) => chunks.push(chunk));
  const messages: Buffer[] = [];
  for (let i = 0; i < 4; i++) {
    deflater.write(Buffer.concat([far, between(), far, between()]));
    await new Promise<void>((resolve) => deflater.flush(constants.Z_SYNC_FLUSH, resolve));
    messages.push(Buffer.concat(chunks.splice(0)).subarray(0, -4));
  }
  deflater.close();
  let stream = Buffer.alloc(0);
  let before = 0;
  return messages.map((packed) => {
    stream = Buffer.concat([stream, packed, TAIL]);
    const all = inflateRawSync(stream, { windowBits: 15, finishFlush: constants.Z_SYNC_FLUSH });
    const plain = all.subarray(before);
    before = all.length;
    return { plain, packed };
  });
}
