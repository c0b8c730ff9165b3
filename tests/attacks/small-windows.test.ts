// A window of 8 bits, which zlib lacks. With the next larger window, zlib must not look further
// back.
import { constants, deflateRawSync } from 'node:zlib';
import { Dialer } from '@ws/node-client';
import { describe, it } from 'vitest';
import {
  hex,
  naiveDecode,
  naiveEncode,
  pakoInflate,
  parseAnswer,
  rawClient,
  request,
  turn,
} from '../kit/index.ts';
import { nothingLeft, Random } from '../peers/index.ts';
import { atMost, claim, survives, type Watch } from './harness/index.ts';
import { HostileServer } from './hostile-server.ts';
import { type TargetServer, targetServer } from './target-server.ts';

const RSV1 = 0x40;
const TAIL = hex('00 00 ff ff');
const SERVER_BITS = 'server_max_window_bits=8';
const CLIENT_BITS = 'client_max_window_bits=8';
const COMPRESSION = { mode: 'takeover', threshold: 0, level: 9 } as const;

interface Sent {
  readonly agreed: boolean;
  readonly messages: readonly Uint8Array[];
}

/**
 * Returns texts that repeat within 256 bytes and at 300 bytes, in one message and across messages.
 */
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

/** Returns the smallest window in bytes that inflates the messages correctly. */
function windowOf(messages: readonly Uint8Array[], meant: readonly Uint8Array[]): number {
  const stream = Buffer.concat(messages.flatMap((message) => [message, TAIL]));
  for (let bits = 8; bits <= 15; bits++) {
    try {
      const plain = pakoInflate(stream, new Uint8Array(0), bits);
      if (plain.equals(Buffer.concat(meant))) return 1 << bits;
    } catch {
      // A reference exceeds this window.
    }
  }
  return Infinity;
}

const framesOf = (bytes: Uint8Array, role: 'client' | 'server'): Uint8Array[] =>
  naiveDecode(bytes, role, { allowedRsv: RSV1 }).frames.map(({ payload }) => payload);

/** Returns the messages of our server to a client that offered the window. */
async function echoed(
  target: TargetServer,
  texts: readonly Buffer[],
  watch?: Watch,
): Promise<Sent> {
  const client = await rawClient(target.port);
  const frames = texts.map((text) => naiveEncode(2, text, { mask: 0x01020304 }));
  const behind = Buffer.concat(frames);
  watch?.sent(behind.length);
  const add = [`Sec-WebSocket-Extensions: permessage-deflate; ${SERVER_BITS}`];
  await client.write(request({ add, behind }));
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

/** Returns the messages of our client to a server that answered with the window and uses it too. */
async function replied(texts: readonly Buffer[]): Promise<Sent> {
  const received: Buffer[] = [];
  const extensions = `Sec-WebSocket-Extensions: permessage-deflate; ${SERVER_BITS}; ${CLIENT_BITS}\r\n`;
  const deflated = texts.map((text) => {
    const options = { finishFlush: constants.Z_SYNC_FLUSH, windowBits: 9 };
    const payload = deflateRawSync(text, options).subarray(0, -4);
    return naiveEncode(2, payload, { rsv: RSV1 });
  });
  const answerer = new HostileServer((end, asked) => {
    end.on('data', (chunk: Buffer) => received.push(chunk));
    end.write(asked.ok(extensions));
    end.write(Buffer.concat(deflated));
  });
  const { netDial } = answerer;
  const dialer = new Dialer({ netDial, compression: COMPRESSION });
  const conn = await dialer.dial('ws://server.example.com/');
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

  it('is negotiated by both ends, and no reference exceeds it', async () => {
    const target = await targetServer({ compression: COMPRESSION });
    const texts = repeats();
    // pako, byte by byte, is not part of the attack.
    const [server, client] = [await echoed(target, texts), await replied(texts)];
    const windows = [server, client].map(({ messages }) => windowOf(messages, texts));
    const attack = claim('a negotiated window of 8 bits', 'RFC 7692, 7.1.2');
    const bound = { agreed: 'Agreed', window: atMost(256), bytes: atMost(1800) };
    await survives(attack, bound, async (watch) => {
      const both = [await echoed(target, texts, watch), await replied(texts)];
      return {
        agreed: both.every(({ agreed }) => agreed) ? 'Agreed' : 'declined',
        window: Math.max(...windows),
        // Shows that the messages do refer back.
        bytes: Math.max(...both.map(({ messages }) => Buffer.concat(messages).length)),
      };
    });
  });
});
