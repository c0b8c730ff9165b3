import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Conn } from '@ws/conn';
import { http2Transport, nodePlatform } from '@ws/node-io';
import { selfSigned, whenOver } from '@ws/tests';
import {
  type AdmitOrRefuse,
  type ConnHandler,
  type ServeOptions,
  serve,
  type WsServer,
} from '../../src/index.ts';

export const echo = (conn: Conn): Promise<unknown> => conn.receive((message) => conn.send(message));

/** A server of HTTP/2, in TLS or in clear, that ends with the test. */
export async function served<Result extends AdmitOrRefuse = undefined>(
  secure: boolean,
  options: ServeOptions<Result> = {},
  handler: ConnHandler<never> = echo,
): Promise<WsServer & { readonly port: number }> {
  const tls = secure ? await selfSigned() : undefined;
  const http2 = secure ? true : 'clear';
  const server = await serve(
    { host: '127.0.0.1', http2, tls, ...options } as ServeOptions,
    handler as ConnHandler<undefined>,
  );
  whenOver(() => server.close({ timeout: 200 }));
  return Object.assign(server, { port: (server.http.address() as AddressInfo).port });
}

/** A session of Node's client with a server that has sent its SETTINGS. It ends with the test. */
export async function sessionWith(url: string): Promise<ClientHttp2Session> {
  const session = connect(url.replace(/^ws/, 'http'), { rejectUnauthorized: false });
  session.on('error', () => {});
  whenOver(() => void session.destroy());
  await once(session, 'remoteSettings');
  return session;
}

/** The answer to a request. */
export interface StreamAnswer {
  readonly stream: ClientHttp2Stream;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** Asks for a WebSocket. A header that is undefined is left out. */
export async function ask(
  session: ClientHttp2Session,
  change: OutgoingHttpHeaders = {},
): Promise<StreamAnswer> {
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'https',
      ':path': '/',
      'sec-websocket-version': '13',
      ...change,
    },
    { endStream: false },
  );
  stream.on('error', () => {});
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
  return { stream, status: Number(headers[':status']), headers };
}

/** Opens a WebSocket as a stream. */
export async function open(
  session: ClientHttp2Session,
  change: OutgoingHttpHeaders = {},
): Promise<Conn> {
  const { stream, status } = await ask(session, change);
  if (status !== 200) throw new Error(`status ${status}`);
  return new Conn(http2Transport(stream), { role: 'client', platform: nodePlatform });
}

/** The body of an answer. */
export async function bodyOf({ stream }: StreamAnswer): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += String(chunk);
  return text;
}
