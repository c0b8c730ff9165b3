// `handshakes` before TLS, and over HTTP/2. The clock stands, so no token comes but by the test.
import { once } from 'node:events';
import http2, { type ClientHttp2Session } from 'node:http2';
import net from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { BadHandshakeError, dial } from '@ws/node-client';
import { selfSigned } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Conn, type RunningServer, type ServeOptions, serve } from '../src/index.ts';
import { serveRaw } from '../src/raw/index.ts';
import { stopClock } from './clock.ts';
import { ask } from './http2/client.ts';
import { trapLeftovers } from './raw.ts';

trapLeftovers();

const closeOf = (socket: net.Socket): Promise<unknown> =>
  new Promise((done) => socket.once('close', done));

const HANDSHAKES = { perSecond: 10, burst: 1, wait: 1_000 };
const keep = (conn: Conn): void => void conn.receive(() => {}).catch(() => {});

const SERVERS: Record<string, (options: ServeOptions) => Promise<RunningServer>> = {
  serve: (options) => serve({ ...options, host: '127.0.0.1' }, keep),
  'serve with http2': (options) => serve({ ...options, host: '127.0.0.1', http2: true }, keep),
  serveRaw: (options) => serveRaw({ ...(options as object), host: '127.0.0.1' }, keep),
};

describe.each(Object.entries(SERVERS))('102 handshakes of %s over TLS', (_name, start) => {
  async function started(handshakes: ServeOptions['handshakes']) {
    const clock = stopClock();
    const tls = await selfSigned();
    const server = await start({ tls, handshakes });
    onTestFinished(async () => void (await server.close({ timeout: 1 })));
    const port = Number(new URL(server.url).port);
    /** A client, its end, and whether its TLS handshake is done. */
    const client = () => {
      const socket = connect({ port, host: '127.0.0.1', ca: tls.cert, servername: 'localhost' });
      socket.on('error', () => {});
      onTestFinished(() => void socket.destroy());
      return socket;
    };
    const secure = async (socket: TLSSocket): Promise<TLSSocket> => {
      await once(socket, 'secureConnect');
      return socket;
    };
    const waiting = async (count: number): Promise<void> => {
      while (server.stats.handshakesWaiting !== count)
        await new Promise((done) => setImmediate(done));
    };
    return { clock, server, port, tls, client, secure, waiting };
  }

  it('begin at twice the pace before it, and a socket that waits is not read', async () => {
    const { clock, server, client, secure, waiting, port, tls } = await started(HANDSHAKES);
    await Promise.all([secure(client()), secure(client())]);
    const third = client();
    await waiting(1);
    expect((third as TLSSocket & { secureConnecting: boolean }).secureConnecting).toBe(true);
    clock.advance(50);
    await secure(third);
    expect(server.stats).toMatchObject({ handshakesWaiting: 0, paced: 0 });
    // What comes after works as without a pace.
    clock.advance(1_000);
    const conn = await dial(`wss://localhost:${port}`, { tls: { ca: tls.cert } });
    await conn.close();
  });

  it('end a socket without an answer when too many wait', async () => {
    const { server, client, secure } = await started({ ...HANDSHAKES, wait: 0 });
    await Promise.all([secure(client()), secure(client())]);
    const refused = client();
    await closeOf(refused);
    expect([refused.authorized, server.stats.paced]).toEqual([false, 1]);
  });

  it('outlive sockets that are reset while they wait, and end those at the close', async () => {
    const { clock, server, client, secure, waiting, port } = await started(HANDSHAKES);
    await Promise.all([secure(client()), secure(client())]);
    const bare = net.connect(port, '127.0.0.1').on('error', () => {});
    await waiting(1);
    const closed = closeOf(bare);
    bare.resetAndDestroy();
    await closed;
    const later = client();
    await waiting(2);
    clock.advance(50);
    await waiting(1);
    clock.advance(50);
    await secure(later);
    const last = client();
    await waiting(1);
    const ended = closeOf(last);
    const isClosed = server.close({ timeout: 1 });
    expect(server.stats.handshakesWaiting).toBe(0);
    await ended;
    await isClosed;
  });
});

describe('102 handshakes of streams of HTTP/2', () => {
  it('leave places of the queue to others when one session opens many', async () => {
    const server = await serve(
      {
        host: '127.0.0.1',
        http2: 'clear',
        handshakes: { perSecond: 100, burst: 1, wait: 200 },
        limits: [{ by: 'address', connections: 1_000 }],
        clientAddress: ({ headers }) => String(headers['x-client']),
      },
      keep,
    );
    onTestFinished(async () => void (await server.close({ timeout: 1 })));
    // Runs again before the server closes.
    const clock = stopClock();
    const session = async (): Promise<ClientHttp2Session> => {
      const made = http2.connect(server.url.replace('ws', 'http'));
      onTestFinished(() => void made.destroy());
      await once(made, 'remoteSettings');
      return made;
    };
    const [attacker, victim] = [await session(), await session()];
    const many = Array.from({ length: 100 }, () => ask(attacker, { 'x-client': 'attacker' }));
    const until = async (isSo: () => boolean): Promise<void> => {
      while (!isSo()) await new Promise((done) => setImmediate(done));
    };
    // One has begun, and two of the 20 places are a tenth.
    await until(() => server.stats.paced === 97);
    const answer = ask(victim, { 'x-client': 'victim' });
    await until(() => server.stats.handshakesWaiting === 3);
    for (let left = 2; left >= 0; left--) {
      clock.advance(10);
      await until(() => server.stats.handshakesWaiting === left);
    }
    expect((await answer).status).toBe(200);
    const statuses = (await Promise.all(many)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(3);
    expect(new Set(statuses)).toEqual(new Set([200, 503]));
  });

  it('are paced alone, and refuse with the same status and Retry-After', async () => {
    stopClock();
    const handshakes = { perSecond: 10, burst: 1, wait: 0 };
    const server = await serve({ host: '127.0.0.1', http2: 'clear', handshakes }, keep);
    onTestFinished(async () => void (await server.close({ timeout: 1 })));
    const conn = await dial(server.url, { http2: 'only' });
    const error: unknown = await dial(server.url, { http2: 'only' }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(BadHandshakeError);
    const { status, headers } = error as BadHandshakeError;
    expect([status, Number(headers['retry-after'])]).toEqual([503, 1]);
    // The session goes on with its other streams.
    await conn.ping();
    expect(server.stats).toMatchObject({ paced: 1, open: 1 });
    await conn.close();
  });
});
