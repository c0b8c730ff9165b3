// The walks of a connection, for our packages and for `ws`: the other end is a bare socket or a bare HTTP
// server, so that only one end is counted. Then the walks of rooms and calls, which count both ends.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { dial } from '@ws/node-client';
import { type Conn, serve } from '@ws/node-server';
import { WebSocket, WebSocketServer } from 'ws';
import { calls, joins, publishes } from './room-walks.ts';
import { settled, type Walk } from './walk.ts';

interface Row {
  readonly what: string;
  /** Most calls of ours. Lower it when they fall. */
  readonly bound: number;
  readonly ours: () => Promise<Walk>;
  /** Absent for what `ws` has not. */
  readonly ws?: () => Promise<Walk>;
}

/** A server of one of the two libraries. */
interface Server {
  readonly port: number;
  close(): Promise<unknown>;
}

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const REQUEST = `GET / HTTP/1.1\r
Host: 127.0.0.1\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Key: ${KEY}\r
Sec-WebSocket-Version: 13\r
\r
`;
const TEXT = 'hello world';
/** A masked binary message of 16 bytes, all zero. */
const MESSAGE = Buffer.concat([Buffer.from('829001020304', 'hex'), maskedZeros(16)]);

/** A masked close frame with the code 1000. */
const CLOSE = Buffer.from('88820000000003e8', 'hex');

export const WALKS: Readonly<Record<string, Row>> = {
  echo: {
    what: 'an echo of one 16-byte message, alone in its chunk',
    bound: 130,
    ours: () => echo(ours((conn) => conn.receive((message) => conn.send(message)))),
    ws: () =>
      echo(
        theirs((conn) => {
          conn.on('message', (data, isBinary) => conn.send(data, { binary: isBinary }));
        }),
      ),
  },
  'for await': {
    what: 'the same, by a loop over the connection',
    bound: 146,
    ours: () =>
      echo(
        ours(async (conn) => {
          for await (const message of conn) await conn.send(message);
        }),
      ),
  },
  send: {
    what: `send('${TEXT}') outside a handler`,
    bound: 53,
    ours: () => {
      const { conns, opened } = collect<Conn>();
      const server = ours((conn) => {
        opened(conn);
        return conn.receive(() => {});
      });
      return send(server, conns, (conn) => void conn.send(TEXT));
    },
    ws: () => {
      const { conns, opened } = collect<WebSocket>();
      return send(theirs(opened), conns, (conn) => conn.send(TEXT));
    },
  },
  upgrade: {
    what: 'an upgrade by serve, without options',
    bound: 162,
    ours: () => upgrade(ours(() => new Promise(() => {}))),
    ws: () => upgrade(theirs(() => {})),
  },
  close: {
    what: "the peer's close frame, with a receive pending, until the end of the turn",
    bound: 182,
    ours: () => answer(ours((conn) => conn.receive(() => {}))),
    ws: () => answer(theirs(() => {})),
  },
  dial: {
    what: 'a dial',
    bound: 262,
    ours: () =>
      dials(async (url) => {
        await dial(url);
      }),
    ws: () =>
      dials(async (url) => {
        await once(new WebSocket(url), 'open');
      }),
  },
  join: {
    what: "a join of a room with a history of 100, since three messages back: from the request's chunk to `live`",
    bound: 1_087,
    ours: joins,
  },
  publish: {
    what: "a client's message to itself and another member: from the request's chunk to both loops",
    bound: 735,
    ours: publishes,
  },
  call: {
    what: "a call of a contract's method, until it resolves",
    bound: 398,
    ours: calls,
  },
};

async function ours(handler: (conn: Conn) => Promise<unknown>): Promise<Server> {
  const server = await serve({ port: 0, host: '127.0.0.1' }, async (conn) => {
    await handler(conn);
  });
  return { port: Number(new URL(server.url).port), close: () => server.close({ timeout: 1 }) };
}

async function theirs(opened: (conn: WebSocket) => void): Promise<Server> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  server.on('connection', (conn) => {
    conn.on('error', () => {});
    opened(conn);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    close: async () => {
      for (const conn of server.clients) conn.terminate();
      server.close();
    },
  };
}

/** The connections of a server, to send on them later. */
function collect<T>(): { conns: T[]; opened: (conn: T) => void } {
  const conns: T[] = [];
  return { conns, opened: (conn) => void conns.push(conn) };
}

async function echo(listening: Promise<Server>): Promise<Walk> {
  const server = await listening;
  const peer = await open(server.port);
  return {
    step: () => exchange(peer, () => peer.write(MESSAGE)),
    end: () => endOf(server, [peer]),
  };
}

async function send<T>(
  listening: Promise<Server>,
  conns: readonly T[],
  sendTo: (conn: T) => void,
): Promise<Walk> {
  const server = await listening;
  const peer = await open(server.port);
  await settled();
  const conn = conns[0]!;
  return {
    step: () => exchange(peer, () => sendTo(conn)),
    end: () => endOf(server, [peer]),
  };
}

async function answer(listening: Promise<Server>): Promise<Walk> {
  const server = await listening;
  const peers: Socket[] = [];
  return {
    prepare: async () => {
      // It does not end its side: the step would count the end of the connection.
      peers.push(await open(server.port, true));
      await settled();
    },
    step: () => exchange(peers.at(-1)!, () => peers.at(-1)!.write(CLOSE)),
    end: () => endOf(server, peers),
  };
}

async function upgrade(listening: Promise<Server>): Promise<Walk> {
  const server = await listening;
  const peers: Socket[] = [];
  return {
    step: async () => {
      peers.push(await open(server.port));
      await settled();
    },
    end: () => endOf(server, peers),
  };
}

/** Dials a bare HTTP server. */
async function dials(dialOnce: (url: string) => Promise<void>): Promise<Walk> {
  const http = createServer();
  const accepted: Duplex[] = [];
  http.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    accepted.push(socket.on('error', () => {}).resume());
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
  return {
    step: async () => {
      await dialOnce(url);
      await settled();
    },
    end: async () => {
      for (const socket of accepted) socket.destroy();
      http.close();
      await settled();
    },
  };
}

/** A bare client, upgraded. */
async function open(port: number, allowHalfOpen = false): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen }).on('error', () => {});
  await once(socket, 'connect');
  await exchange(socket, () => socket.write(REQUEST));
  return socket;
}

/** Resolves when the peer has received an answer, and the server has finished its turn. */
async function exchange(peer: Socket, run: () => void): Promise<void> {
  const answer = once(peer, 'data');
  run();
  await answer;
  await settled();
}

async function endOf(server: Server, peers: readonly Socket[]): Promise<void> {
  for (const peer of peers) peer.destroy();
  await server.close();
  await settled();
}

/** Zeros, masked with 01020304. */
function maskedZeros(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => 1 + (i % 4)));
}
