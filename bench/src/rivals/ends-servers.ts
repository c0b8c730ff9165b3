import { createServer, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '@ws/node-server';
import { serveRaw } from '@ws/node-server/raw';
import { WebSocketServer } from 'ws';
import type { ContenderName } from './contenders.ts';
import { listening, upgradeBare } from './echo-servers.ts';

/** The most ms of a graceful close. */
const CLOSE_TIMEOUT_MS = 60_000;
/** Between two looks at the connections of `ws`, in ms. */
const POLL_MS = 5;

/** An echo server that can end. */
export interface EndingServer {
  readonly port: number;
  /** The connections that are open now. */
  open(): Promise<number>;
  /** Closes every connection by a close frame of code 1001. Undefined for a bare server. */
  readonly shut: (() => Promise<unknown>) | undefined;
}

/** Starts the server of a contender on a free port of this machine. */
export async function listenEnding(contender: ContenderName): Promise<EndingServer> {
  if (contender === 'ws') return listenWs();
  if (contender === 'bare') {
    const http = createServer();
    upgradeBare(http);
    return { port: await listening(http), open: () => socketsOf(http), shut: undefined };
  }
  const options = { port: 0, host: '127.0.0.1' };
  const server =
    contender === 'serveRaw'
      ? await serveRaw(options, (conn) => conn.receive((message) => conn.send(message)))
      : contender === 'loop'
        ? await serve(options, async (conn) => {
            for await (const message of conn) await conn.send(message);
          })
        : await serve(options, (conn) => conn.receive((message) => conn.send(message)));
  return {
    port: Number(new URL(server.url).port),
    open: async () => server.stats.open,
    shut: () => server.close({ timeout: CLOSE_TIMEOUT_MS }),
  };
}

async function listenWs(): Promise<EndingServer> {
  const http = createServer();
  const websockets = new WebSocketServer({ server: http });
  websockets.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  });
  return {
    port: await listening(http),
    open: async () => websockets.clients.size,
    shut: async () => {
      websockets.close();
      for (const client of websockets.clients) client.close(1001);
      while (websockets.clients.size > 0) await sleep(POLL_MS);
    },
  };
}

function socketsOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}
