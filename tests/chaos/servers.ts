import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Conn, type ConnSettings, Dialer } from '@ws/node-client';
import { Upgrader } from '@ws/node-server';
import { WebSocket, WebSocketServer } from 'ws';
import { playOurs, Room } from './ours-side.ts';
import type { Pairing } from './script.ts';
import type { Side } from './side.ts';
import { playWs } from './ws-side.ts';

/** A side whose connection is open plays its part. */
type Play = (connection: number, play: (side: Side) => Promise<void>) => void;

/** Nothing may end for being slow: the machine may be busy, and a process stand still for a minute. */
const WS_PATIENT = { closeTimeout: 600_000, handshakeTimeout: 600_000 } as const;
const PATIENT = { ...WS_PATIENT, heartbeat: false } as const;
/** Buffers so small that senders are refused and readers pause the socket. */
const TIGHT = { maxBufferedAmount: 20_000, highWaterMark: 4_000, readAhead: 4_000 } as const;
const WS_DEFLATE = { threshold: 64 } as const;

/** The servers of all makes, on ports of their own. */
export class Servers {
  readonly #servers = new Map<string, Server>();
  readonly #play: Play;

  private constructor(play: Play) {
    this.#play = play;
  }

  static async start(play: Play): Promise<Servers> {
    const servers = new Servers(play);
    let tag = 0xff00_0000;
    for (const compression of [false, 'shared', 'takeover'] as const) {
      await servers.#startOurs({ server: 'ours', compression }, tag++);
    }
    await servers.#startOurs({ server: 'ours-tight', compression: false }, tag++);
    await servers.#startWs(false);
    await servers.#startWs('takeover');
    return servers;
  }

  portOf(pairing: Pairing): number {
    return (this.#servers.get(keyOf(pairing))!.address() as AddressInfo).port;
  }

  /** Stops listening; resolves when every socket of every server is closed. */
  async close(): Promise<void> {
    const closing = [...this.#servers.values()].map(async (server) => {
      server.close();
      await once(server, 'close');
    });
    await Promise.all(closing);
  }

  async #startOurs(pairing: Omit<Pairing, 'client'>, tag: number): Promise<void> {
    const { server, compression } = pairing;
    const tight = server === 'ours-tight';
    const settings: ConnSettings = { ...(tight ? TIGHT : {}), ...compressionOf(compression) };
    const upgrader = new Upgrader({ ...PATIENT, ...settings });
    const room = new Room(tag);
    const http = createServer();
    http.on(
      'upgrade',
      upgrader.handler((conn: Conn, req: IncomingMessage) => {
        this.#play(connectionOf(req), (side) => playOurs(side, conn, tight ? undefined : room));
      }),
    );
    await this.#listen(keyOf(pairing), http);
  }

  async #startWs(compression: Pairing['compression']): Promise<void> {
    const http = createServer();
    const perMessageDeflate = compression === false ? false : WS_DEFLATE;
    const server = new WebSocketServer({ ...WS_PATIENT, server: http, perMessageDeflate });
    server.on('connection', (ws, req) => {
      ws.on('error', () => {});
      this.#play(connectionOf(req), (side) => playWs(side, ws));
    });
    await this.#listen(keyOf({ server: 'ws', compression }), http);
  }

  async #listen(key: string, server: Server): Promise<void> {
    // A request that was cut answers itself; its socket must not wait for Node's own time-outs.
    server.keepAliveTimeout = 1;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#servers.set(key, server);
  }
}

/** Connects a client to `url`, and plays its part; resolves when that is over, or when the handshake failed. */
export async function playClient(
  side: Side,
  url: string,
  { client, server, compression }: Pairing,
): Promise<void> {
  if (client === 'ours') {
    const settings = server === 'ours-tight' ? TIGHT : {};
    const dialer = new Dialer({ ...PATIENT, ...settings, ...compressionOf(compression) });
    let conn: Conn;
    try {
      ({ conn } = await dialer.dial(url));
    } catch {
      return;
    }
    return playOurs(side, conn);
  }
  const perMessageDeflate = compression === false ? false : WS_DEFLATE;
  const ws = new WebSocket(url, { ...WS_PATIENT, perMessageDeflate });
  ws.on('error', () => {});
  await new Promise<void>((resolve) => {
    // At once: messages that came with the handshake are emitted before a promise's turn.
    let open = false;
    ws.once('open', () => {
      open = true;
      resolve(playWs(side, ws));
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
  // `ws` knows one way of compressing.
  return `${server} ${server === 'ws' ? compression !== false : compression}`;
}

function connectionOf(req: IncomingMessage): number {
  return Number(req.url!.slice(1));
}
