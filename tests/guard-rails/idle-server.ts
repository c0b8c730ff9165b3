// A server with idle connections, in its own process: `idle-server.ts <name of HANDLERS>|bare`.
// First it sends its port. Then it answers each message with its live objects.

import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Conn } from '@ws/conn';
import { serve } from '@ws/node-server';
import { listening } from '../kit/listening.ts';
import { ACCEPT } from '../kit/upgrade-request.ts';
import { liveObjects } from './live-objects.ts';

/** In this time the sweep of idle connections passes twice: both have a timer of this process. */
const SWEPT_MS = 200;

/** What the server of a `Handler` does with a connection. */
const HANDLERS = {
  /** Starts an echo. */
  starts: (conn: Conn): void => {
    void conn.receive((message) => conn.send(message));
  },
  /** Starts an echo and returns its promise. */
  returns: (conn: Conn): Promise<unknown> => conn.receive((message) => conn.send(message)),
  /** Echoes in a loop. */
  loops: async (conn: Conn): Promise<void> => {
    for await (const message of conn) await conn.send(message);
  },
};

export type Handler = keyof typeof HANDLERS | 'bare';

function echo(this: Socket, bytes: Buffer): void {
  this.write(bytes);
}

async function listenBare(): Promise<number> {
  const head = `HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`;
  const server = createServer().on('upgrade', (_req, socket) => {
    socket.write(head);
    socket.on('data', echo);
  });
  return listening(server);
}

async function listen(handler: Handler): Promise<number> {
  if (handler === 'bare') return listenBare();
  // On a busy machine a count takes longer than the interval of 20 s, and a ping adds its object.
  const heartbeat = { interval: 600_000, timeout: 600_000 };
  const server = await serve({ host: '127.0.0.1', heartbeat }, HANDLERS[handler]);
  return Number(new URL(server.url).port);
}

const count = async (): Promise<void> => {
  await sleep(SWEPT_MS);
  process.send!(await liveObjects());
};
process.on('message', () => void count());
process.on('disconnect', () => process.exit());
process.send!(await listen(process.argv[2] as Handler));
