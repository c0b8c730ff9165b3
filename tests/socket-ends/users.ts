import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Role } from '@ws/codec';
import { WebSocket, WebSocketServer } from '@ws/compat';
import { Conn } from '@ws/conn';
import { Hub } from '@ws/hub';
import { Dialer, dial } from '@ws/node-client';
import { nodePlatform, socketTransport } from '@ws/node-io';
import { serve, Upgrader } from '@ws/node-server';
import { RawUpgrader, serveRaw } from '@ws/node-server/raw';

/** Code of ours that takes sockets, prepared for one test. */
export interface SocketUser {
  /** The role of our end. */
  readonly role: Role;
  /** Whether the socket starts with frames. Default: false. */
  readonly isBare?: boolean;
  readonly take: (near: Duplex) => void;
  readonly stop: () => unknown;
}

/** A failed handshake rejects; only what is uncaught counts here. */
const ignore = (): void => {};
const echo = (conn: Conn): Promise<unknown> => conn.receive((message) => conn.send(message));
const URL = 'ws://127.0.0.1/';
const STOP = { timeout: 1 };
/** The bound of a handshake is not under test; a silent peer gets no longer than this. */
const OPTIONS = { handshakeTimeout: 2_000, closeTimeout: 200, report: ignore } as const;

function httpServer(onUpgrade: (req: never, socket: Duplex, head: Buffer) => void): Server {
  return createServer((_req, res) => res.end('a page')).on('upgrade', onUpgrade as never);
}

/** A server of ours. The sockets of the test are its next connections. */
function serving(
  server: { emit(event: 'connection', socket: Socket): boolean },
  stop: () => unknown,
): SocketUser {
  return { role: 'server', take: (near) => void server.emit('connection', near as Socket), stop };
}

/** A client that is a Conn. */
function dialing(open: (near: Duplex) => Promise<Conn>): SocketUser {
  const conns: Conn[] = [];
  return {
    role: 'client',
    take: (near) =>
      void open(near)
        .then((conn) => {
          conns.push(conn);
          return echo(conn);
        })
        .catch(ignore),
    stop: () => conns.map((conn) => conn.terminate()),
  };
}

/** A hub whose sessions send all that they get to a room with history. */
function echoHub(): Hub {
  const hub = new Hub({ rooms: { r: { history: true } } });
  hub.on('connect', (session) => session.join('r'));
  hub.on('message', (_session, message) => hub.room('r').publish(message.data));
  hub.on('error', ignore);
  return hub;
}

/** A connection without a handshake of ours: the far end has written or read it before. */
function bare(role: Role): SocketUser {
  const conns: Conn[] = [];
  const take = (near: Duplex): void => {
    const conn = new Conn(socketTransport(near), {
      role,
      platform: nodePlatform,
      closeTimeout: 200,
    });
    conns.push(conn);
    echo(conn).catch(ignore);
    void [conn.localAddr, conn.remoteAddr];
  };
  return { role, isBare: true, take, stop: () => conns.map((conn) => conn.terminate()) };
}

function compatClient(ws: WebSocket): void {
  ws.on('error', ignore).on('message', (data: Buffer) => ws.send(data));
}

/** Everything that takes a socket, without the proxy. */
export const USERS: Readonly<Record<string, () => SocketUser | Promise<SocketUser>>> = {
  async serve() {
    const server = await serve({ ...OPTIONS, port: 0, host: '127.0.0.1' }, echo);
    return serving(server.http, () => server.close(STOP));
  },
  async 'serve with a server and an async authenticate'() {
    const http = createServer();
    const authenticate = async () => new Promise<true>((resolve) => setTimeout(resolve, 5, true));
    const server = await serve({ ...OPTIONS, server: http, authenticate }, echo);
    return serving(http, () => server.close(STOP));
  },
  async 'a hub by serve'() {
    const hub = echoHub();
    const server = await serve({ ...OPTIONS, port: 0, host: '127.0.0.1' }, hub.handler);
    return serving(server.http, () => Promise.all([hub.close(STOP), server.close(STOP)]));
  },
  async 'a hub by serveRaw'() {
    const hub = echoHub();
    const server = await serveRaw({ ...OPTIONS, port: 0, host: '127.0.0.1' }, hub.handler);
    return serving(server.net, () => Promise.all([hub.close(STOP), server.close(STOP)]));
  },
  Upgrader() {
    const upgrader = new Upgrader(OPTIONS);
    return serving(httpServer(upgrader.handler(echo)), () => upgrader.close(STOP));
  },
  'Upgrader.upgrade'() {
    const upgrader = new Upgrader(OPTIONS);
    const http = httpServer(
      (...args) =>
        void upgrader
          .upgrade(...args)
          .then(echo)
          .catch(ignore),
    );
    return serving(http, () => upgrader.close(STOP));
  },
  async serveRaw() {
    const server = await serveRaw({ ...OPTIONS, port: 0, host: '127.0.0.1' }, echo);
    return serving(server.net, () => server.close(STOP));
  },
  'RawUpgrader.upgrade'() {
    const upgrader = new RawUpgrader(OPTIONS);
    const take = (near: Duplex): void => void upgrader.upgrade(near).then(echo).catch(ignore);
    return { role: 'server', take, stop: () => upgrader.close(STOP) };
  },
  'RawUpgrader with a fallback'() {
    // Node itself sets a timeout on a socket that it keeps.
    const close = { Connection: 'close' };
    const fallback = createServer((_req, res) => res.writeHead(200, close).end('a page'));
    const upgrader = new RawUpgrader({ ...OPTIONS, fallback });
    const listener = upgrader.listener(echo);
    return { role: 'server', take: (near) => listener(near), stop: () => upgrader.close(STOP) };
  },
  dial: () => dialing((near) => dial(URL, { ...OPTIONS, netDial: () => near })),
  'dialer.handshake': () => {
    const dialer = new Dialer(OPTIONS);
    return dialing((near) => dialer.handshake(near, URL));
  },
  'dial with a cookie jar'() {
    const jar = {
      getCookieString: async () => 'a=b',
      setCookie: () => new Promise((resolve) => setTimeout(resolve, 5)),
    };
    return dialing((near) => dial(URL, { ...OPTIONS, jar, netDial: () => near }));
  },
  'dial through a proxy': () => {
    const options = { ...OPTIONS, proxy: new globalThis.URL('http://127.0.0.1:3128') };
    return dialing((near) => dial('ws://example.org/', { ...options, netDial: () => near }));
  },
  'socketTransport, as a server': () => bare('server'),
  'socketTransport, as a client': () => bare('client'),
  'WebSocketServer of compat'() {
    const server = createServer((_req, res) => res.end('a page'));
    const wss = new WebSocketServer({ server });
    wss.on('connection', compatClient).on('wsClientError', ignore as never);
    return serving(server, () => compatStop(wss));
  },
  'WebSocketServer of compat, noServer'() {
    const wss = new WebSocketServer({ noServer: true });
    const http = httpServer((req, socket, head) =>
      wss.handleUpgrade(req, socket, head, compatClient),
    );
    return serving(http, () => compatStop(wss));
  },
  'WebSocket of compat'() {
    const all: WebSocket[] = [];
    const take = (near: Duplex): void => {
      const ws = new WebSocket(URL, {
        createConnection: () => near,
        handshakeTimeout: 2_000,
      });
      compatClient(ws);
      all.push(ws);
    };
    return { role: 'client', take, stop: () => all.map((ws) => ws.terminate()) };
  },
};

function compatStop(wss: WebSocketServer): void {
  for (const ws of wss.clients ?? []) ws.terminate();
  wss.close();
}
