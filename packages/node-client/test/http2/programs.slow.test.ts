// Our client over HTTP/2 and TLS: to reverse proxies that end it, and to a server in another language.
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CloseInfo, Conn } from '@ws/conn';
import { type ServeOptions, serve } from '@ws/node-server';
import {
  HTTP2_PROXIES,
  type Http2Backend,
  lacksDaemon,
  nothingLeft,
  selfSigned,
  startDaemon,
  whenOver,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type ClientConn, Dialer } from '../../src/index.ts';

const BACKENDS: readonly (Http2Backend & { readonly name: string })[] = [
  { name: 'HTTP/1.1 in clear', http2: false, secure: false },
  { name: 'HTTP/1.1 with TLS', http2: false, secure: true },
  { name: 'HTTP/2 in clear', http2: true, secure: false },
  { name: 'HTTP/2 with TLS', http2: true, secure: true },
];

async function dialer(): Promise<Dialer> {
  const { cert: ca } = await selfSigned();
  return new Dialer({ http2: 'only', tls: { ca }, readLimit: 1024 * 1024 });
}

/** A text and bytes come back. */
async function echoes(conn: ClientConn): Promise<void> {
  for (const data of ['grüße', new Uint8Array(200_000).fill(7)]) {
    const sent = conn.send(data);
    const message = await conn.readMessage();
    await sent;
    expect(Buffer.compare(message.data, Buffer.from(data))).toBe(0);
  }
}

describe.each(Object.entries(HTTP2_PROXIES))('dial over HTTP/2 to %s', (command, configure) => {
  describe.skipIf(lacksDaemon(command)).each(BACKENDS)('and $name behind it', (backend) => {
    nothingLeft();

    async function behind() {
      const pems = await selfSigned();
      const versions: string[] = [];
      let resolve!: (conn: Conn) => void;
      const first = new Promise<Conn>((done) => (resolve = done));
      const options: ServeOptions = {
        host: '127.0.0.1',
        readLimit: 1024 * 1024,
        ...(backend.secure && { tls: pems }),
        ...(backend.http2 && { http2: backend.secure ? true : 'clear' }),
      };
      const server = await serve(options, (conn: Conn, req: IncomingMessage) => {
        versions.push(req.httpVersion);
        resolve(conn);
        return conn.receive((message) => conn.send(message));
      });
      whenOver(() => server.close({ timeout: 1_000 }));
      const { port } = server.http.address() as AddressInfo;
      const daemon = await startDaemon({ command, ...configure(backend, port, pems) });
      whenOver(() => daemon.close());
      const url = `wss://127.0.0.1:${daemon.port}`;
      const conn = await (await dialer()).dial(url);
      expect(conn.response.status).toBe(200);
      const served = await first;
      expect(versions).toEqual([backend.http2 ? '2.0' : '1.1']);
      return { conn, served };
    }

    it('echoes, and ends cleanly at both ends', async () => {
      const { conn, served } = await behind();
      await echoes(conn);
      expect(await conn.close(4001, 'done')).toMatchObject({ code: 4001, wasClean: true });
      const info: CloseInfo = await served.closed;
      expect(info).toMatchObject({ code: 4001, reason: 'done', wasClean: true });
    });

    it('passes the close frame of the server', async () => {
      const { conn, served } = await behind();
      const closing = served.close(4002, 'over');
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4002, reason: 'over' });
      expect(await closing).toMatchObject({ code: 4002, wasClean: true });
      expect(await conn.closed).toMatchObject({ code: 4002, wasClean: true });
    });

    it('shows the death of each end to the other', async () => {
      const { conn, served } = await behind();
      await echoes(conn);
      conn.terminate();
      expect(await served.closed).toMatchObject({ code: 1006, wasClean: false });
      const next = await behind();
      next.served.terminate();
      expect(await next.conn.closed).toMatchObject({ code: 1006, wasClean: false });
    });
  });
});

/** An echo server for ASGI. */
const APP = `
async def app(scope, receive, send):
    if scope['type'] != 'websocket':
        raise NotImplementedError
    await receive()
    if scope['path'] == '/no':
        return await send({'type': 'websocket.close'})
    await send({'type': 'websocket.accept', 'subprotocol': (scope['subprotocols'] or [None])[0]})
    while (event := await receive())['type'] == 'websocket.receive':
        if event.get('text') == 'close':
            return await send({'type': 'websocket.close', 'code': 4002, 'reason': 'over'})
        await send({'type': 'websocket.send', 'text': event.get('text'), 'bytes': event.get('bytes')})
`;

describe.skipIf(lacksDaemon('hypercorn'))('dial over HTTP/2 to hypercorn', () => {
  nothingLeft();

  async function start(): Promise<{ wss: string; ws: string }> {
    const { key, cert } = await selfSigned();
    const daemon = await startDaemon({
      command: 'hypercorn',
      args: ({ ports: [tls, clear] }) => [
        `--bind=127.0.0.1:${tls}`,
        `--insecure-bind=127.0.0.1:${clear}`,
        '--certfile=cert.pem',
        '--keyfile=key.pem',
        'echo:app',
      ],
      ports: 2,
      files: () => ({ 'key.pem': key, 'cert.pem': cert, 'echo.py': APP }),
    });
    whenOver(() => daemon.close());
    const [tls, clear] = daemon.ports;
    return { wss: `wss://127.0.0.1:${tls}`, ws: `ws://127.0.0.1:${clear}` };
  }

  it.each(['wss', 'ws'] as const)(
    'echoes over %s, and keeps the session after a close',
    async (scheme) => {
      const { [scheme]: url } = await start();
      const client = await dialer();
      const [first, second] = await Promise.all([client.dial(url), client.dial(url)]);
      await echoes(first);
      expect(await first.close(4001, 'done')).toMatchObject({ code: 4001, wasClean: true });
      // An END_STREAM after our close frame would have ended the session.
      await echoes(second);
      await second.send('close');
      await expect(second.readMessage()).rejects.toMatchObject({ closeCode: 4002 });
      expect(await second.closed).toMatchObject({ code: 4002, wasClean: true });
    },
  );

  it('agrees on a subprotocol, and rejects with the status of a refusal', async () => {
    const { wss } = await start();
    const client = await dialer();
    const conn = await client.dial(wss, { subprotocols: ['chat'] });
    expect(conn.subprotocol).toBe('chat');
    conn.terminate();
    await expect(client.dial(`${wss}/no`)).rejects.toMatchObject({ status: 403 });
  });
});
