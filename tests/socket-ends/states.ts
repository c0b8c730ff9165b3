import { once } from 'node:events';
import {
  createServer as createHttp,
  type Server as HttpServer,
  type RequestListener,
} from 'node:http';
import {
  createServer as createHttp2,
  createSecureServer as createSecureHttp2,
  type Http2Server,
} from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Conn } from '@ws/conn';
import { upgrade } from '@ws/fetch';
import { serveFetch } from '@ws/fetch/node';
import { refuse, type ServerStats, serve, Upgrader } from '@ws/node-server';
import { serveRaw } from '@ws/node-server/raw';
import { createProxy } from '@ws/proxy';
import { frameBytes, headerBlock, WEBSOCKET_REQUEST } from '../kit/http2-peer.ts';
import { listening } from '../kit/listening.ts';
import { reset } from '../kit/reset.ts';
import { selfSigned } from '../kit/self-signed.ts';
import { masked, request } from '../kit/upgrade-request.ts';

/** What a server under test has besides its port. */
interface Running {
  readonly port: number;
  /** Its HTTP server, whose listeners are counted. */
  readonly http: HttpServer | undefined;
  /** The connections, handshakes and handlers that it counts. */
  readonly counted: () => number;
  /** Closes everything; connections have 100 ms. Gets the local port of the client under test. */
  readonly close: (clientPort: number | undefined) => Promise<unknown>;
}

/** The request of node:http, or the head that serveRaw has read. */
interface AnyRequest {
  readonly url?: string | undefined;
  readonly target?: string | undefined;
}

/** Milliseconds after which a test gives up. Every bound of the servers is shorter. */
const PATIENCE_MS = 30_000;
const STOP = { timeout: 100 };
const NEVER = new Promise<never>(() => {});
const OPTIONS = {
  handshakeTimeout: 500,
  closeTimeout: 200,
  heartbeat: { interval: 300, timeout: 300 },
  host: '127.0.0.1',
  report: () => {},
  authenticate: (req: AnyRequest) => {
    const path = req.url ?? req.target ?? '';
    if (path.endsWith('/login')) return NEVER;
    if (path.endsWith('/body')) return refuse(new Response(new ReadableStream(), { status: 403 }));
    return !path.endsWith('/hook');
  },
} as const;

const LARGE = Buffer.alloc(8 << 20, 'x');

const page: RequestListener = (req, res) => {
  if (req.url === '/large') return void res.end(LARGE);
  if (req.url === '/events') return void res.writeHead(200).write('an event\n');
  if (req.url === '/never') return;
  res.end('a page');
};

function handler(conn: Conn, req: AnyRequest): unknown {
  const path = req.url ?? req.target ?? '';
  if (path.endsWith('/closing')) return void conn.close();
  if (path.endsWith('/large')) return conn.send(LARGE);
  return conn.receive((message) => conn.send(message));
}

/** TLS may take long on a busy machine. */
async function certified() {
  return { ...(await selfSigned()), handshakeTimeout: 8_000 };
}

function total({ open, handshakesPending, handlersPending }: ServerStats): number {
  return open + handshakesPending + handlersPending;
}

/**
 * Returns a function that closes a server of the user. It first destroys the sockets of strangers: clients
 * of other tests, which dial the port of a server that has gone. With a TLS handshake that never ends, a
 * stranger would hold the close for two minutes.
 */
function closer(server: HttpServer | Http2Server): Running['close'] {
  const sockets = new Map<Socket, number | undefined>();
  server.on('connection', (socket: Socket) => {
    sockets.set(socket, socket.remotePort);
    socket.once('close', () => sockets.delete(socket));
  });
  return (clientPort) => {
    (server as Partial<HttpServer>).closeAllConnections?.();
    for (const [socket, port] of sockets) if (port !== clientPort) socket.destroy();
    return new Promise((done) => server.close(done));
  };
}

async function ofServe(tls: boolean, http2: boolean): Promise<Running> {
  const version = http2 ? (tls ? true : 'clear') : undefined;
  const certificate = tls ? await certified() : undefined;
  const options = { ...OPTIONS, request: page, tls: certificate, http2: version } as const;
  const server = await serve(options, handler);
  return {
    port: Number(new URL(server.url).port),
    http: server.http,
    counted: () => total(server.stats),
    close: () => server.close(STOP),
  };
}

async function ofServeFetch(tls: boolean): Promise<Running> {
  const { authenticate, host, report, ...options } = OPTIONS;
  const answer = (request: Request): Response | Promise<Response> => {
    const { pathname: url } = new URL(request.url);
    const isUpgrade = request.headers.get('upgrade') === 'websocket';
    if (isUpgrade && url !== '/hook') {
      const settings = { authenticate: () => authenticate({ url }), report };
      return upgrade(request, settings, (conn) => handler(conn as Conn, { url }));
    }
    if (url === '/large') return new Response(LARGE);
    if (url === '/events') return new Response(new ReadableStream());
    return url === '/never' || url === '/hook' ? NEVER : new Response('a page');
  };
  const certificate = tls ? await certified() : undefined;
  const server = await serveFetch(answer, { ...options, host, report, tls: certificate });
  return {
    port: Number(new URL(server.url).port),
    http: server.http,
    counted: () => total(server.stats),
    close: () => server.close(STOP),
  };
}

async function ofUpgrader(tls: boolean): Promise<Running> {
  const { host: _, ...options } = OPTIONS;
  const upgrader = new Upgrader(options);
  const http = tls ? createHttps(await selfSigned(), page) : createHttp(page);
  http.on('upgrade', upgrader.handler(handler));
  const closeHttp = closer(http);
  return {
    port: await listening(http),
    http,
    counted: () => total(upgrader.stats),
    async close(clientPort) {
      await upgrader.close(STOP);
      await closeHttp(clientPort);
    },
  };
}

async function ofUpgraderStreams(tls: boolean): Promise<Running> {
  const { host: _, ...options } = OPTIONS;
  const upgrader = new Upgrader(options);
  const settings = { settings: { enableConnectProtocol: true } };
  const http = tls
    ? createSecureHttp2({ ...(await selfSigned()), ...settings })
    : createHttp2(settings);
  const closeHttp = closer(http);
  http.on('stream', upgrader.streams(handler));
  http.on('request', page as never);
  const sessions = new Set<{ destroy(): void }>();
  http.on('session', (session) => sessions.add(session));
  return {
    port: await listening(http),
    http: undefined,
    counted: () => total(upgrader.stats),
    async close(clientPort) {
      await upgrader.close(STOP);
      for (const session of sessions) session.destroy();
      await closeHttp(clientPort);
    },
  };
}

async function ofServeRaw(tls: boolean): Promise<Running> {
  const fallback = createHttp(page);
  const certificate = tls ? await certified() : undefined;
  const server = await serveRaw({ ...OPTIONS, tls: certificate, fallback }, handler);
  return {
    port: Number(new URL(server.url).port),
    http: fallback,
    counted: () => total(server.stats),
    async close() {
      fallback.closeAllConnections();
      await server.close(STOP);
    },
  };
}

async function ofProxy(tls: boolean): Promise<Running> {
  const target = await serve({ ...OPTIONS, port: 0 }, handler);
  const proxy = createProxy(target.url, {
    handshakeTimeout: 500,
    idleTimeout: 1_000,
    report: () => {},
  });
  const http = tls ? createHttps(await selfSigned(), page) : createHttp(page);
  http.on('upgrade', proxy.handler);
  const closeHttp = closer(http);
  return {
    port: await listening(http),
    http,
    counted: () => proxy.proxied.size,
    async close(clientPort) {
      await proxy.close(STOP);
      await closeHttp(clientPort);
      await target.close(STOP);
    },
  };
}

/** A kind of server, and the version of HTTP that its clients speak. */
interface Kind {
  readonly http2: boolean;
  readonly secure: boolean;
  readonly start: () => Promise<Running>;
}

function overTcpAndTls(name: string, start: (tls: boolean) => Promise<Running>, http2 = false) {
  const kindOf = (secure: boolean): Kind => ({ http2, secure, start: () => start(secure) });
  return { [`${name}, TCP`]: kindOf(false), [`${name}, TLS`]: kindOf(true) };
}

/** Everything that gets a socket from a client. */
export const SERVERS: Readonly<Record<string, Kind>> = {
  ...overTcpAndTls('serve', (tls) => ofServe(tls, false)),
  ...overTcpAndTls('serveFetch', ofServeFetch),
  ...overTcpAndTls('Upgrader', ofUpgrader),
  ...overTcpAndTls('serveRaw', ofServeRaw),
  ...overTcpAndTls('a proxy', ofProxy),
  'serve with HTTP/2, a client of HTTP/1.1': {
    http2: false,
    secure: true,
    start: () => ofServe(true, true),
  },
  ...overTcpAndTls('serve with HTTP/2', (tls) => ofServe(tls, true), true),
  ...overTcpAndTls('Upgrader.streams', ofUpgraderStreams, true),
};

const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
const get = (path: string, fields = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`;
const upgradeOf = (path: string, add: string[] = []): string =>
  request({ line: `GET ${path} HTTP/1.1`, add }).toString('latin1');
const CONNECT = 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n';
const OTHER_ORIGIN = ['Origin: http://other.example'];

/** What a client has sent over HTTP/1.1 before the end, by the state of its socket. */
const HTTP1_STATES: Readonly<Record<string, string>> = {
  silent: '',
  'within a head': 'GET / HTTP/1.1\r\nHo',
  'kept alive': get('/'),
  'within a body': 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf',
  'behind a page: h2c': get('/never') + get('/', H2C),
  'behind a page: two times h2c': get('/never') + get('/', H2C) + get('/', H2C),
  'behind two pages: h2c': get('/never') + get('/never') + get('/', H2C),
  'behind an event stream: h2c': get('/events') + get('/', H2C),
  'behind an unread page: h2c': get('/large') + get('/', H2C),
  'behind a page: an upgrade': get('/never') + upgradeOf('/'),
  'behind a page: a refused upgrade': get('/never') + upgradeOf('/', OTHER_ORIGIN),
  'behind an unread page: an upgrade': get('/large') + upgradeOf('/'),
  'behind a page: CONNECT': get('/never') + CONNECT,
  'behind a page: no HTTP': `${get('/never')}no HTTP\r\n\r\n`,
  'behind h2c: h2c': get('/never', H2C) + get('/', H2C),
  'behind h2c: an upgrade': get('/never', H2C) + upgradeOf('/'),
  'given back to node:http': get('/never', H2C),
  'given back to node:http, unread': get('/large', H2C),
  refused: upgradeOf('/', OTHER_ORIGIN),
  'refused, no HTTP': 'no HTTP\r\n\r\n',
  CONNECT,
  'waiting for a login': upgradeOf('/login'),
  'waiting for a login, with frames': upgradeOf('/login') + 'x'.repeat(100_000),
  'refused with a body that never ends': upgradeOf('/body'),
  'a tunnel': upgradeOf('/'),
  'a tunnel within a frame': `${upgradeOf('/')}\x82\xfe\x10\x00\0\0\0\0half`,
  'a tunnel, unread': upgradeOf('/large'),
  closing: upgradeOf('/closing'),
};

const END_HEADERS = 4;
const END_STREAM = 1;
const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frameBytes('SETTINGS', 0, 0),
]);

function headers(fields: Readonly<Record<string, string>>, flags: number): Buffer {
  return frameBytes('HEADERS', END_HEADERS | flags, 1, headerBlock(Object.entries(fields)));
}

function socketOf(path: string, more: Readonly<Record<string, string>> = {}): Buffer {
  return headers({ ...WEBSOCKET_REQUEST, ':path': path, ...more }, 0);
}

function pageOf(method: string, path: string, flags: number): Buffer {
  const target = { ':scheme': 'http', ':path': path, ':authority': 'localhost' };
  return headers({ ':method': method, ...target }, flags);
}

/** The same over HTTP/2. */
const HTTP2_STATES: Readonly<Record<string, Buffer>> = {
  idle: Buffer.alloc(0),
  'within a frame': socketOf('/').subarray(0, 20),
  'a page that is not answered': pageOf('GET', '/never', END_STREAM),
  'an unread page': pageOf('GET', '/large', END_STREAM),
  'within a body': pageOf('POST', '/', 0),
  CONNECT: headers({ ':method': 'CONNECT', ':authority': 'a:1' }, 0),
  refused: socketOf('/', { origin: 'http://other.example' }),
  'waiting for a login': socketOf('/login'),
  'refused with a body that never ends': socketOf('/body'),
  'a tunnel': socketOf('/'),
  'a tunnel, unread': socketOf('/large'),
  closing: socketOf('/closing'),
};

/** The names of the states of a kind of server. */
export function statesOf(name: string): string[] {
  return Object.keys(SERVERS[name]!.http2 ? HTTP2_STATES : HTTP1_STATES);
}

interface Client {
  readonly socket: Socket;
  readonly port: number | undefined;
  readonly resetNow: () => void;
}

async function clientOf({ http2, secure }: Kind, port: number): Promise<Client> {
  const tcp = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', ignore);
  await once(tcp, 'connect');
  const { localPort } = tcp;
  if (!secure) return { socket: tcp, port: localPort, resetNow: () => reset(tcp) };
  const { cert } = await selfSigned();
  const ALPNProtocols = [http2 ? 'h2' : 'http/1.1'];
  const socket = connectTls({ socket: tcp, ca: cert, ALPNProtocols }).on('error', ignore);
  socket.allowHalfOpen = true;
  await once(socket, 'secureConnect');
  return { socket, port: localPort, resetNow: () => reset(tcp, socket) };
}

const FLOOD = masked(2, Buffer.alloc(16_384));

/** What the other end does. After 'ends' and 'resets' the server has to lose the socket by itself. */
const ENDS: Readonly<Record<string, (client: Client) => void>> = {
  resets: ({ resetNow }) => resetNow(),
  ends: ({ socket }) => void socket.end(),
  leaves: ({ socket }) => void socket.destroy(),
  stalls: ({ socket }) => void socket.pause(),
  floods({ socket }) {
    for (let i = 0; i < 100; i++) socket.write(FLOOD);
  },
};

const ignore = (): void => {};

function listenerCounts(http: HttpServer | undefined): string {
  const names = http === undefined ? [] : http.eventNames();
  return names.map((name) => `${String(name)}: ${http!.listenerCount(name)}`).join();
}

function within(promise: Promise<unknown>, fault: string): Promise<string | undefined> {
  const late = new Promise<string>((resolve) => setTimeout(resolve, PATIENCE_MS, fault).unref());
  return Promise.race([promise.then(() => undefined), late]);
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** The faults of a server whose client ends in one way in one state. */
async function faultsOf(name: string, state: string, end: string): Promise<string[]> {
  const kind = SERVERS[name]!;
  const server = await kind.start();
  const before = listenerCounts(server.http);
  const client = await clientOf(kind, server.port);
  const { socket } = client;
  if (state.includes('unread')) socket.pause();
  else socket.resume();
  if (kind.http2) socket.write(Buffer.concat([PREFACE, HTTP2_STATES[state]!]));
  else socket.write(HTTP1_STATES[state]!, 'latin1');
  // The server reaches the state.
  await new Promise((resolve) => setTimeout(resolve, 60));
  ENDS[end]!(client);
  await new Promise((resolve) => setTimeout(resolve, 60));
  const counters = within(
    until(() => server.counted() === 0),
    'its counters are not back',
  );
  // A client that stays is the server's to end.
  const isGone = end === 'resets' || end === 'leaves';
  const faults = [isGone ? await counters : undefined];
  faults.push(await within(server.close(client.port), 'close() has not resolved'));
  faults.push(await counters);
  if (listenerCounts(server.http) !== before && name.startsWith('serve')) faults.push('listeners');
  socket.destroy();
  return faults.filter((fault) => fault !== undefined);
}

/** Tries each way to end one state, all at once. */
export async function tryState(name: string, state: string): Promise<Record<string, string[]>> {
  const ends = Object.keys(ENDS);
  const faults = await Promise.all(ends.map((end) => faultsOf(name, state, end)));
  return Object.fromEntries(
    ends.map((end, i) => [end, faults[i]!] as const).filter(([, found]) => found.length > 0),
  );
}
