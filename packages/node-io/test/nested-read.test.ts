import type { Socket } from 'node:net';
import { Conn } from '@ws/conn';
import { NaiveDecoder, naiveEncode } from '@ws/tests';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { nodePlatform } from '../src/node-platform.ts';
import { type BufferSink, prepareReadBuffer, readInto } from '../src/read-buffer.ts';
import { socketTransport } from '../src/socket-transport.ts';
import { type Pair, tcpPair, tlsPair } from './sockets.ts';

// A write of an empty chunk makes TLS pass on at once what it has decrypted: it reads within the
// call of the sink, into the memory that the sink was lent.

beforeAll(prepareReadBuffer);

const pairs: Pair[] = [];

afterEach(async () => {
  await Promise.all(pairs.splice(0).map((pair) => pair.dispose()));
});

async function pairOver(connect: () => Promise<Pair>): Promise<Pair> {
  const pair = await connect();
  pairs.push(pair);
  return pair;
}

/** Texts of 1 KB that show their number, 16 in each TLS record. */
const TEXTS = Array.from({ length: 96 }, (_, i) => `${i} `.repeat(400).slice(0, 1000));

const FRAMES = Buffer.concat(
  TEXTS.map((text, i) => naiveEncode(1, Buffer.from(text), { mask: 0x37fa213d + i })),
);

const MESSAGE =
  'websocket: a read within a handler has overwritten the bytes of the connection; do not write to its socket';

interface Outcome {
  readonly received: string[];
  readonly error: unknown;
  readonly closeCode: number;
  /** The close code that the peer got. */
  readonly sent: number | undefined;
}

/** A server connection gets the frames, and its handler meddles with the socket at each message. */
async function meddle(pair: Pair, meddling: (socket: Socket) => void): Promise<Outcome> {
  const peer = pair.peer as Socket;
  const decoder = new NaiveDecoder('client');
  peer.on('data', (chunk: Buffer) => decoder.push(chunk));
  peer.on('end', () => peer.end());
  const conn = new Conn(socketTransport(pair.ours), { role: 'server', platform: nodePlatform });
  const received: string[] = [];
  const receiving = conn.receive((message) => {
    received.push(message.text());
    meddling(pair.ours as Socket);
  });
  peer.write(FRAMES);
  const end = naiveEncode(8, Buffer.from([0x03, 0xe8]), { mask: 1 });
  peer.write(end);
  const error = await receiving.catch((error: unknown) => error);
  pair.ours.resume();
  const { code: closeCode } = await conn.closed;
  const close = decoder.frames.find(({ opcode }) => opcode === 8);
  const sent = close && Buffer.from(close.payload).readUInt16BE(0);
  return { received, error, closeCode, sent };
}

describe('a connection whose handler reads within a read', () => {
  it('fails with 1011, and delivers no wrong bytes', async () => {
    const pair = await pairOver(tlsPair);
    const outcome = await meddle(pair, (socket) => void socket.write(''));
    expect(outcome.error).toMatchObject({ code: 'WS_ERR_TRANSPORT', message: MESSAGE });
    expect(outcome.received.length).toBeLessThan(TEXTS.length);
    expect(outcome.received).toEqual(TEXTS.slice(0, outcome.received.length));
    expect([outcome.closeCode, outcome.sent]).toEqual([1011, 1011]);
  });

  it('fails also when the handler has paused the socket', async () => {
    const pair = await pairOver(tlsPair);
    const outcome = await meddle(pair, (socket) => void socket.pause().write(''));
    expect(outcome.error).toMatchObject({ code: 'WS_ERR_TRANSPORT', message: MESSAGE });
    expect(outcome.received).toEqual(TEXTS.slice(0, outcome.received.length));
  });

  it('is not disturbed over TCP, which reads later', async () => {
    const pair = await pairOver(tcpPair);
    const outcome = await meddle(pair, (socket) => void socket.write(''));
    expect(outcome.received).toEqual(TEXTS);
    expect([outcome.closeCode, outcome.sent]).toEqual([1000, 1000]);
  });
});

describe('readInto', () => {
  it('reports bytes that were overwritten during their call, once', async () => {
    const pair = await pairOver(tlsPair);
    const calls: string[] = [];
    let depth = 0;
    const done = new Promise<void>((resolve) => {
      const sink: BufferSink = {
        data(buffer, end) {
          calls.push(`data ${++depth}`);
          if (depth === 1) pair.ours.write('');
          depth--;
          if (buffer[end - 1] === 0x2e) resolve();
        },
        overwritten: () => calls.push('overwritten'),
      };
      expect(readInto(pair.ours as Socket, sink)).toBe(true);
    });
    pair.ours.resume();
    pair.peer.write(`${'x'.repeat(65_535)}.`);
    await done;
    expect(calls).toContain('data 2');
    expect(calls.length).toBeGreaterThan(3);
    for (const [i, call] of calls.entries()) {
      if (call === 'overwritten')
        expect([calls[i - 1], calls[i + 1]]).toEqual(['data 1', 'data 2']);
    }
    expect(calls).toContain('overwritten');
  });
});
