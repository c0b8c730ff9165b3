// What each kind of end negotiates where the handles of zlib do not work, and what a bomb costs it.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from '@ws/compat';
import { type Conn, connPair } from '@ws/conn';
import { upgrade } from '@ws/fetch';
import { serveFetch } from '@ws/fetch/node';
import { Dialer } from '@ws/node-client';
import { configureCompression, nodePlatform } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { createProxy } from '@ws/proxy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  listening,
  nothingLeft,
  type RawPeer,
  rawClient,
  rawServer,
  switchingProtocols,
  upgradeRequest,
  whenOver,
} from '../kit/index.ts';
import { MIB, pack, RSV1 } from './support.ts';

const NEITHER = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
/** 64 MiB of zeros. */
const BOMB = pack(Buffer.alloc(64 * MIB));
const HOST = '127.0.0.1';

const echo = (conn: Conn): Promise<unknown> => conn.receive((message) => conn.send(message));

/** A server of each kind, with compression. */
const SERVERS: Record<string, (readLimit: number | false) => Promise<string>> = {
  async serve(readLimit) {
    const server = await serve({ host: HOST, compression: 'takeover', readLimit }, echo);
    whenOver(() => server.close());
    return server.url;
  },
  async serveFetch(readLimit) {
    const handle = (request: Request): Promise<Response> =>
      upgrade(request, { readLimit }, (conn) => conn.receive(() => {}));
    const options = { host: HOST, port: 0, compression: 'takeover' } as const;
    const server = await serveFetch(handle, options);
    whenOver(() => server.close());
    return server.url;
  },
  async 'the server of compat'(readLimit) {
    const maxPayload = readLimit === false ? 0 : readLimit;
    const server = new WebSocketServer({
      port: 0,
      host: HOST,
      perMessageDeflate: true,
      maxPayload,
    });
    server.on('connection', (socket) => socket.on('error', () => {}));
    whenOver(() => new Promise((resolve) => server.close(resolve)));
    await once(server, 'listening');
    return `ws://${HOST}:${(server.address() as AddressInfo).port}/`;
  },
};

/** A client of each kind, with compression. */
const CLIENTS: Record<string, (url: string, readLimit: number | false) => Promise<string>> = {
  async Dialer(url, readLimit) {
    const conn = await new Dialer({ compression: 'takeover', readLimit }).dial(url);
    whenOver(() => conn.terminate());
    return conn.extensions;
  },
  async 'the client of compat'(url, readLimit) {
    const maxPayload = readLimit === false ? 0 : readLimit;
    const socket = new WebSocket(url, { perMessageDeflate: {}, maxPayload });
    whenOver(() => socket.terminate());
    await once(socket, 'open');
    return socket.extensions;
  },
  async 'a proxy in the mode messages'(url, readLimit) {
    const maxMessageSize = readLimit === false ? undefined : readLimit;
    const options = { mode: 'messages', compression: true, maxMessageSize } as const;
    const proxy = createProxy(url, { ...options, report: () => {} });
    const server = createServer();
    server.on('upgrade', (req, socket, head) => void proxy.upgrade(req, socket, head));
    const port = await listening(server);
    whenOver(() => new Promise((resolve) => server.close(resolve)));
    whenOver(() => proxy.close());
    const conn = await new Dialer().dial(`ws://${HOST}:${port}/`);
    whenOver(() => conn.terminate());
    return '';
  },
};

/** Asks a server for compression. */
async function ask(url: string, offer: string): Promise<[RawPeer, string | undefined]> {
  const peer = await rawClient(Number(new URL(url).port));
  await peer.write(upgradeRequest().replace(/\r\n$/, `Sec-WebSocket-Extensions: ${offer}\r\n\r\n`));
  return [peer, extensionsIn(await peer.head())];
}

function extensionsIn(head: string): string | undefined {
  return /^sec-websocket-extensions: (.*)$/im.exec(head)?.[1]?.trim();
}

/** A server that answers with `extensions`. */
async function answering(
  extensions?: string,
): Promise<{ url: string; offer: Promise<string | undefined> }> {
  let tell: (offer: string | undefined) => void;
  const offer = new Promise<string | undefined>((resolve) => {
    tell = resolve;
  });
  const { url } = await rawServer(false, async (peer) => {
    const head = await peer.head();
    tell(extensionsIn(head));
    const line = extensions === undefined ? '' : `Sec-WebSocket-Extensions: ${extensions}\r\n`;
    await peer.write(switchingProtocols(head, line));
  });
  return { url, offer };
}

beforeAll(() => configureCompression({ backend: 'sync' }));
afterAll(() => configureCompression({ backend: 'auto' }));

describe.each(Object.entries(SERVERS))('%s on the functions of zlib', (_, start) => {
  nothingLeft();

  it('agrees on no context takeover at either end', async () => {
    const [, answer] = await ask(await start(MIB), 'permessage-deflate; client_max_window_bits');
    expect(answer?.split('; ').toSorted()).toEqual(NEITHER.split('; ').toSorted());
  });

  it('declines without a limit', async () => {
    const [, answer] = await ask(await start(false), 'permessage-deflate');
    expect(answer).toBeUndefined();
  });

  it('closes with 1009 for 64 MiB in 64 KiB, whole and in fragments', async () => {
    const url = await start(MIB);
    for (const size of [BOMB.length, 10_000]) {
      const [peer] = await ask(url, 'permessage-deflate');
      peer.startFrames();
      const before = process.memoryUsage().rss;
      for (let at = 0; at < BOMB.length; at += size) {
        const fin = at + size >= BOMB.length;
        const rsv = at === 0 ? RSV1 : 0;
        await peer.write(peer.encode(at === 0 ? 2 : 0, BOMB.subarray(at, at + size), { fin, rsv }));
      }
      await peer.until(({ frames }) => frames.length > 0);
      expect(peer.frames[0]!.payload.readUInt16BE()).toBe(1009);
      expect(process.memoryUsage().rss - before).toBeLessThan(32 * MIB);
      peer.destroy();
    }
  });
});

describe.each(Object.entries(CLIENTS))('%s on the functions of zlib', (_, dial) => {
  nothingLeft();

  it('offers once, without context takeover, and takes a server without compression', async () => {
    const { url, offer } = await answering();
    expect(await dial(url, MIB)).toBe('');
    const names = (await offer)!.split('; ').filter((part) => part !== 'client_max_window_bits');
    expect(names.toSorted()).toEqual(NEITHER.split('; ').toSorted());
  });

  it('fails for a server that keeps its context', async () => {
    const { url } = await answering('permessage-deflate');
    await expect(dial(url, MIB)).rejects.toThrow();
  });
});

describe.each(['Dialer', 'the client of compat'])('%s on the functions of zlib', (name) => {
  nothingLeft();

  it('offers nothing without a limit', async () => {
    const { url, offer } = await answering();
    expect(await CLIENTS[name]!(url, false)).toBe('');
    expect(await offer).toBeUndefined();
  });
});

describe('connPair on the functions of zlib', () => {
  it('agrees on no context takeover, and on nothing without a limit', () => {
    const settings = { platform: nodePlatform, compression: 'takeover', report: () => {} } as const;
    for (const [more, extensions] of [
      [{}, NEITHER],
      [{ server: { readLimit: false } }, ''],
      [{ client: { readLimit: false } }, ''],
    ] as const) {
      const pair = connPair({ ...settings, ...more });
      for (const conn of pair) {
        expect(conn.extensions).toBe(extensions);
        conn.terminate();
      }
    }
  });
});
