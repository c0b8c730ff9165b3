import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { acceptOf } from '../../src/wire/handshake.ts';
import { NaiveConnection } from './naive-connection.ts';
import type { NaiveServer } from './naive-server.ts';

/** Faults of a server over HTTP/2, with the title of a case that reports each. */
export const HTTP2_FAULTS = {
  'does not announce WebSockets': 'SETTINGS_ENABLE_CONNECT_PROTOCOL of the server is 1',
  'accepts any version': 'an invalid handshake over HTTP/2: no Sec-WebSocket-Version',
  'does not list its version': 'an invalid handshake over HTTP/2: Sec-WebSocket-Version: 8',
  'accepts any protocol': 'an invalid handshake over HTTP/2: :protocol connect-udp',
  'sends an accept value without a key':
    'a valid handshake over HTTP/2: no Sec-WebSocket-Accept without a key',
  'sends a wrong accept value': 'a valid handshake over HTTP/2: a Sec-WebSocket-Key',
  'names another subprotocol': 'a valid handshake over HTTP/2: two subprotocols in one line',
  'ends the stream with the answer': 'a valid handshake over HTTP/2: no field but the version',
  'resets each stream that fails': 'the closing handshake',
  'leaves refusals open': 'a refusal over HTTP/2: ends its stream, and the session continues',
  'ends the session after a stream': 'one session: a stream that is reset beside another',
  'ignores END_STREAM': 'END_STREAM without a close frame',
} as const;

export type Http2Fault = keyof typeof HTTP2_FAULTS;

/** Starts a simple echo server over HTTP/2 in clear that can have a planted fault. */
export async function naiveHttp2Server(fault?: Http2Fault): Promise<NaiveServer> {
  const has = (one: Http2Fault): boolean => one === fault;
  const settings = { enableConnectProtocol: !has('does not announce WebSockets') };
  const server = createServer({ settings });
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  server.on('connect', () => {});
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    const { session } = stream;
    stream.on('close', () => {
      if (has('ends the session after a stream')) setImmediate(() => session?.destroy());
    });
    const status = statusOf(headers, has);
    if (status !== 200) {
      stream.resume();
      const version = has('does not list its version') ? {} : { 'sec-websocket-version': '13' };
      stream.respond({ ...version, ':status': status });
      if (has('leaves refusals open')) stream.write('no');
      else stream.end('no');
      return;
    }
    const { 'sec-websocket-key': key } = headers;
    const accept =
      key === undefined
        ? has('sends an accept value without a key') && acceptOf('')
        : acceptOf(`${has('sends a wrong accept value') ? 'x' : ''}${key}`);
    stream.respond(
      {
        ':status': 200,
        ...(accept !== false && isKey(key, has) && { 'sec-websocket-accept': accept }),
        ...(has('names another subprotocol') && { 'sec-websocket-protocol': 'other' }),
      },
      { endStream: has('ends the stream with the answer') },
    );
    const ignores = has('ignores END_STREAM');
    void new NaiveConnection(
      stream,
      (one) => ignores && one === 'ignores the end of the connection',
      undefined,
    );
    if (has('resets each stream that fails')) {
      stream.end = () => {
        stream.close(2);
        return stream;
      };
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}

function isKey(key: string | string[] | undefined, has: (one: Http2Fault) => boolean): boolean {
  return has('sends an accept value without a key') || /^[\w+/]{22}==$/.test(String(key));
}

function statusOf(headers: IncomingHttpHeaders, has: (one: Http2Fault) => boolean): number {
  const { 'sec-websocket-version': version, 'content-length': length = '0' } = headers;
  if (headers[':method'] !== 'CONNECT' || headers[':protocol'] === undefined) return 405;
  if (headers[':protocol'] !== 'websocket' && !has('accepts any protocol')) return 501;
  if (version !== '13' && !has('accepts any version')) return 426;
  const { host, ':authority': authority = host } = headers;
  return length === '0' && host === (host && authority) && !authority?.includes('@') ? 200 : 400;
}
