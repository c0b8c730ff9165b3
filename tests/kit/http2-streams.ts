import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createSecureServer,
  createServer,
  type Http2Server,
  type Http2Session,
  type Http2Stream,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { addAbortSignal } from 'node:stream';
import type { Role } from '@ws/codec';
import { whenOver } from './cleanups.ts';
import { listening } from './listening.ts';
import { RawPeer } from './raw-peer.ts';
import { selfSigned } from './self-signed.ts';

/** The two ends of one HTTP/2 stream. */
export interface StreamPair {
  readonly client: ClientHttp2Stream;
  readonly server: ServerHttp2Stream;
  readonly session: ClientHttp2Session;
  readonly serverSession: Http2Session;
  /** Opens another stream of the session. */
  readonly open: () => Promise<readonly [client: ClientHttp2Stream, server: ServerHttp2Stream]>;
  readonly dispose: () => Promise<void>;
}

const WINDOW = 256 * 1024;
const SESSION_WINDOW = 1024 * 1024;

function connectRequest(scheme: string): OutgoingHttpHeaders {
  return {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': scheme,
    ':path': '/',
    'sec-websocket-version': '13',
  };
}

/** A server that allows WebSockets over HTTP/2, on a free port. */
async function startServer(
  secure: boolean,
  window: number,
): Promise<{ server: Http2Server; sessions: Http2Session[]; url: string }> {
  const settings = { enableConnectProtocol: true, initialWindowSize: window };
  const server = secure
    ? createSecureServer({ ...(await selfSigned()), settings })
    : createServer({ settings });
  const sessions: Http2Session[] = [];
  server.on('session', (session) => {
    session.on('error', () => {});
    session.setLocalWindowSize(SESSION_WINDOW);
    sessions.push(session);
  });
  server.on('sessionError', () => {});
  const port = await listening(server);
  return { server, sessions, url: `${secure ? 'https' : 'http'}://127.0.0.1:${port}` };
}

/** A session with a server that has sent its SETTINGS. */
async function sessionWith(
  url: string,
  window: number,
): Promise<{ session: ClientHttp2Session; socket: Socket }> {
  const settings = { initialWindowSize: window };
  const session = connect(url, { rejectUnauthorized: false, settings });
  session.on('error', () => {});
  const [[, socket]] = await Promise.all([
    once(session, 'connect') as Promise<[ClientHttp2Session, Socket]>,
    once(session, 'remoteSettings'),
  ]);
  session.setLocalWindowSize(SESSION_WINDOW);
  return { session, socket };
}

/** Opens a session and a stream that is answered with 200. */
export async function streamPair(secure: boolean, window = WINDOW): Promise<StreamPair> {
  const { server, sessions, url } = await startServer(secure, window);
  const { session, socket } = await sessionWith(url, window);
  const open = async (): Promise<readonly [ClientHttp2Stream, ServerHttp2Stream]> => {
    const client = session.request(connectRequest('https'), { endStream: false });
    client.on('error', () => {});
    const [stream] = (await once(server, 'stream')) as [ServerHttp2Stream];
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    await once(client, 'response');
    return [client, stream];
  };
  const [client, stream] = await open();
  const serverSession = sessions[0]!;
  const dispose = async (): Promise<void> => {
    session.destroy();
    serverSession.destroy();
    server.close();
    await once(server, 'close');
    // A destroyed session closes its socket only after its last frames and a FIN.
    socket.destroy();
  };
  return { client, server: stream, session, serverSession, open, dispose };
}

/** Opens a WebSocket as the only stream of a session, which ends with it. */
export async function openStream(url: string): Promise<ClientHttp2Stream> {
  const { session } = await sessionWith(url.replace(/^ws/, 'http'), WINDOW);
  whenOver(() => void session.destroy());
  const scheme = url.startsWith('wss') ? 'https' : 'http';
  const stream = session.request(connectRequest(scheme), { endStream: false });
  stream.on('error', () => {});
  // Not within 'close': see the fault of Node 20 in the guard of node-server.
  stream.once('close', () => void setImmediate(() => session.close()));
  await once(stream, 'response');
  return stream;
}

/** A server that accepts every WebSocket over HTTP/2 and passes its stream on. It ends with the test. */
export async function streamServer(
  secure: boolean,
  take: (stream: ServerHttp2Stream) => void,
): Promise<{ url: string; ca: string }> {
  const { server, sessions, url } = await startServer(secure, WINDOW);
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    take(stream);
  });
  whenOver(async () => {
    for (const session of sessions) session.destroy();
    server.close();
    await once(server, 'close');
  });
  return { url: url.replace('http', 'ws'), ca: (await selfSigned()).cert };
}

/** Sends RST_STREAM with CANCEL. */
export function cancel(stream: Http2Stream): void {
  addAbortSignal(AbortSignal.abort(), stream);
}

/** A {@link RawPeer} on a stream of HTTP/2. A FIN is END_STREAM, a RST is RST_STREAM with CANCEL. */
export class StreamPeer extends RawPeer {
  readonly #stream: Http2Stream;

  constructor(stream: Http2Stream, role: Role = 'client') {
    const socket = Object.assign(stream, { setNoDelay: () => {} }) as never;
    super(socket, socket, role);
    this.#stream = stream;
    whenOver(() => this.destroy());
  }

  override reset(): void {
    if (!this.#stream.destroyed) cancel(this.#stream);
  }
}
