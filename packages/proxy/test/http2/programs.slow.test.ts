// haproxy and nghttpx before our proxy and behind it, each over HTTP/2 and TLS.
import type { AddressInfo } from 'node:net';
import { type ClientConn, dial } from '@ws/node-client';
import { type Conn, type ServeOptions, serve } from '@ws/node-server';
import {
  HTTP2_PROXIES,
  lacksDaemon,
  nothingLeft,
  selfSigned,
  startDaemon,
  whenOver,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { Proxied } from '../../src/index.ts';
import { http2Front } from './support.ts';

const LIMIT = { readLimit: 1024 * 1024 };
/** In clear, `'auto'` is HTTP/1.1 to the target. */
const TARGETS = [
  { to: 'HTTP/2', version: '2.0', options: { http2: true } },
  { to: 'HTTP/1.1', version: '1.1', options: {} },
] as const;

/** One connection through both proxies. */
interface Chain {
  readonly client: ClientConn;
  readonly served: Conn;
  readonly proxied: Proxied;
}

/** An echo server with TLS. Other paths than `/` are refused. */
async function target(version: string, options: ServeOptions) {
  const conns: Conn[] = [];
  const all = { host: '127.0.0.1', ...LIMIT, tls: await selfSigned(), ...options };
  const server = await serve(all, {
    '/': (conn, req) => {
      expect(req.httpVersion).toBe(version);
      conns.push(conn);
      return conn.receive((message) => conn.send(message));
    },
  });
  whenOver(() => server.close({ timeout: 1_000 }));
  return { server, conns, port: (server.http.address() as AddressInfo).port };
}

async function trusting() {
  const { cert: ca } = await selfSigned();
  return { ca };
}

async function startReverseProxy(command: string, port: number): Promise<string> {
  const pems = await selfSigned();
  const backend = { http2: true, secure: true };
  const configured = HTTP2_PROXIES[command]!(backend, port, pems);
  const daemon = await startDaemon({ command, ...configured });
  whenOver(() => daemon.close());
  return `wss://127.0.0.1:${daemon.port}`;
}

/** The client, the program, our proxy, the target. */
async function before(command: string, version: string, options: ServeOptions) {
  const { server, conns } = await target(version, options);
  const tls = await trusting();
  const between = await http2Front([{ url: server.url, tls }], { http2: 'auto' }, true);
  between.server.on('upgrade', () => expect.fail('the program speaks HTTP/1.1 to our proxy'));
  return { url: await startReverseProxy(command, between.port), conns, next: between.next };
}

/** The client, our proxy, the program, the target. The program has no HTTP/1.1 for its clients. */
async function behind(command: string, version: string, options: ServeOptions) {
  const { port, conns } = await target(version, options);
  const url = await startReverseProxy(command, port);
  const between = await http2Front([{ url, tls: await trusting() }], { http2: 'auto' }, true);
  return { url: between.url, conns, next: between.next };
}

const CHAINS = [
  ...TARGETS.map(({ to, version, options }) => ({
    where: `before our proxy, whose target has ${to}`,
    start: (command: string) => before(command, version, options),
  })),
  {
    where: 'behind our proxy',
    start: (command: string) => behind(command, '2.0', { http2: true }),
  },
];

describe.each(Object.keys(HTTP2_PROXIES))('%s', (command) => {
  describe.skipIf(lacksDaemon(command)).each(CHAINS)('$where', ({ start }) => {
    nothingLeft();

    it('passes messages, closes of both ends, their deaths and a refusal', async () => {
      const { url, conns, next } = await start(command);
      const options = { ...LIMIT, http2: 'only', tls: await trusting() } as const;
      const open = async (): Promise<Chain> => {
        const client = await dial(url, options);
        // The answer of the target came first.
        return { client, served: conns.pop()!, proxied: await next() };
      };

      const { client, served, proxied } = await open();
      for (const data of ['grüße', new Uint8Array(200_000).fill(7)]) {
        const sent = client.send(data);
        const message = await client.readMessage();
        await sent;
        expect(Buffer.compare(message.data, Buffer.from(data))).toBe(0);
      }
      expect(await client.close(4001, 'done')).toMatchObject({ code: 4001, wasClean: true });
      expect(await served.closed).toMatchObject({ code: 4001, reason: 'done', wasClean: true });
      expect(await proxied.closed).toMatchObject({ status: 101, endedBy: 'client', code: 4001 });

      const over = await open();
      const closing = over.served.close(4002, 'over');
      const reading = over.client.readMessage();
      await expect(reading).rejects.toMatchObject({ closeCode: 4002, reason: 'over' });
      expect(await closing).toMatchObject({ code: 4002, wasClean: true });
      expect(await over.client.closed).toMatchObject({ code: 4002, wasClean: true });
      expect(await over.proxied.closed).toMatchObject({ endedBy: 'target', code: 4002 });

      // Our proxy sends a close frame to the end that is left.
      const first = await open();
      first.client.terminate();
      expect((await first.served.closed).code).toBe(1001);
      expect(await first.proxied.closed).toMatchObject({ endedBy: 'client', code: 1001 });
      const second = await open();
      second.served.terminate();
      expect((await second.client.closed).code).toBe(1014);

      await expect(dial(`${url}/no`, options)).rejects.toMatchObject({ status: 404 });
    });
  });
});
