// A window of 8 bits, which zlib does not have: the next larger one must look no farther back than the peer remembers.
import { constants, deflateRawSync } from 'node:zlib';
import { Dialer } from '@ws/node-client';
import * as pako from 'pako';
import { describe, it } from 'vitest';
import { survives, type Watch } from '../../src/hostile/index.ts';
import {
  hex,
  naiveDecode,
  naiveEncode,
  parseAnswer,
  rawSocket,
  request,
  turn,
} from '../../src/index.ts';
import { nothingLeft, Random } from '../../src/peers/index.ts';
import { Answerer } from './answering.ts';
import { type Attacked, attacked } from './asking.ts';

const RSV1 = 0x40;
const TAIL = hex('00 00 ff ff');
const SERVER_BITS = 'server_max_window_bits=8';
const CLIENT_BITS = 'client_max_window_bits=8';
const COMPRESSION = { mode: 'takeover', threshold: 0, level: 9 } as const;

interface Sent {
  readonly agreed: boolean;
  /** Compressed. */
  readonly messages: readonly Uint8Array[];
}

/** Texts whose repeats lie just within 256 bytes, and 300 bytes apart: in one message and across messages. */
function repeats(): Buffer[] {
  const random = new Random(17);
  const noise = (size: number): Buffer =>
    Buffer.from(Array.from({ length: size }, () => 97 + random.below(26)));
  const [far, near] = [noise(300), noise(200)];
  return [
    Buffer.concat([far, far, far]),
    far,
    Buffer.concat([near, near, near]),
    near,
    Buffer.concat([far, near, far]),
  ];
}

/** The smallest window, in bytes, in which messages can be inflated, byte by byte; and whether it is what was meant. */
function windowOf(messages: readonly Uint8Array[], meant: readonly Uint8Array[]): number {
  for (let bits = 8; bits <= 15; bits++) {
    // zlib does not check distances inside of one output buffer.
    const inflate = new pako.Inflate({ raw: true, windowBits: bits, chunkSize: 1 });
    const plain: Uint8Array[] = [];
    inflate.onData = (chunk: string | Uint8Array) => void plain.push(Buffer.from(chunk));
    for (const message of messages) inflate.push(Buffer.concat([message, TAIL]), 2);
    if (inflate.err === 0 && Buffer.concat(plain).equals(Buffer.concat(meant))) return 1 << bits;
  }
  return Infinity;
}

const framesOf = (bytes: Uint8Array, role: 'client' | 'server'): Uint8Array[] =>
  naiveDecode(bytes, role, { allowedRsv: RSV1 }).frames.map(({ payload }) => payload);

/** Our server's messages to a client that offered the window, and what was agreed on. */
async function echoed(target: Attacked, texts: readonly Buffer[], watch?: Watch): Promise<Sent> {
  const client = await rawSocket(target.port);
  const frames = texts.map((text) => naiveEncode(2, text, { mask: 0x01020304 }));
  const behind = Buffer.concat(frames);
  watch?.sent(behind.length);
  const add = [`Sec-WebSocket-Extensions: permessage-deflate; ${SERVER_BITS}`];
  await client.send(request({ add, behind }));
  const head = (await client.until('\r\n\r\n')).indexOf('\r\n\r\n') + 4;
  const messages = (): Uint8Array[] => framesOf(client.received.subarray(head), 'client');
  await client.until(() => messages().length === texts.length);
  watch?.weigh();
  client.destroy();
  await client.closed;
  const { headers } = parseAnswer(client.received.toString('latin1', 0, head));
  const agreed = headers.get('sec-websocket-extensions')?.includes(SERVER_BITS) ?? false;
  return { agreed, messages: messages() };
}

/** Our client's messages to a server that answered with the window, from which it takes the same. */
async function replied(texts: readonly Buffer[]): Promise<Sent> {
  const received: Buffer[] = [];
  const extensions = `Sec-WebSocket-Extensions: permessage-deflate; ${SERVER_BITS}; ${CLIENT_BITS}\r\n`;
  const deflated = texts.map((text) => {
    const options = { finishFlush: constants.Z_SYNC_FLUSH, windowBits: 9 };
    const payload = deflateRawSync(text, options).subarray(0, -4);
    return naiveEncode(2, payload, { rsv: RSV1 });
  });
  const answerer = new Answerer((end, asked) => {
    end.on('data', (chunk: Buffer) => received.push(chunk));
    end.write(asked.ok(extensions));
    end.write(Buffer.concat(deflated));
  });
  const { netDial } = answerer;
  const dialer = new Dialer({ netDial, compression: COMPRESSION });
  const { conn } = await dialer.dial('ws://server.example.com/');
  const read: Buffer[] = [];
  for (const text of texts) {
    read.push(Buffer.from((await conn.readMessage()).data));
    await conn.send(text);
  }
  const messages = (): Uint8Array[] => framesOf(Buffer.concat(received), 'server');
  while (messages().length < texts.length) await turn();
  conn.terminate();
  await conn.closed;
  const agreed =
    conn.extensions.includes(SERVER_BITS) && Buffer.concat(read).equals(Buffer.concat(texts));
  return { agreed, messages: messages() };
}

describe('a window of 8 bits', () => {
  nothingLeft();

  it('is agreed on by both ends, and no reference goes beyond it', async () => {
    const target = await attacked({ compression: COMPRESSION });
    const texts = repeats();
    // pako, byte by byte, is no part of the attack.
    const [server, client] = [await echoed(target, texts), await replied(texts)];
    const windows = [server, client].map(({ messages }) => windowOf(messages, texts));
    await survives(17, async (watch) => {
      const both = [await echoed(target, texts, watch), await replied(texts)];
      return {
        agreed: both.every(({ agreed }) => agreed) ? 'Agreed' : 'declined',
        window: Math.max(...windows),
        // Not because nothing refers back at all.
        bytes: Math.max(...both.map(({ messages }) => Buffer.concat(messages).length)),
      };
    });
  });
});
