import { once } from 'node:events';
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2Session,
} from 'node:http2';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import {
  Http2Peer,
  http2Client,
  inWords,
  NaiveDecoder,
  selfSigned,
  WEBSOCKET_REQUEST,
  whenOver,
} from '@ws/tests';
import { createProxy, type Proxied, type Proxy, type ProxyOptions } from '../../src/index.ts';

/** A server of HTTP/2 whose WebSockets go through a proxy. It ends with the test. */
export interface Http2Front {
  readonly proxy: Proxy;
  readonly server: Http2Server | Http2SecureServer;
  readonly port: number;
  readonly url: string;
  /** Errors that `report` got. */
  readonly reported: unknown[];
  /** Waits for the next request through the proxy. */
  readonly next: () => Promise<Proxied>;
}

/** @param secure - With TLS, the server also speaks HTTP/1.1. */
export async function http2Front(
  target: Parameters<typeof createProxy>[0],
  options: ProxyOptions = {},
  secure = false,
): Promise<Http2Front> {
  const reported: unknown[] = [];
  const proxy = createProxy(target, { report: (error) => void reported.push(error), ...options });
  const settings = { enableConnectProtocol: true };
  const server = secure
    ? createSecureServer({ ...(await selfSigned()), allowHTTP1: true, settings })
    : createServer({ settings });
  const sessions = new Set<Http2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {}).on('close', () => sessions.delete(session));
  });
  server.on('stream', proxy.stream);
  server.on('upgrade', proxy.handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  whenOver(async () => {
    await proxy.close({ timeout: 1 });
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const seen = new Set<Proxied>();
  const next = async (): Promise<Proxied> => {
    for (;;) {
      for (const proxied of proxy.proxied) {
        if (seen.has(proxied)) continue;
        seen.add(proxied);
        return proxied;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}`;
  return { proxy, server, port, url, reported, next };
}

/** A raw client whose WebSocket, stream 1, is open. */
export async function openStream(port: number): Promise<Http2Peer> {
  const client = await http2Client(port);
  client.headers(1, WEBSOCKET_REQUEST);
  await client.until(() => client.status(1) === 200);
  return client;
}

/** The frames on stream 1 that the peer, a client or a server of WebSockets, has received. */
export function framesOf(peer: Http2Peer, role: 'client' | 'server'): string[] {
  const decoder = new NaiveDecoder(role, { allowedRsv: 0x40 });
  decoder.push(peer.bytes(1));
  return decoder.frames.map(inWords);
}

/** A raw target of HTTP/2 in clear. */
export interface RawHttp2Target {
  readonly url: string;
  /** Waits for the first session, and for its first request on stream 1. */
  readonly asked: Promise<Http2Peer>;
  /** The number of sessions. */
  sessions: number;
}

/** The HEADERS of an answer with status 200. */
const OK: Buffer = Buffer.from([0x88]);
const END_HEADERS = 0x4;

/** @param accepts - Whether stream 1 of a session, by its number, is answered with 200. */
export async function rawHttp2Target(
  accepts: (session: number) => boolean = () => true,
): Promise<RawHttp2Target> {
  const sockets = new Set<Socket>();
  let resolve!: (peer: Http2Peer) => void;
  const asked = new Promise<Http2Peer>((done) => {
    resolve = done;
  });
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    const peer = new Http2Peer(socket, true);
    const number = ++target.sessions;
    peer.settings([[8, 1]]);
    peer
      .until(() => peer.story(1).length > 0)
      .then(
        () => {
          if (accepts(number)) peer.send('HEADERS', END_HEADERS, 1, OK);
          resolve(peer);
        },
        () => {},
      );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((done) => server.close(done));
  });
  const { port } = server.address() as AddressInfo;
  const target = { url: `ws://127.0.0.1:${port}`, asked, sessions: 0 };
  return target;
}
