import { createHash } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { StandardSchema } from '@ws/conn';
import type { broadcast, Conn, ConnHandler } from '@ws/node-server';
import type { RawData, WebSocket, WebSocketServer } from 'ws';
import { jsonReply } from '../load/echo-corpus.ts';
import { roomPayloads } from '../load/room-messages.ts';
import { ASK_EVENT, ECHO_EVENT, type SessionName } from '../load/session.ts';
import type { ContenderName } from './contenders.ts';
import { corkedSend } from './cork.ts';
import { MiniEcho } from './mini.ts';
import { echoFromOneBuffer } from './one-buffer.ts';
import { engineIo, IO_OPTIONS, socketIo, swapWs } from './socket-io.ts';
import { certificate } from './tls.ts';

/** The settings of a server. */
export interface ServerPlan {
  /** Not `bun`, which has its own process. */
  readonly contender: ContenderName;
  /** Default: a free port. */
  readonly port?: number;
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** The work of the application. Default: it sends each message back. */
  readonly task?: 'text' | 'json' | BroadcastTask | undefined;
  /** Limit of a message in bytes, where our default is too small. */
  readonly limit?: number | undefined;
  readonly compression?: EchoCompression | undefined;
  readonly tls?: boolean | undefined;
  /** The protocol over the messages, in its own server over ws or compat. Default: none. */
  readonly session?: SessionName | undefined;
}

/** A client sends a number; the server then makes that number of broadcasts in one turn. */
interface BroadcastTask {
  /** Bytes of a message. */
  readonly size: number;
}

/** Every message is compressed, however small. Other options keep each library's defaults. */
export interface EchoCompression {
  readonly mode: 'shared' | 'takeover';
  readonly level: number;
}

/**
 * Starts a server. Its process loads the library of its contender, and no other: what is loaded is
 * marked by each full collection.
 *
 * @returns The port.
 */
export async function listen(plan: ServerPlan): Promise<number> {
  const { contender, tls, port = 0, host = '127.0.0.1' } = plan;
  const pem = tls === true ? await certificate() : undefined;
  if (contender in OURS) return listenOurs(plan, pem);
  if (contender === 'serveRaw') return listenServeRaw(port, host, pem);
  if (contender === 'rpc') return listenRpc(port, host);
  if (contender === 'by hand') return listenByHand(port, host);
  if (contender === 'raw1' || contender === 'mini') {
    const attach = contender === 'raw1' ? echoFromOneBuffer : echoFrames;
    const accept = (socket: Socket): void => answerFirst(socket, attach);
    const server = pem === undefined ? createServer(accept) : createTlsServer(pem, accept);
    return listening(server, port, host);
  }
  const http = pem === undefined ? createHttpServer() : createHttpsServer(pem);
  if (plan.session !== undefined) await attachSessions(http, plan.session, contender);
  else if (contender === 'bare') upgradeBare(http);
  else await attachWs(http, plan);
  return listening(http, port, host);
}

let keys = 0;
/** The functions `by` of an entry of `limits`. */
const KEYS = { 'one key': () => 'all', 'own key': () => keys++ };

// The README shows `loop`.
type Ours = 'receive' | 'loop' | keyof typeof KEYS;
const RECEIVE: Record<string, ConnHandler<unknown>> = {
  echo: (conn) => conn.receive((message) => conn.send(message)),
  text: (conn) => conn.receive((message) => conn.send(message.text())),
  json: (conn) => conn.receive((message) => conn.send(jsonReply(message.text()))),
};
const OURS: Readonly<Record<Ours, Record<string, ConnHandler<unknown>>>> = {
  receive: RECEIVE,
  'one key': RECEIVE,
  'own key': RECEIVE,
  loop: {
    echo: async (conn) => {
      for await (const message of conn) {
        await conn.send(message);
      }
    },
    text: async (conn) => {
      for await (const message of conn) {
        await conn.send(message.text());
      }
    },
    json: async (conn) => {
      for await (const message of conn) {
        await conn.send(jsonReply(message.text()));
      }
    },
  },
};

async function listenOurs(
  { contender, task, limit, compression, port = 0, host = '127.0.0.1' }: ServerPlan,
  tls: { key: string; cert: string } | undefined,
): Promise<number> {
  const { broadcast, serve } = await import('@ws/node-server');
  const handler =
    typeof task === 'object'
      ? broadcasts(broadcast, nextPayload(task))
      : OURS[contender as Ours][task ?? 'echo']!;
  const by = contender in KEYS ? KEYS[contender as keyof typeof KEYS] : undefined;
  const { url } = await serve(
    {
      port,
      host,
      compression: compression === undefined ? false : { ...compression, threshold: 0 },
      // A connection that does not read misses messages, and our server reports that.
      ...(typeof task === 'object' && { report: () => {} }),
      ...(limit !== undefined && { readLimit: limit }),
      ...(by !== undefined && { limits: [{ by, connections: 1_000_000 }] }),
      ...(tls !== undefined && { tls }),
    },
    handler,
  );
  return portOf(url);
}

/** A URL does not show the default port of its scheme. */
function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return port === '' ? (protocol === 'wss:' ? 443 : 80) : Number(port);
}

async function listenServeRaw(
  port: number,
  host: string,
  tls: { key: string; cert: string } | undefined,
): Promise<number> {
  const { serveRaw } = await import('@ws/node-server/raw');
  const options = { port, host, ...(tls !== undefined && { tls }) };
  const { url } = await serveRaw(options, (conn) => conn.receive((message) => conn.send(message)));
  return portOf(url);
}

interface Said {
  readonly text: string;
}

/** A request of JSON-RPC is answered with its input. */
async function listenRpc(port: number, host: string): Promise<number> {
  const { serve } = await import('@ws/node-server');
  const { contract, method } = await import('@ws/rpc');
  const said: StandardSchema<Said> = {
    '~standard': {
      version: 1,
      vendor: 'bench',
      validate: (value) =>
        typeof (value as Said | null)?.text === 'string'
          ? { value: { text: (value as Said).text } }
          : { issues: [{ message: 'expected a text' }] },
    },
  };
  const chat = contract({ server: { say: method(said, said) } });
  const { url } = await serve({ port, host }, chat.serve({ say: ({ text }) => ({ text }) }));
  return portOf(url);
}

async function listenByHand(port: number, host: string): Promise<number> {
  const { serve } = await import('@ws/node-server');
  const { url } = await serve({ port, host }, (conn) =>
    conn.receive((message) => {
      const { id, params } = message.json() as { id: number; params: Said };
      return conn.send(JSON.stringify({ jsonrpc: '2.0', id, result: { text: params.text } }));
    }),
  );
  return portOf(url);
}

function broadcasts(toAllOf: typeof broadcast, next: () => Buffer): ConnHandler<unknown> {
  const conns = new Set<Conn>();
  return (conn) => {
    conns.add(conn);
    return conn.receive((message) => {
      for (let left = Number(message.text()); left > 0; left--) toAllOf(conns, next());
    });
  };
}

/** The messages of a broadcast in order. Each is new memory, as an application's would be. */
function nextPayload({ size }: BroadcastTask): () => Buffer {
  const payloads = roomPayloads(size);
  let next = 0;
  return () => Buffer.from(payloads[next++ % payloads.length]!);
}

async function attachWs(
  server: ReturnType<typeof createHttpServer>,
  { contender, task, compression }: ServerPlan,
): Promise<void> {
  const corked = contender === 'ws, corked';
  // The same code runs with both.
  const { WebSocketServer: Server } =
    contender === 'compat'
      ? ((await import('@ws/compat')) as unknown as { WebSocketServer: typeof WebSocketServer })
      : await import('ws');
  const websockets = new Server({
    server,
    perMessageDeflate: compression === undefined ? false : wsCompression(compression),
  });
  const next = typeof task === 'object' ? nextPayload(task) : undefined;
  const sends = new WeakMap<WebSocket, ReturnType<typeof corkedSend>>();
  websockets.on('connection', (socket) => {
    socket.on('error', () => {});
    const plain = (data: Buffer | string, binary: boolean): void => socket.send(data, { binary });
    const send = corked ? corkedSend(socket) : plain;
    if (next !== undefined) {
      sends.set(socket, send);
      socket.on('message', (data: Buffer) => {
        for (let left = Number(data.toString()); left > 0; left--) {
          toAll(websockets, sends, next());
        }
      });
    } else {
      socket.on('message', wsHandler(task as string | undefined, send));
    }
  });
}

/** Echoes in the protocol of a package around ws. */
async function attachSessions(
  http: ReturnType<typeof createHttpServer>,
  session: SessionName,
  contender: ContenderName,
): Promise<void> {
  if (contender === 'compat') swapWs();
  if (session === 'socket.io acks') {
    const Acks = await socketIo();
    new Acks(http, { ...IO_OPTIONS, serveClient: false }).on('connection', (socket) => {
      socket.on(ASK_EVENT, ({ text }: Said, answer: (said: Said) => void) => answer({ text }));
    });
    return;
  }
  if (session === 'engine.io') {
    const server = engineIo();
    server.attach(http);
    server.on('connection', (socket) => {
      socket.on('message', (data) => socket.send(data));
    });
    return;
  }
  const Server = await socketIo();
  new Server(http, { ...IO_OPTIONS, serveClient: false }).on('connection', (socket) => {
    socket.on(ECHO_EVENT, (text: string) => socket.emit(ECHO_EVENT, text));
  });
}

/** The loop of the documentation of `ws`. */
function toAll(
  { clients }: WebSocketServer,
  sends: WeakMap<WebSocket, ReturnType<typeof corkedSend>>,
  payload: Buffer,
): void {
  for (const client of clients) {
    if (client.readyState === client.OPEN) sends.get(client)!(payload, true);
  }
}

function wsHandler(
  task: string | undefined,
  send: (data: Buffer | string, binary: boolean) => void,
): (data: RawData, isBinary: boolean) => void {
  if (task === 'text') return (data) => send((data as Buffer).toString(), false);
  if (task === 'json') return (data) => send(jsonReply((data as Buffer).toString()), false);
  return (data, isBinary) => send(data as Buffer, isBinary);
}

function wsCompression({ mode, level }: EchoCompression): object {
  const alone = mode === 'shared';
  return {
    threshold: 0,
    zlibDeflateOptions: { level },
    ...(alone && { serverNoContextTakeover: true, clientNoContextTakeover: true }),
  };
}

/** Answers a handshake without an HTTP server. */
export function answerFirst(socket: Socket, attach: (socket: Socket) => void): void {
  socket.setNoDelay(true);
  socket.on('error', () => {});
  // On loopback the request arrives in one chunk, and the load waits for the answer before it sends
  // more.
  socket.once('data', (request) => {
    socket.write(answerTo(/^sec-websocket-key: *(.*)$/im.exec(String(request))?.[1] ?? ''));
    attach(socket);
  });
}

/** Sends bytes back on the sockets of the 'upgrade' event. */
function upgradeBare(server: ReturnType<typeof createHttpServer>): void {
  server.on('upgrade', ({ headers }, socket: Socket) => {
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.write(answerTo(headers['sec-websocket-key'] ?? ''));
    echoBytes(socket);
  });
}

function echoBytes(socket: Socket): void {
  socket.on('data', (chunk) => socket.write(chunk));
}

function echoFrames(socket: Socket): void {
  const echo = new MiniEcho();
  socket.on('data', (chunk) => {
    const echoes = echo.push(chunk);
    if (echoes === undefined) return;
    socket.write(echoes);
    // Node still needs the bytes that the kernel did not take.
    if (socket.writableLength > 0) echo.keep();
  });
}

/** The server's handshake response (RFC 6455, section 4.2.2). */
function answerTo(key: string): string {
  const accept = createHash('sha1').update(`${key.trim()}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept.digest('base64')}`,
    '\r\n',
  ].join('\r\n');
}

/**
 * Listens on a port, by default on a free one of this machine.
 *
 * @returns The port.
 */
export function listening(server: Server, port = 0, host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}
