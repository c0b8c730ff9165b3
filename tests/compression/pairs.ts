import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type CompressionOptions, connPair } from '@ws/conn';
import { type Conn, Dialer } from '@ws/node-client';
import { type CompressionBackend, compressionBackend, configureCompression } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PerMessageDeflateOptions, WebSocket, WebSocketServer } from 'ws';
import { nothingLeft, type Random, whenOver } from '../kit/index.ts';
import {
  CountingSource,
  isSame,
  KINDS,
  MIB,
  platformOn,
  SIZES,
  seeded,
  someText,
} from './support.ts';
import { Traffic } from './traffic.ts';

/** Settings of connections with our code at both ends. The default run takes the first four. */
export const SETTINGS: readonly CompressionOptions[] = [
  {},
  { threshold: 0, level: 9, clientMaxWindowBits: 8 },
  { mode: 'takeover', threshold: 0, clientMaxWindowBits: 10 },
  { mode: 'takeover', threshold: 0, maxBytes: 40_000 },
  { threshold: 0, level: -2 },
  { threshold: 0, level: 0 },
  { mode: 'takeover' },
  { mode: 'takeover', threshold: 0, level: 6 },
  { mode: 'takeover', threshold: 0, level: 9 },
  { mode: 'takeover', threshold: 0, clientMaxWindowBits: 8, level: 6 },
  { mode: 'takeover', threshold: 0, maxBytes: false },
];

/** Options of `ws`, and ours at the other end. */
type Pair = readonly [theirs: PerMessageDeflateOptions, ours: CompressionOptions];

const BITS = [8, 9, 10, 11, 12, 13, 14, 15];

/** Pairs of settings with `ws` at the other end. The default run takes the first two. */
export const WS_PAIRS: readonly Pair[] = [
  [{}, { mode: 'takeover', threshold: 0, maxBytes: 2000 }],
  [
    { serverNoContextTakeover: true, clientNoContextTakeover: true },
    { level: -2, threshold: 0 },
  ],
  [
    { serverMaxWindowBits: 9, clientMaxWindowBits: 14 },
    { mode: 'takeover', threshold: 0, level: 2 },
  ],
  [{}, {}],
  [{}, { mode: 'takeover' }],
  [{ serverNoContextTakeover: true }, { mode: 'takeover', level: 6, threshold: 0 }],
  [{ clientNoContextTakeover: true }, { mode: 'takeover', level: -1 }],
  [{}, { mode: 'takeover', threshold: 0 }],
  [{}, { mode: 'takeover', threshold: 0, level: 9 }],
  [{}, { mode: 'takeover', threshold: 0, level: 0 }],
  ...BITS.map((bits, i): Pair => {
    // If both ends name a window, `ws` grants more than the offer. So only one end names it.
    const limits = { serverMaxWindowBits: bits, clientMaxWindowBits: BITS.at(-1 - i)! };
    const mode = i % 3 === 0 ? 'shared' : 'takeover';
    return [limits, { mode, threshold: 0, level: i + 1 }];
  }),
];

/** Random traffic in memory: each message arrives once, unchanged and in order. */
export function oursSuite(
  backend: CompressionBackend,
  settings: readonly CompressionOptions[],
  { connections = 4, steps = 100 } = {},
): void {
  describe(`compressed connections in memory on ${backend}`, () => {
    nothingLeft();

    it.each(settings.map((compression) => [JSON.stringify(compression), compression] as const))(
      'carry every size by every route with %s',
      async (name, compression) => {
        const source = new CountingSource(backend);
        const platform = platformOn(source);
        const pairs = Array.from({ length: connections }, () =>
          connPair({ platform, compression, maxBufferedAmount: false }),
        );
        expect(pairs[0]![0].extensions).toContain('permessage-deflate');
        const traffic = new Traffic(seeded(`${backend} ${name}`), pairs);
        await traffic.everySize();
        // Level 0 makes nothing smaller, so every message is sent uncompressed.
        expect(source.inflated > 100_000).toBe(compression.level !== 0);
        await traffic.run(steps);
        for (const [client] of pairs) await client.close();
      },
    );
  });
}

/** Round trips with `ws`, as the client of our server and as the server of our client. */
export function wsSuite(
  backend: CompressionBackend,
  pairs: readonly Pair[],
  { connections = 3, rounds = 12 } = {},
): void {
  describe(`compression with ws on ${backend}`, () => {
    nothingLeft();
    beforeAll(() => configureCompression({ backend }));
    afterAll(() => configureCompression({ backend: 'auto' }));

    it('uses the configured backend', () => {
      expect(compressionBackend()).toBe(backend);
    });

    describe.each(
      pairs.map(
        ([theirs, ours]) => [JSON.stringify(theirs), JSON.stringify(ours), theirs, ours] as const,
      ),
    )('with ws at %s and our end at %s', (_, __, theirs, ours) => {
      it('echoes to several clients of ws at once', async () => {
        const server = await serve({ host: '127.0.0.1', compression: ours }, (conn) =>
          conn.receive((message) => conn.send(message)),
        );
        whenOver(() => server.close());
        const clients = await Promise.all(
          Array.from({ length: connections }, async () => {
            const perMessageDeflate = { threshold: 0, ...theirs };
            const ws = new WebSocket(server.url, { perMessageDeflate });
            whenOver(() => ws.terminate());
            await once(ws, 'open');
            expect(ws.extensions).toBe('permessage-deflate');
            return ws;
          }),
        );
        const texts = batches(seeded(`server, ${backend} ${_} ${__}`), connections, rounds);
        await Promise.all(clients.map((ws, i) => echoedByUs(ws, texts[i]!)));
        for (const conn of server.connections) {
          expect(conn.extensions).toContain('permessage-deflate');
          expect(conn.stats.bytesIn).toBeLessThan(texts[0]!.flat().join('').length);
        }
      });

      it('reads the echoes of a server of ws, on several connections at once', async () => {
        const url = await echoServer({ threshold: 0, ...theirs });
        const dialer = new Dialer({ compression: ours, maxBufferedAmount: false });
        const texts = batches(seeded(`client, ${backend} ${_} ${__}`), connections, rounds);
        await Promise.all(
          texts.map(async (lot) => {
            const conn = await dialer.dial(url);
            whenOver(() => conn.terminate());
            expect(conn.extensions).toContain('permessage-deflate');
            await echoedByWs(conn, lot);
            await conn.close();
          }),
        );
      });
    });

    it.each([-2, 1])('sends ws small messages of every size at level %i', async (level) => {
      const url = await echoServer({
        serverNoContextTakeover: true,
        clientNoContextTakeover: true,
      });
      const conn = await new Dialer({ compression: { threshold: 0, level } }).dial(url);
      whenOver(() => conn.terminate());
      const random = seeded(`small, ${backend} ${level}`);
      const texts = Array.from({ length: 530 }, (_, size) =>
        someText(random, size, size % 3 === 0 ? 'same' : 'words'),
      );
      await echoedByWs(conn, [texts]);
      expect(conn.stats.bytesOut).toBeLessThan(Buffer.byteLength(texts.join('')) * 0.8);
      await conn.close();
    });

    it('carries 1 MiB to ws and back', async () => {
      const url = await echoServer({ threshold: 0 });
      const conn = await new Dialer({ compression: 'takeover' }).dial(url);
      whenOver(() => conn.terminate());
      const text = someText(seeded('1 MiB'), MIB, 'words');
      await echoedByWs(conn, [[text], [text]]);
      expect(conn.stats.bytesIn).toBeLessThan(MIB);
      await conn.close();
    });

    it.each(['shared', 'takeover'] as const)(
      'carries every size by every route between our ends over sockets, mode %s',
      async (mode) => {
        const settings = {
          compression: { mode, threshold: 0 },
          maxBufferedAmount: false,
        } as const;
        const accepted: Conn[] = [];
        const server = await serve({ ...settings, host: '127.0.0.1' }, (conn) => {
          accepted.push(conn);
        });
        whenOver(() => server.close());
        const both: [Conn, Conn][] = [];
        for (let i = 0; i < connections; i++) {
          const conn = await new Dialer(settings).dial(server.url);
          while (accepted.length <= i) await new Promise((resolve) => setImmediate(resolve));
          both.push([conn, accepted[i]!]);
        }
        const traffic = new Traffic(seeded(`sockets, ${backend} ${mode}`), both);
        await traffic.everySize();
        await traffic.run(8 * rounds);
        for (const [client] of both) await client.close();
      },
    );
  });
}

/** For each connection: rounds of a few messages. Every size occurs once, in random order. */
function batches(random: Random, connections: number, rounds: number): string[][][] {
  return Array.from({ length: connections }, () => {
    const sizes = SIZES.toSorted(() => random.below(3) - 1);
    const texts = sizes.map((size) => someText(random, size, KINDS[random.below(KINDS.length)]!));
    const all: string[][] = [];
    for (let i = 0; i < rounds; i++) {
      const short = someText(random, random.below(2000), 'words');
      all.push([...texts.splice(0, 1 + random.below(3)), short]);
    }
    all.push(texts);
    return all;
  });
}

async function echoedByUs(ws: WebSocket, rounds: readonly (readonly string[])[]): Promise<void> {
  const got: Buffer[] = [];
  ws.on('message', (data) => got.push(data as Buffer));
  for (const round of rounds) {
    for (const [i, text] of round.entries()) ws.send(i % 2 === 0 ? text : Buffer.from(text));
    while (got.length < round.length) {
      if (ws.readyState !== WebSocket.OPEN) throw new Error('ws has closed the connection');
      await new Promise((resolve) => setImmediate(resolve));
    }
    expectAll(got.splice(0), round);
  }
}

async function echoedByWs(conn: Conn, rounds: readonly (readonly string[])[]): Promise<void> {
  for (const round of rounds) {
    for (const [i, text] of round.entries()) {
      if (i % 3 !== 1) void conn.send(i % 2 === 0 ? text : Buffer.from(text));
      else {
        const writer = await conn.nextWriter(1);
        await writer.write(text);
        await writer.close();
      }
    }
    const got: Uint8Array[] = [];
    for (const _ of round) got.push((await conn.readMessage()).data);
    expectAll(got, round);
  }
}

function expectAll(got: readonly Uint8Array[], sent: readonly string[]): void {
  expect(got.map((data, i) => isSame(data, sent[i]!))).toEqual(sent.map(() => true));
}

/** Starts an echo server of `ws`. It ends with the test. */
async function echoServer(perMessageDeflate: PerMessageDeflateOptions): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
  await once(server, 'listening');
  whenOver(async () => {
    for (const ws of server.clients) ws.terminate();
    await new Promise((resolve) => server.close(resolve));
  });
  server.on('connection', (ws) => {
    ws.on('message', (data, binary) => ws.send(data, { binary }));
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
