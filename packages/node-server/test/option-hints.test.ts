import { describe, expect, it } from 'vitest';
import { route, serve, Upgrader } from '../src/index.ts';

const noHandler = (): void => {};

describe('an unknown option', () => {
  it.each<[string, object, string]>([
    ['ws', { maxPayload: 1 }, 'use readLimit'],
    ['ws', { verifyClient: noHandler }, 'use authenticate'],
    ['ws', { noServer: true }, 'new Upgrader() is for your own server'],
    ['socket.io', { pingInterval: 1 }, 'use heartbeat: { interval }'],
    ['socket.io', { cors: {} }, 'use allowedOrigins'],
    ['socket.io', { adapter: {} }, 'backplane is an option of new Hub'],
    ['anyone', { rateLimit: 5 }, 'use rate'],
    ['a page', { alive: {} }, 'use heartbeat, which finds a dead connection by pings'],
    ['a client', { auth: 'a:b' }, 'use authenticate'],
    ['dial', { proxy: 'env' }, 'it is an option of dial'],
    ['ReconnectingConn', { onOpen: noHandler }, 'it is an option of ReconnectingConn'],
    ['a Hub', { rooms: {} }, 'it is an option of new Hub'],
    ['https', { key: '', cert: '' }, 'use tls: { key }'],
    ['net', { signal: AbortSignal.abort() }, 'use server.close() to stop the server'],
    ['net', { path: '/a' }, 'use socketPath for a Unix socket'],
    ['a typing error', { hendshakeTimeout: 1 }, 'did you mean handshakeTimeout?'],
  ])('of serve that comes from %s has the cure', async (_, options, cure) => {
    const [name] = Object.keys(options);
    const server = serve(options as never, noHandler);
    await expect(server).rejects.toThrow(`serve: unknown option ${name}; ${cure}`);
  });

  it.each<[object, string]>([
    [{ maxPayload: 1 }, 'use readLimit'],
    [{ port: 1 }, 'it is an option of serve'],
    [{ tls: {} }, 'it is an option of serve'],
    [{ http2: true }, 'it is an option of serve'],
    [{ path: '/chat' }, "a path is a key of the routes, { '/path': handler }"],
  ])('%j of an Upgrader has the cure', (options, cure) => {
    const [name] = Object.keys(options);
    expect(() => new Upgrader(options)).toThrow(`Upgrader: unknown option ${name}; ${cure}`);
  });

  it.each<[object, string]>([
    [{ maxPayload: 1 }, 'use readLimit'],
    [{ port: 1 }, 'it is an option of serve'],
    [{ authentikate: 1 }, 'did you mean authenticate?'],
    [{ rateLimit: 5 }, 'use rate'],
    [{ path: '/chat' }, "a path is a key of the routes, { '/path': handler }"],
  ])('%j of route has the cure', (options, cure) => {
    const [name] = Object.keys(options);
    expect(() => route(options as never, noHandler)).toThrow(
      `route: unknown option ${name}; ${cure}`,
    );
  });

  it.each<[object, string]>([
    [{ closeTimeout: 1 }, 'use timeout'],
    [{ raeson: '' }, 'did you mean reason?'],
  ])('%j of close has the cure', async (options, cure) => {
    const [name] = Object.keys(options);
    const closed = new Upgrader().close(options);
    await expect(closed).rejects.toThrow(`close: unknown option ${name}; ${cure}`);
  });
});
