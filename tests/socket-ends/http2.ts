import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2Session,
  type Http2Stream,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Conn, type Role } from '@ws/conn';
import { dial } from '@ws/node-client';
import { http2Transport, nodePlatform } from '@ws/node-io';
import { serve, Upgrader } from '@ws/node-server';
import { createProxy } from '@ws/proxy';
import { cancel } from '../kit/http2-streams.ts';
import { naiveEncode } from '../kit/naive-encoder.ts';
import { selfSigned, turn, whenOver } from '../peers/index.ts';

/** The two ends of a stream. `near` is that of our code. */
export interface StreamEnds {
  readonly near: Http2Stream;
  readonly far: Http2Stream;
  readonly nearSession: Http2Session;
  readonly farSession: Http2Session;
  /** The TCP socket of the test's end. */
  readonly farSocket: Socket;
}

/** Code of ours that takes streams of HTTP/2. */
export interface StreamUser {
  readonly role: Role;
  /** Opens a stream in a session of its own. The answer of a server has not been sent. */
  readonly open: () => Promise<StreamEnds>;
  readonly stop: () => unknown;
}

type AnyServer = Http2Server | Http2SecureServer;

const ignore = (): void => {};
const echo = (conn: Conn): Promise<unknown> => conn.receive((message) => conn.send(message));
const STOP = { timeout: 1 };
const OPTIONS = { handshakeTimeout: 2_000, closeTimeout: 200, report: ignore } as const;
const SETTINGS = { settings: { enableConnectProtocol: true } };
const REQUEST = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':path': '/',
  'sec-websocket-version': '13',
};

/** A server of the test, and a function that closes it with all its sessions. */
async function listening(
  secure: boolean,
): Promise<{ server: AnyServer; close: () => Promise<void> }> {
  const server = secure
    ? createSecureServer({ ...(await selfSigned()), ...SETTINGS })
    : createServer(SETTINGS);
  const sessions = new Set<Http2Session>();
  server.on('session', (session) => {
    session.on('error', ignore);
    sessions.add(session);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    server.close();
    for (const session of sessions) session.destroy();
    await once(server, 'close');
  };
  return { server, close };
}

/** A session with `server`, and the socket below it. */
async function sessionWith(
  server: AnyServer,
  secure: boolean,
): Promise<{ session: ClientHttp2Session; socket: Socket; authority: string }> {
  const { port } = server.address() as AddressInfo;
  const socket = connectTcp(port, '127.0.0.1').on('error', ignore);
  const authority = `${secure ? 'https' : 'http'}://127.0.0.1:${port}`;
  const session = connect(authority, {
    createConnection: () =>
      secure ? connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ['h2'] }) : socket,
  });
  session.on('error', ignore);
  whenOver(() => void session.destroy());
  await once(session, 'remoteSettings');
  return { session, socket, authority };
}

/** Our code is the server. */
function serving(server: AnyServer, secure: boolean, stop: () => unknown): StreamUser {
  return {
    role: 'server',
    stop,
    async open() {
      const { session, socket } = await sessionWith(server, secure);
      const port = socket.localPort;
      const accepted = new Promise<ServerHttp2Stream>((resolve) => {
        const onStream = (stream: ServerHttp2Stream): void => {
          if (stream.session?.socket.remotePort !== port) return;
          server.off('stream', onStream);
          resolve(stream);
        };
        server.on('stream', onStream);
      });
      const far = session.request(REQUEST, { endStream: false });
      far.on('error', ignore);
      const near = await accepted;
      const nearSession = near.session!;
      return { near, far, nearSession, farSession: session, farSocket: socket };
    },
  };
}

/** Our code is the client. `take` opens a stream of the session. */
async function asking(
  secure: boolean,
  take: (session: ClientHttp2Session, authority: string) => void,
  stop: () => unknown,
): Promise<StreamUser> {
  const { server, close } = await listening(secure);
  const sockets = new Map<number, Socket>();
  server.on('connection', (socket: Socket) => sockets.set(socket.remotePort!, socket));
  return {
    role: 'client',
    async stop() {
      await stop();
      await close();
    },
    async open() {
      const { session, socket, authority } = await sessionWith(server, secure);
      const request = session.request.bind(session);
      let near: ClientHttp2Stream | undefined;
      session.request = (...args) => {
        near = request(...args);
        return near;
      };
      const port = socket.localPort!;
      const accepted = once(server, 'stream') as Promise<[ServerHttp2Stream]>;
      take(session, authority);
      const [far] = await accepted;
      far.on('error', ignore);
      const farSocket = sockets.get(port)!;
      return {
        near: near!,
        far,
        nearSession: session,
        farSession: far.session!,
        farSocket,
      };
    },
  };
}

/** Our code on a server of the test. */
async function onServer(
  secure: boolean,
  take: (stream: ServerHttp2Stream, headers: never, flags: never, raw: never) => void,
  stop: () => unknown,
): Promise<StreamUser> {
  const { server, close } = await listening(secure);
  server.on('stream', take as never);
  return serving(server, secure, async () => {
    await stop();
    await close();
  });
}

/** Everything that takes a stream of HTTP/2. */
export const STREAM_USERS: Readonly<Record<string, (secure: boolean) => Promise<StreamUser>>> = {
  async serve(secure) {
    const http2 = secure ? { tls: await selfSigned(), http2: true } : { http2: 'clear' as const };
    const server = await serve({ ...OPTIONS, ...http2, port: 0, host: '127.0.0.1' }, echo);
    const { http } = server;
    return serving(http as never, secure, () => server.close(STOP));
  },
  async 'Upgrader.streams'(secure) {
    const upgrader = new Upgrader(OPTIONS);
    return onServer(secure, upgrader.streams(echo) as never, () => upgrader.close(STOP));
  },
  async 'Upgrader.upgradeStream'(secure) {
    const upgrader = new Upgrader(OPTIONS);
    const take = (stream: ServerHttp2Stream, headers: never): void =>
      void upgrader.upgradeStream(stream, headers).then(echo).catch(ignore);
    return onServer(secure, take, () => upgrader.close(STOP));
  },
  async 'http2Transport, as a server'(secure) {
    const conns: Conn[] = [];
    const take = (stream: ServerHttp2Stream): void => {
      stream.respond({ ':status': 200 });
      const transport = http2Transport(stream);
      const conn = new Conn(transport, { role: 'server', platform: nodePlatform });
      conns.push(conn);
      echo(conn).catch(ignore);
    };
    return onServer(secure, take, () => conns.map((conn) => conn.terminate()));
  },
  async 'a proxy'(secure) {
    const target = await serve({ ...OPTIONS, port: 0, host: '127.0.0.1' }, echo);
    const proxy = createProxy(target.url);
    return onServer(secure, proxy.stream, async () => {
      await proxy.close(STOP);
      await target.close(STOP);
    });
  },
  async dial(secure) {
    const conns: Conn[] = [];
    const take = (session: ClientHttp2Session, authority: string): void =>
      void dial(authority.replace('http', 'ws'), { ...OPTIONS, http2: session })
        .then((conn) => {
          conns.push(conn);
          return echo(conn);
        })
        .catch(ignore);
    return asking(secure, take, () => conns.map((conn) => conn.terminate()));
  },
};

/** The ends of a stream. */
export const STREAM_ENDS: Readonly<Record<string, (ends: StreamEnds) => void>> = {
  'an END_STREAM': ({ far }) => void far.end(),
  'a reset': ({ far }) => cancel(far),
  'a destroy': ({ far }) => void far.destroy(),
  'a destroy of our stream': ({ near }) => void near.destroy(),
  'an error of our stream': ({ near }) => void near.destroy(new Error('our stream failed')),
  'a GOAWAY': ({ farSession }) => farSession.goaway(2),
  'a destroy of the session': ({ farSession }) => farSession.destroy(),
  'a destroy of our session': ({ nearSession }) => nearSession.destroy(),
  'an error of our session': ({ nearSession }) => nearSession.destroy(new Error('it failed')),
  'an end of the socket': ({ farSocket }) => void farSocket.destroy(),
  'a reset of the socket': ({ farSocket }) => void farSocket.resetAndDestroy(),
};

type Moment = (ends: StreamEnds, role: Role) => Promise<void>;

async function answer({ far }: StreamEnds, role: Role): Promise<void> {
  if (role === 'client') (far as ServerHttp2Stream).respond({ ':status': 200 });
  else await Promise.race([once(far, 'response'), once(far, 'close')]);
}

function frame(role: Role, opcode: number, payload: Uint8Array | string): Uint8Array {
  return naiveEncode(opcode, payload, role === 'server' ? { mask: 0x37fa213d } : {});
}

/** The moments at which a stream ends. */
export const STREAM_MOMENTS: Readonly<Record<string, Moment>> = {
  'before the answer': async () => {},
  async 'after a refusal'({ far }, role) {
    if (role === 'client') (far as ServerHttp2Stream).respond({ ':status': 403 });
    await turns();
  },
  async 'after the handshake'(ends, role) {
    await answer(ends, role);
    await turns();
  },
  async 'within a frame'(ends, role) {
    await answer(ends, role);
    ends.far.write(frame(role, 2, 'cut off').subarray(0, 8));
    await turns();
  },
  async 'while an echo waits'(ends, role) {
    await answer(ends, role);
    ends.far.write(frame(role, 2, Buffer.alloc(400_000, 'x')));
    await turns();
  },
  async 'within the closing handshake'(ends, role) {
    await answer(ends, role);
    ends.far.write(frame(role, 8, Buffer.of(3, 232)));
  },
};

/** Lets bytes arrive. */
async function turns(): Promise<void> {
  for (let i = 0; i < 8; i++) await turn();
}
