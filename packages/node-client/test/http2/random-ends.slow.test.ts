import { once } from 'node:events';
import type { ClientHttp2Session, ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import type { Conn } from '@ws/conn';
import { type ServeOptions, serve, type WsServer } from '@ws/node-server';
import { nothingLeft, Random, rounds, selfSigned, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Dialer } from '../../src/index.ts';

const PATHS = ['/', '/', '/', '/', '/slow', '/hang', '/no', '/die', '/goaway', '/cut', '/unread'];
const HEARTBEAT = { interval: 200, timeout: 200 };

/** A server that does what the path of a request says. */
async function serving(secure: boolean): Promise<WsServer> {
  const options = {
    host: '127.0.0.1',
    tls: secure ? await selfSigned() : undefined,
    http2: secure ? true : 'clear',
    heartbeat: HEARTBEAT,
    handshakeTimeout: 500,
    report: () => {},
    authenticate: async (req: { url?: string; stream?: ServerHttp2Stream }) => {
      if (req.url === '/slow') await wait(30);
      if (req.url === '/hang') await new Promise(() => {});
      if (req.url === '/die') req.stream?.session?.destroy();
      if (req.url === '/goaway') req.stream?.session?.close();
      return req.url !== '/no';
    },
  };
  const server = await serve(options as ServeOptions<boolean>, (conn: Conn, { url }) => {
    if (url === '/cut') return conn.terminate();
    if (url !== '/unread') return conn.receive((message) => conn.send(message));
    conn.send(new Uint8Array(300_000)).catch(() => {});
    return conn.closed;
  });
  whenOver(() => server.close({ timeout: 500 }));
  return server;
}

/** A relay of TCP whose connections can be cut. */
async function relayTo(url: string): Promise<{ port: number; open: Set<Socket> }> {
  const open = new Set<Socket>();
  const relay = createServer((socket) => {
    const target = connect(Number(new URL(url).port), '127.0.0.1');
    open.add(socket);
    socket.pipe(target).pipe(socket);
    for (const each of [socket, target]) {
      each
        .on('error', () => {})
        .on('close', () => {
          open.delete(socket);
          socket.destroy();
          target.destroy();
        });
    }
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  whenOver(() => {
    for (const socket of open) socket.destroy();
    relay.close();
  });
  return { port: (relay.address() as AddressInfo).port, open };
}

describe.each([false, true])('dials over HTTP/2, TLS %s', (secure) => {
  nothingLeft();

  it.each([1, 2, 3])(
    'leave nothing after random ends of streams and sessions (%d)',
    async (seed) => {
      const random = new Random(seed);
      const server = await serving(secure);
      const sessions = new Set<ClientHttp2Session>();
      server.http.on('session', (session: ClientHttp2Session) => {
        sessions.add(session);
        session.on('close', () => sessions.delete(session));
      });
      const { port, open } = await relayTo(server.url);
      const url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}`;
      const dialer = new Dialer({
        http2: 'only',
        tls: { rejectUnauthorized: false },
        handshakeTimeout: 400,
        closeTimeout: 300,
        heartbeat: HEARTBEAT,
      });
      const dialOnce = async (): Promise<void> => {
        const path = PATHS[random.below(PATHS.length)]!;
        const signal = random.below(6) === 0 ? AbortSignal.timeout(random.below(10)) : undefined;
        const conn = await dialer.dial(url + path, { signal });
        if (random.below(2) === 0) {
          await conn.send(new Uint8Array(random.below(100_000)));
          await conn.readMessage();
        }
        if (random.below(2) === 0) await conn.close();
        conn.terminate();
        await conn.closed;
      };
      const end = performance.now() + rounds(1_500, 5_000);
      const dialOften = async (): Promise<void> => {
        while (performance.now() < end) {
          // Most dials fail: what their server does to one session ends all its streams.
          await dialOnce().catch(() => {});
          if (random.below(40) === 0) for (const socket of [...open].slice(0, 1)) socket.destroy();
          if (random.below(60) === 0)
            for (const session of [...sessions].slice(0, 1)) session.close();
        }
      };
      await Promise.all(Array.from({ length: 40 }, dialOften));
      while (open.size + sessions.size + server.connections.size > 0) await wait(50);
      expect(server.stats.opened).toBeGreaterThan(0);
      expect(server.stats.handlersPending).toBe(0);
    },
  );
});
