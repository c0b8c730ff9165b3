import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { CompressionOptions } from '@ws/conn';
import { type Conn, Dialer } from '@ws/node-client';
import { compressionBackend, configureCompression } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PerMessageDeflateOptions, WebSocket, WebSocketServer } from 'ws';
import { nothingLeft, type Random, whenOver } from '../../src/peers/index.ts';
import { isSame, KINDS, MIB, SIZES, seeded, someText } from './support.ts';
import { Traffic } from './traffic.ts';

/** Options of `ws`, and ours at the other end. */
type Case = readonly [PerMessageDeflateOptions, CompressionOptions];

const BITS = [8, 9, 10, 11, 12, 13, 14, 15];

const CASES: readonly Case[] = [
  [{}, {}],
  [{}, { mode: 'takeover' }],
  [{ serverNoContextTakeover: true }, { mode: 'takeover', level: 6, threshold: 0 }],
  [{ clientNoContextTakeover: true }, { mode: 'takeover', level: -1, sendHistory: 2048 }],
  [
    { serverNoContextTakeover: true, clientNoContextTakeover: true },
    { level: -2, threshold: 0 },
  ],
  [{}, { mode: 'takeover', threshold: 0, takeoverEngines: 0, sendHistory: 512 }],
  [{}, { mode: 'takeover', threshold: 0, takeoverEngines: 1, sendHistory: 32_768, level: 9 }],
  [{}, { mode: 'takeover', threshold: 0, takeoverEngines: 2, level: 0 }],
  [{}, { mode: 'takeover', threshold: 0, asyncDeflateThreshold: 200, sendHistory: 2048 }],
  ...BITS.map((bits, i): Case => {
    // `ws` gives more than it was asked for when both ends name a window, so only one of them does.
    const limits = { serverMaxWindowBits: bits, clientMaxWindowBits: BITS.at(-1 - i)! };
    const mode = i % 3 === 0 ? 'shared' : 'takeover';
    return [limits, { mode, threshold: 0, level: i + 1, sendHistory: i % 2 === 0 ? 2048 : 0 }];
  }),
];
const CONNECTIONS = 3;
const ROUNDS = 12;

/** Round trips with `ws` at the other end, as client of our server and as server of our client. */
export function wsSuite(backend: 'handle' | 'oneshot'): void {
  beforeAll(() => configureCompression({ backend }));
  afterAll(() => configureCompression({ backend: 'auto' }));

  describe(`compression on ${backend}`, () => {
    nothingLeft();

    it('is driven as the test says', () => {
      expect(compressionBackend()).toBe(backend);
    });

    describe.each(
      CASES.map(
        ([theirs, ours]) => [JSON.stringify(theirs), JSON.stringify(ours), theirs, ours] as const,
      ),
    )('with ws at %s and us at %s', (_, __, theirs, ours) => {
      it('echoes what ws sends, several connections at a time', { timeout: 30_000 }, async () => {
        const random = seeded(`server, ${backend} ${_} ${__}`);
        const server = await serve({ host: '127.0.0.1', compression: ours }, (conn) =>
          conn.receive((message) => conn.send(message)),
        );
        whenOver(() => server.close());
        const clients = await Promise.all(
          Array.from({ length: CONNECTIONS }, async () => {
            const perMessageDeflate = { threshold: 0, ...theirs };
            const ws = new WebSocket(server.url, { perMessageDeflate });
            whenOver(() => ws.terminate());
            await once(ws, 'open');
            expect(ws.extensions).toBe('permessage-deflate');
            return ws;
          }),
        );
        const texts = batches(random, CONNECTIONS);
        await Promise.all(clients.map((ws, i) => echoedByUs(ws, texts[i]!)));
        for (const conn of server.connections) {
          expect(conn.extensions).toContain('permessage-deflate');
          expect(conn.stats.bytesIn).toBeLessThan(texts[0]!.flat().join('').length);
        }
      });

      it('gives ws back what it echoes, several connections at a time', {
        timeout: 30_000,
      }, async () => {
        const random = seeded(`client, ${backend} ${_} ${__}`);
        const url = await echoServer({ threshold: 0, ...theirs });
        const dialer = new Dialer({ compression: ours, maxBufferedAmount: false });
        const texts = batches(random, CONNECTIONS);
        await Promise.all(
          texts.map(async (lot) => {
            const { conn } = await dialer.dial(url);
            whenOver(() => conn.terminate());
            expect(conn.extensions).toContain('permessage-deflate');
            await echoedByWs(conn, lot);
            await conn.close();
          }),
        );
      });
    });

    it('carries 1 MiB to ws and back', async () => {
      const url = await echoServer({ threshold: 0 });
      const { conn } = await new Dialer({ compression: 'takeover' }).dial(url);
      whenOver(() => conn.terminate());
      const text = someText(seeded('1 MiB'), MIB, 'words');
      await echoedByWs(conn, [[text], [text]]);
      expect(conn.stats.bytesIn).toBeLessThan(MIB);
      await conn.close();
    });

    it('carries everything by every route to a client and a server of ours', {
      timeout: 30_000,
    }, async () => {
      for (const mode of ['shared', 'takeover'] as const) {
        const random = seeded(`sockets, ${backend} ${mode}`);
        const settings = {
          compression: { mode, threshold: 0, takeoverEngines: 2, sendHistory: 2048 },
          maxBufferedAmount: false,
        } as const;
        const accepted: Conn[] = [];
        const server = await serve({ ...settings, host: '127.0.0.1' }, (conn) => {
          accepted.push(conn);
        });
        whenOver(() => server.close());
        const pairs: [Conn, Conn][] = [];
        for (let i = 0; i < CONNECTIONS; i++) {
          const { conn } = await new Dialer(settings).dial(server.url);
          while (accepted.length <= i) await new Promise((resolve) => setImmediate(resolve));
          pairs.push([conn, accepted[i]!]);
        }
        const traffic = new Traffic(random, pairs);
        await traffic.everySize();
        await traffic.run(100);
        for (const [client] of pairs) await client.close();
      }
    });
  });
}

/** For each connection rounds of a few messages each: every size once, in a shuffled order, of any kind. */
function batches(random: Random, connections: number): string[][][] {
  return Array.from({ length: connections }, () => {
    const sizes = SIZES.toSorted(() => random.below(3) - 1);
    const texts = sizes.map((size) => someText(random, size, KINDS[random.below(KINDS.length)]!));
    const rounds: string[][] = [];
    for (let i = 0; i < ROUNDS; i++) {
      const short = someText(random, random.below(2000), 'words');
      rounds.push([...texts.splice(0, 1 + random.below(3)), short]);
    }
    rounds.push(texts);
    return rounds;
  });
}

async function echoedByUs(ws: WebSocket, rounds: readonly (readonly string[])[]): Promise<void> {
  const got: Buffer[] = [];
  ws.on('message', (data) => got.push(data as Buffer));
  for (const round of rounds) {
    for (const [i, text] of round.entries()) ws.send(i % 2 === 0 ? text : Buffer.from(text));
    while (got.length < round.length) {
      if (ws.readyState !== WebSocket.OPEN) throw new Error('ws was closed');
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

/** A server of `ws` that sends everything back; it ends with the test. */
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
