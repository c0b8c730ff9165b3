// Servers with the option `authenticate`, one of each kind.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { upgrade } from '@ws/fetch';
import { serveFetch } from '@ws/fetch/node';
import { dial } from '@ws/node-client';
import { route, serve, Upgrader } from '@ws/node-server';
import { serveRaw } from '@ws/node-server/raw';
import { createProxy } from '@ws/proxy';
import { whenOver } from '@ws/tests';

type Report = (error: unknown) => void;
export type Authenticate = () => never;
const host = '127.0.0.1';

/** Starts a server. Returns its URL, as one of WebSocket. */
export const portOf = async (http: ReturnType<typeof createServer>): Promise<string> => {
  await new Promise<void>((resolve) => http.listen(0, host, resolve));
  whenOver(() => void http.close());
  return `ws://${host}:${(http.address() as AddressInfo).port}`;
};

/** Each starts with an `authenticate`, and returns its URL. */
export const SERVERS: Readonly<
  Record<string, (authenticate: Authenticate, report: Report) => Promise<string>>
> = {
  async serve(authenticate, report) {
    const server = await serve({ host, authenticate, report }, (conn) => conn.terminate());
    whenOver(() => server.close({ timeout: 1 }));
    return server.url;
  },
  async route(authenticate, report) {
    const handler = route({ authenticate }, (conn) => conn.terminate());
    const server = await serve({ host, report }, { '/': handler });
    whenOver(() => server.close({ timeout: 1 }));
    return server.url;
  },
  async Upgrader(authenticate, report) {
    const http = createServer();
    const upgrader = new Upgrader({ authenticate, report });
    http.on(
      'upgrade',
      upgrader.handler((conn) => conn.terminate()),
    );
    return portOf(http);
  },
  async serveRaw(authenticate, report) {
    const server = await serveRaw({ host, authenticate, report }, (conn) => conn.terminate());
    whenOver(() => server.close({ timeout: 1 }));
    return server.url;
  },
  async 'upgrade of fetch'(authenticate, report) {
    const server = await serveFetch(
      (request) => upgrade(request, { authenticate, report }, (conn) => conn.terminate()),
      { port: 0, host, report },
    );
    whenOver(() => server.close({ timeout: 1 }));
    return server.url;
  },
  async proxy(authenticate, report) {
    const target = await serve({ host }, (conn) => conn.terminate());
    whenOver(() => target.close({ timeout: 1 }));
    const http = createServer();
    const proxy = createProxy(target.url, { authenticate, report });
    http.on('upgrade', proxy.handler);
    whenOver(() => proxy.close({ timeout: 1 }));
    return portOf(http);
  },
};

/** The status of an opening: 101 when the client is admitted. */
export const statusOf = (url: string): Promise<number> =>
  dial(url, { headers: { 'X-Who': 'ada' } }).then(
    (conn) => (conn.terminate(), 101),
    (error: { readonly status: number }) => error.status,
  );
