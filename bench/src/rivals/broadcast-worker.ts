// A server that broadcasts, in its own process. See `BroadcastAnswers`.
import type { AddressInfo } from 'node:net';
import { broadcast, type Conn, serve } from '@ws/node-server';
import { WebSocket, WebSocketServer } from 'ws';
import { answer } from '../harness/child.ts';
import { cpu } from '../harness/usage.ts';
import { makePayloads } from '../load/echo-corpus.ts';
import type { Library } from './echo-servers.ts';

/** The broadcast messages: `count` different ones of `size` bytes, repeated. */
export interface BroadcastPlan {
  readonly size: number;
  readonly count: number;
}

interface ListenRequest {
  readonly library: Library;
  readonly plan: BroadcastPlan;
}

/** The requests that the process answers. */
export type BroadcastAnswers = {
  /** Returns the port. A client that sends a number triggers that many broadcasts in one turn. */
  listen: (request: ListenRequest) => Promise<number>;
  cpu: (nothing?: undefined) => number;
};

function listen({ library, plan }: ListenRequest): Promise<number> {
  const payloads = makePayloads({ content: 'binary', ...plan });
  let next = 0;
  const nextPayload = (): Buffer => payloads[next++ % payloads.length]!;
  return library === 'ours' ? listenOurs(nextPayload) : listenWs(nextPayload);
}

async function listenOurs(nextPayload: () => Buffer): Promise<number> {
  const conns = new Set<Conn>();
  const { url } = await serve({ host: '127.0.0.1' }, (conn) => {
    conns.add(conn);
    conn
      .receive((message) => {
        for (let left = Number(message.text()); left > 0; left--) broadcast(conns, nextPayload());
      })
      .catch(() => {});
  });
  return Number(new URL(url).port);
}

function listenWs(nextPayload: () => Buffer): Promise<number> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (message: Buffer) => {
      for (let left = Number(message.toString()); left > 0; left--) {
        const payload = nextPayload();
        // The loop of the documentation of ws.
        for (const client of server.clients) {
          if (client.readyState === WebSocket.OPEN) client.send(payload);
        }
      }
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => resolve((server.address() as AddressInfo).port));
  });
}

answer({ listen, cpu } satisfies BroadcastAnswers);
