import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createSecureServer,
  createServer,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { selfSigned } from '@ws/tests';

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

const CONNECT = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'https',
  ':path': '/',
  ':authority': 'localhost',
};

/** Opens a session and a stream that is answered with 200. */
export async function streamPair(secure: boolean, window = 262_144): Promise<StreamPair> {
  const settings = { enableConnectProtocol: true, initialWindowSize: window };
  const server = secure
    ? createSecureServer({ ...(await selfSigned()), settings })
    : createServer({ settings });
  const sessions: Http2Session[] = [];
  server.on('session', (session) => {
    session.on('error', () => {});
    sessions.push(session);
  });
  server.on('sessionError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const session = connect(`${secure ? 'https' : 'http'}://127.0.0.1:${port}`, {
    rejectUnauthorized: false,
    settings: { initialWindowSize: window },
  });
  session.on('error', () => {});
  await once(session, 'remoteSettings');
  session.setLocalWindowSize(1 << 20);
  const open = async (): Promise<readonly [ClientHttp2Stream, ServerHttp2Stream]> => {
    const client = session.request(CONNECT, { endStream: false });
    client.on('error', () => {});
    const [stream] = (await once(server, 'stream')) as [ServerHttp2Stream];
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    await once(client, 'response');
    return [client, stream];
  };
  const [client, stream] = await open();
  const serverSession = sessions[0]!;
  serverSession.setLocalWindowSize(1 << 20);
  const dispose = async (): Promise<void> => {
    session.destroy();
    serverSession.destroy();
    server.close();
    await once(server, 'close');
  };
  return { client, server: stream, session, serverSession, open, dispose };
}
