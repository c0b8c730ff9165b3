import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createTLSServer } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { type Conn, type ConnSettings, Dialer } from '@ws/node-client';
import { Upgrader } from '@ws/node-server';
import { WebSocket, WebSocketServer } from 'ws';
import { selfSigned } from '../kit/self-signed.ts';
import type { Endpoint } from './endpoint.ts';
import { Room, runOwn } from './own-endpoint.ts';
import type { Over, Pairing } from './script.ts';
import { runWs } from './ws-endpoint.ts';

/** Runs the endpoint of an open connection. */
type Play = (connection: number, play: (endpoint: Endpoint) => Promise<void>) => void;

/** No timeouts: the machine may be busy for a minute. */
const WS_NO_TIMEOUTS = { closeTimeout: 600_000, handshakeTimeout: 600_000 } as const;
const NO_TIMEOUTS = { ...WS_NO_TIMEOUTS, heartbeat: false } as const;
/** Buffers so small that writes are rejected, which is reported, and readers pause the socket. */
const TIGHT = {
  maxBufferedAmount: 20_000,
  highWaterMark: 4_000,
  readAhead: 4_000,
  report() {},
} as const;
const WS_DEFLATE = { threshold: 64 } as const;

/** One server for each library and compression. */
export class Servers {
  readonly #servers = new Map<string, NetServer>();
  readonly #play: Play;
  readonly #over: Over;

  private constructor(play: Play, over: Over) {
    this.#play = play;
    this.#over = over;
  }

  static async start(play: Play, over: Over): Promise<Servers> {
    const servers = new Servers(play, over);
    let tag = 0xff00_0000;
    for (const compression of [false, 'shared', 'takeover'] as const) {
      await servers.#startOurs({ server: 'own', compression }, tag++);
    }
    await servers.#startOurs({ server: 'own-tight', compression: false }, tag++);
    if (over !== 'http2') {
      await servers.#startWs(false);
      await servers.#startWs('takeover');
    }
    return servers;
  }

  portOf(pairing: Pairing): number {
    return (this.#servers.get(keyOf(pairing))!.address() as AddressInfo).port;
  }

  /** Stops listening. Resolves when every socket is closed. */
  async close(): Promise<void> {
    const closing = [...this.#servers.values()].map(async (server) => {
      server.close();
      await once(server, 'close');
    });
    await Promise.all(closing);
  }

  async #startOurs(pairing: Omit<Pairing, 'client'>, tag: number): Promise<void> {
    const { server, compression } = pairing;
    const tight = server === 'own-tight';
    const settings: ConnSettings = { ...(tight ? TIGHT : {}), ...compressionOf(compression) };
    const upgrader = new Upgrader({ ...NO_TIMEOUTS, ...settings });
    const room = new Room(tag);
    const handler = (conn: Conn, req: Pick<IncomingMessage, 'url'>): void => {
      this.#play(connectionOf(req), (endpoint) => runOwn(endpoint, conn, tight ? undefined : room));
    };
    if (this.#over === 'http2') {
      const settings = { enableConnectProtocol: true };
      const http2 = createSecureServer({ ...(await selfSigned()), settings });
      http2.on('session', (session) => session.on('error', () => {}));
      http2.on('sessionError', () => {});
      http2.on('stream', upgrader.streams(handler));
      return this.#listen(keyOf(pairing), http2);
    }
    const http = await this.#createServer();
    http.on('upgrade', upgrader.handler(handler));
    await this.#listen(keyOf(pairing), http);
  }

  async #startWs(compression: Pairing['compression']): Promise<void> {
    const http = await this.#createServer();
    const perMessageDeflate = compression === false ? false : WS_DEFLATE;
    const server = new WebSocketServer({ ...WS_NO_TIMEOUTS, server: http, perMessageDeflate });
    server.on('connection', (ws, req) => {
      ws.on('error', () => {});
      this.#play(connectionOf(req), (endpoint) => runWs(endpoint, ws));
    });
    await this.#listen(keyOf({ server: 'ws', compression }), http);
  }

  async #createServer(): Promise<Server> {
    const server = this.#over === 'tls' ? createTLSServer(await selfSigned()) : createServer();
    // Node answers a cut request; its socket must not wait for Node's keep-alive timeout.
    server.keepAliveTimeout = 1;
    return server;
  }

  async #listen(key: string, server: NetServer): Promise<void> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#servers.set(key, server);
  }
}

/** Connects a client and plays its part. Resolves at its end or after a failed handshake. */
export async function runClient(
  endpoint: Endpoint,
  url: string,
  { client, server, compression }: Pairing,
  over: Over,
): Promise<void> {
  // The proxy finds the number of the connection in the name of the server.
  const tls = { rejectUnauthorized: false, servername: `c${url.split('/').pop()}.chaos.test` };
  if (client === 'own') {
    const settings = server === 'own-tight' ? TIGHT : {};
    const dialer = new Dialer({
      ...NO_TIMEOUTS,
      ...settings,
      ...compressionOf(compression),
      tls,
      http2: over === 'http2' ? 'auto' : false,
    });
    let conn: Conn;
    try {
      conn = await dialer.dial(url);
    } catch {
      return;
    }
    return runOwn(endpoint, conn);
  }
  const perMessageDeflate = compression === false ? false : WS_DEFLATE;
  const ws = new WebSocket(url, { ...WS_NO_TIMEOUTS, ...tls, perMessageDeflate });
  ws.on('error', () => {});
  await new Promise<void>((resolve) => {
    // Synchronously: messages in the same chunk as the handshake are emitted before a microtask.
    let open = false;
    ws.once('open', () => {
      open = true;
      resolve(runWs(endpoint, ws));
    });
    ws.once('close', () => {
      if (!open) resolve();
    });
  });
}

function compressionOf(mode: Pairing['compression']): ConnSettings {
  return mode === false ? {} : { compression: { mode, threshold: 64 } };
}

function keyOf({ server, compression }: Pick<Pairing, 'server' | 'compression'>): string {
  // `ws` has one compression mode.
  return `${server} ${server === 'ws' ? compression !== false : compression}`;
}

function connectionOf(req: Pick<IncomingMessage, 'url'>): number {
  return Number(req.url!.slice(1));
}
