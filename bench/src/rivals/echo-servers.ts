import { createHash } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type Conn, serve } from '@ws/node-server';
import { WebSocketServer } from 'ws';

/** The compared libraries. */
export type Library = 'ours' | 'ws';

/** The settings of an echo server. */
export interface EchoServer {
  /**
   * `raw` is a TCP server that echoes bytes after an HTTP answer of a handshake. `bare` does so on
   * a socket from the 'upgrade' event of Node's http server. Neither parses frames.
   */
  readonly library: Library | 'raw' | 'bare';
  readonly compression: false | EchoCompression;
  /** How our application reads. Default: `receive`. */
  readonly way?: 'receive' | 'loop' | 'readMessage' | undefined;
  /** Whether the application decodes each message to a string and sends that. */
  readonly text?: boolean | undefined;
  /** Limit of a message in bytes, where our default is too small. */
  readonly limit?: number | undefined;
}

/** Every message is compressed, however small. Other options keep each library's defaults. */
interface EchoCompression {
  readonly mode: 'shared' | 'takeover';
  readonly level: number;
  /** Window of the client's messages. Default: that of each library. */
  readonly clientMaxWindowBits?: number;
}

/**
 * Starts the server on a free port.
 *
 * @returns The port.
 */
export function listen(echo: EchoServer): Promise<number> {
  switch (echo.library) {
    case 'ours':
      return listenOurs(echo);
    case 'ws':
      return listenWs(echo);
    case 'raw':
      return listenRaw();
    case 'bare':
      return listenBare();
  }
}

async function listenOurs({
  compression,
  way = 'receive',
  text,
  limit,
}: EchoServer): Promise<number> {
  const echo = (text ? OURS_TEXT : OURS)[way];
  const { url } = await serve(
    {
      host: '127.0.0.1',
      compression: compression === false ? false : { ...compression, threshold: 0 },
      ...(limit !== undefined && { readLimit: limit }),
    },
    (conn) => {
      // The load reports the end of a connection, so its rejection is ignored here.
      void echo(conn);
    },
  );
  return Number(new URL(url).port);
}

function receive(conn: Conn): void {
  void conn.receive((message) => conn.send(message));
}

function receiveText(conn: Conn): void {
  void conn.receive((message) => conn.send(message.text()));
}

async function loop(conn: Conn): Promise<void> {
  try {
    for await (const message of conn) await conn.send(message.data);
  } catch {}
}

async function loopText(conn: Conn): Promise<void> {
  try {
    for await (const message of conn) await conn.send(message.text());
  } catch {}
}

async function readLoop(conn: Conn): Promise<void> {
  try {
    for (;;) await conn.send((await conn.readMessage()).data);
  } catch {}
}

async function readLoopText(conn: Conn): Promise<void> {
  try {
    for (;;) await conn.send((await conn.readMessage()).text());
  } catch {}
}

const OURS = { receive, loop, readMessage: readLoop } as const;
const OURS_TEXT = { receive: receiveText, loop: loopText, readMessage: readLoopText } as const;

function listenWs({ compression, text }: EchoServer): Promise<number> {
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    perMessageDeflate: compression === false ? false : wsCompression(compression),
  });
  server.on('connection', (socket) => {
    if (text) socket.on('message', (data: Buffer) => socket.send(data.toString()));
    else socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('error', () => {});
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => resolve((server.address() as AddressInfo).port));
  });
}

function wsCompression({ mode, level, clientMaxWindowBits }: EchoCompression): object {
  const alone = mode === 'shared';
  return {
    threshold: 0,
    zlibDeflateOptions: { level },
    ...(alone && { serverNoContextTakeover: true, clientNoContextTakeover: true }),
    ...(clientMaxWindowBits !== undefined && { clientMaxWindowBits }),
  };
}

function listenRaw(): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    // On loopback the request arrives in one chunk, and the load waits for the answer before it
    // sends more.
    socket.once('data', (request) => {
      socket.write(answerTo(/^sec-websocket-key: *(.*)$/im.exec(String(request))?.[1] ?? ''));
      echoBytes(socket);
    });
  });
  return listening(server);
}

function listenBare(): Promise<number> {
  const server = createHttpServer();
  server.on('upgrade', ({ headers }, socket: Socket) => {
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.write(answerTo(headers['sec-websocket-key'] ?? ''));
    echoBytes(socket);
  });
  return listening(server);
}

function echoBytes(socket: Socket): void {
  socket.on('data', (chunk) => socket.write(chunk));
}

/** The server's handshake response (RFC 6455, section 4.2.2). */
export function answerTo(key: string): string {
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
 * Listens on a free port of this machine.
 *
 * @returns The port.
 */
export function listening(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}
