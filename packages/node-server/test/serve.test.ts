import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { selfSigned } from '@ws/tests';
import { afterEach, describe, expect, expectTypeOf, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { admit, type Conn, serve, type WsServer } from '../src/index.ts';
import {
  connectRaw,
  exchange,
  masked,
  parseAnswer,
  RawPeer,
  request,
  trapLeftovers,
} from './raw.ts';

trapLeftovers();

const running: WsServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close({ timeout: 1 });
});

/** `serve`, closed after the test. */
const started = (async (...args: Parameters<typeof serve>) => {
  const server = await serve(...args);
  running.push(server);
  return server;
}) as typeof serve;

const echo = (conn: Conn): unknown => conn.receive((message) => conn.send(message));
const portOf = (server: WsServer): number => Number(new URL(server.url).port);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An open client of the package ws. */
async function client(url: string, options: WebSocket.ClientOptions = {}): Promise<WebSocket> {
  const ws = new WebSocket(url, { rejectUnauthorized: false, ...options });
  await once(ws, 'open');
  return ws;
}

async function echoed(ws: WebSocket, data: string): Promise<string> {
  ws.send(data);
  const [answer] = (await once(ws, 'message')) as [Buffer];
  return answer.toString();
}

describe('serve', () => {
  it('answers a close frame when its handler settles, also without another read', async () => {
    let closed: Promise<unknown> | undefined;
    const server = await started({ port: 0, closeTimeout: 60_000 }, async (conn) => {
      closed = conn.closed;
      const message = await conn.readMessage();
      await new Promise((resolve) => setTimeout(resolve, 5));
      await conn.send(message.text());
    });
    const ws = new WebSocket(server.url);
    const answer = once(ws, 'message');
    await once(ws, 'open');
    ws.send('last');
    ws.close(1000);
    expect(String((await answer)[0])).toBe('last');
    expect((await once(ws, 'close'))[0]).toBe(1000);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it('listens on all interfaces and reports a reachable one', async () => {
    const server = await started({ port: 0 }, echo);
    expect(server.url).toMatch(/^ws:\/\/127\.0\.0\.1:[0-9]+$/);
    const ws = await client(server.url);
    expect(await echoed(ws, 'hello')).toBe('hello');
    expect(server.connections.size).toBe(1);
    ws.close();
    await once(ws, 'close');
  });

  it('listens on the given address', async () => {
    const server = await started({ host: '127.0.0.1' }, echo);
    expect(server.url).toMatch(/^ws:\/\/127\.0\.0\.1:/);
    const named = await started({ host: 'localhost' }, echo);
    expect(named.url).toMatch(/^ws:\/\/localhost:/);
  });

  it('brackets an IPv6 host', async () => {
    const server = await started({ host: '::1' }, echo).catch(
      (error: NodeJS.ErrnoException) => error.code,
    );
    // Not every machine has IPv6.
    if (typeof server === 'string') expect(server).toMatch(/EADDRNOTAVAIL|EAFNOSUPPORT/);
    else expect(server?.url).toMatch(/^ws:\/\/\[::1\]:/);
  });

  it('serves over TLS', async () => {
    const server = await started({ tls: await selfSigned() }, echo);
    expect(server.url).toMatch(/^wss:/);
    const ws = await client(server.url);
    const big = 'x'.repeat(300_000);
    expect(await echoed(ws, big)).toBe(big);
    ws.close(1000);
    const [code] = (await once(ws, 'close')) as [number];
    expect(code).toBe(1000);
  });

  it('serves over TLS with every bound off', async () => {
    const server = await started({ tls: await selfSigned(), handshakeTimeout: false }, echo);
    const ws = await client(server.url);
    expect(await echoed(ws, 'hello')).toBe('hello');
    ws.terminate();
  });

  it('serves on a Unix socket', async () => {
    const path = join(tmpdir(), `ws:serve-${process.pid}.sock`);
    const server = await started({ socketPath: path }, echo);
    expect(server.url).toBe(`ws+unix:${path.replace(':', '%3A')}`);
    const socket = net.connect(path);
    const raw = new RawPeer(socket);
    expect((await raw.upgrade()).status).toBe(101);
    const [conn] = server.connections;
    expect(conn!.remoteAddr).toBeUndefined();
    socket.destroy();
  });

  it('passes the typed result of authenticate to the handler', async () => {
    const seen: string[] = [];
    const server = await started(
      { authenticate: (req) => (req.url === '/no' ? { refuse: 401 } : admit({ user: 'ada' })) },
      (conn, req, { auth }) => {
        expectTypeOf(auth.user).toEqualTypeOf<string>();
        seen.push(`${auth.user} ${req.url}`);
        return conn.close();
      },
    );
    const ws = await client(`${server.url}/yes`);
    await once(ws, 'close');
    expect(seen).toEqual(['ada /yes']);
    const refused = new WebSocket(`${server.url}/no`);
    const [error] = (await once(refused, 'error')) as [Error];
    expect(error.message).toContain('401');
  });

  it('delivers the first frame to handlers that are set synchronously', async () => {
    const pings: string[] = [];
    const server = await started({}, (conn) => {
      conn.setPingHandler((data) => void pings.push(Buffer.from(data).toString()));
      return echo(conn);
    });
    const raw = await connectRaw(portOf(server));
    await raw.upgrade({ behind: Buffer.concat([masked(9, 'first'), masked(1, 'x')]) });
    await raw.until(() => raw.received.length >= 3);
    expect(pings).toEqual(['first']);
    raw.stream.destroy();
  });

  it('answers plain requests with 426', async () => {
    const server = await started({}, echo);
    const bytes = Buffer.from(
      'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n',
    );
    const answer = await exchange(portOf(server), bytes);
    expect(answer.status).toBe(426);
    expect(answer.headers.get('upgrade')).toBe('websocket');
    expect(answer.headers.get('connection')).toBe('close, Upgrade');
    expect(answer.headers.get('content-type')).toContain('text/plain');
    expect(answer.body).toContain('WebSocket');
    expect(answer.raw.split('HTTP/1.1 ').length).toBe(2);
  });

  it.each([
    {
      says: 'CONNECT',
      bytes: request({ line: 'CONNECT server.example.com:80 HTTP/1.1' }),
      status: 405,
      text: 'method',
    },
    {
      says: 'CONNECT without more',
      bytes: Buffer.from('CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n'),
      status: 400,
      text: "'Connection'",
    },
  ])('answers $says with $status, and serves no later request', async ({ bytes, status, text }) => {
    const server = await started({}, echo);
    const next = Buffer.from('GET /admin HTTP/1.1\r\nHost: a\r\n\r\n');
    const answer = await exchange(portOf(server), Buffer.concat([bytes, next]));
    expect(answer.status).toBe(status);
    expect(answer.headers.get('connection')).toBe('close');
    expect(answer.body).toContain(text);
    expect(answer.raw.split('HTTP/1.1 ').length).toBe(2);
  });

  it('gives plain requests to `request`', async () => {
    const server = await started({ request: (_req, res) => res.end('a page') }, echo);
    const response = await fetch(server.url.replace('ws:', 'http:'));
    expect(await response.text()).toBe('a page');
    const ws = await client(server.url);
    expect(await echoed(ws, 'hello')).toBe('hello');
    ws.terminate();
  });

  it('ends connections that send their request slowly', async () => {
    const server = await started({ handshakeTimeout: 40 }, echo);
    const raw = await connectRaw(portOf(server));
    raw.stream.write('GET / HTTP/1.1\r\nHost: a\r\n');
    await raw.closed;
    const idle = await connectRaw(portOf(server));
    await idle.closed;
  });

  it.each([{}, { handshakeTimeout: false } as const])(
    'parses strictly with $0, for any flags of the process',
    async (options) => {
      const servers: unknown[] = [];
      const server = await started(options, (_conn, req) => {
        servers.push((req.socket as { server?: unknown }).server);
      });
      const ws = await client(server.url);
      expect(servers).toMatchObject([{ insecureHTTPParser: false }]);
      ws.terminate();
    },
  );

  it('bounds the time for a head by 10 s by default', async () => {
    const servers: unknown[] = [];
    for (const handshakeTimeout of [undefined, 2_500]) {
      const server = await started({ handshakeTimeout }, (_conn, req) => {
        servers.push((req.socket as { server?: unknown }).server);
      });
      (await client(server.url)).terminate();
    }
    expect(servers).toMatchObject([{ headersTimeout: 10_000 }, { headersTimeout: 2_500 }]);
  });

  it('sees every header line of a flood, and refuses one of a thousand lines and more', async () => {
    const port = portOf(await started({}, echo));
    const over = await exchange(port, request({ add: Array<string>(1_500).fill('a:b') }));
    expect(over.status).toBe(431);
    // Newer versions of node:http find the flood themselves.
    expect(over.body).toMatch(/1000 header lines or more|request head is too large/);
    const flood = Array<string>(990).fill('a:b');
    const hidden = await exchange(
      port,
      request({ add: [...flood, 'Content-Length: 2'], behind: 'ab' }),
    );
    expect(hidden.status).toBe(400);
    expect(hidden.body).toContain('body');
    const raw = await connectRaw(port);
    const answer = await raw.upgrade({ add: flood });
    raw.stream.destroy();
    expect(answer.status).toBe(101);
  });

  it('upgrades a connection that has served a plain request', async () => {
    const server = await started({ request: (_req, res) => res.end('a page') }, echo);
    const raw = await connectRaw(portOf(server));
    raw.stream.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await raw.until(() => raw.received.includes('a page'));
    raw.takeReceived();
    expect((await raw.upgrade({ behind: masked(1, 'hello') })).status).toBe(101);
    await raw.until(() => raw.received.length >= 7);
    expect(raw.received.subarray(2).toString()).toBe('hello');
    raw.stream.destroy();
  });

  it('rejects when it cannot listen', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    await expect(serve({ port, host: '127.0.0.1' }, echo)).rejects.toMatchObject({
      code: 'EADDRINUSE',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    taken.close();
    await once(taken, 'close');
  });

  it.each([
    { routes: { '/': echo } },
    { path: '/tmp/x' },
    { compresion: true },
    { prot: 80 },
    { port: '80' },
    { host: 5 },
    { socketPath: 5 },
    { socketPath: '/tmp/x', port: 1 },
    { listen: 5 },
    { listen: { port: 1 }, port: 1 },
    { listen: { backlogg: 1 } },
    { listen: { signal: AbortSignal.abort() } },
    { tls: true },
    { tls: null },
    { tls: {} },
    { tls: { key: 'a key' } },
    { trustProxy: true },
    { trustProxy: ['127.0.0.1'] },
    { trustProxy: 1, clientAddress: () => 'a' },
    { close: 5 },
    { close: { timeOut: 5 } },
    { headers: 5 },
    { headers: { Connection: 'close' } },
    { headers: { 'Sec-WebSocket-Extensions': 'a' } },
    { headers: { 'Sec-WebSocket-Protocol': 'a' } },
    { headers: { 'x-a': 'a\r\nb' } },
    { request: {} },
    { server: {} },
    { server: http.createServer(), tls: {} },
    { request: () => {}, server: http.createServer(() => {}) },
    { subprotocols: 'a' },
  ])('rejects $0 with a TypeError that names it', async (options) => {
    const failed = serve(options as never, echo);
    await expect(failed).rejects.toBeInstanceOf(TypeError);
    await expect(failed).rejects.toThrow(Object.keys(options)[0]);
  });

  it.each([
    { port: -1 },
    { port: 65_536 },
    { port: 1.5 },
    { port: Number.NaN },
    { readLimit: 0 },
    { socketPath: `/tmp/${'x'.repeat(103)}` },
    { trustProxy: 0 },
    { trustProxy: 1.5 },
    { close: { timeout: 0 } },
    { close: { code: 1005 } },
    { close: { code: 1006 } },
    { close: { reason: 'x'.repeat(124) } },
    { close: { over: -1 } },
    { handshakeTimeout: -1 },
    { handshakeTimeout: Number.NaN },
    { handshakeTimeout: Infinity },
  ])('rejects $0 with a RangeError that names it', async (options) => {
    const failed = serve(options, echo);
    await expect(failed).rejects.toBeInstanceOf(RangeError);
    await expect(failed).rejects.toThrow(Object.keys(options)[0]);
  });

  it('rejects without a handler', async () => {
    await expect(serve({}, undefined as never)).rejects.toBeInstanceOf(TypeError);
    await expect(serve(undefined as never, echo)).rejects.toBeInstanceOf(TypeError);
  });
});

describe('serve with a given server', () => {
  /** After the test, closes a server, which holds no connection then. */
  function owned<Own extends http.Server>(own: Own): Own {
    onTestFinished(async () => {
      own.close();
      await once(own, 'close');
    });
    return own;
  }

  async function listening(own: http.Server): Promise<http.Server> {
    owned(own).listen(0, '127.0.0.1');
    await once(own, 'listening');
    return own;
  }

  it('leaves it unchanged when it cannot listen', async () => {
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const own = http.createServer();
    const failed = serve({ server: own, port, host: '127.0.0.1' }, echo);
    await expect(failed).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(own.listenerCount('upgrade') + own.listenerCount('request')).toBe(0);
    taken.close();
    await once(taken, 'close');
  });

  it('answers plain requests while there is no other listener', async () => {
    const own = await listening(http.createServer());
    const { port } = own.address() as AddressInfo;
    const server = await serve({ server: own }, echo);
    const plain = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect((await exchange(port, plain)).status).toBe(426);
    own.on('request', (_req, res) => void res.end('mine, added later'));
    expect((await exchange(port, plain)).body).toContain('mine, added later');
    await server.close();
  });

  it('leaves no listener on it', async () => {
    const own = http.createServer();
    const counts = (): Record<string, number> =>
      Object.fromEntries(own.eventNames().map((name) => [String(name), own.listenerCount(name)]));
    const before = counts();
    for (let i = 0; i < 3; i++) {
      const server = await serve({ server: own, host: '127.0.0.1', port: 0 }, echo);
      const ws = await client(server.url);
      const closed = once(ws, 'close');
      await server.close();
      await closed;
      expect(counts()).toEqual(before);
      own.close();
      await once(own, 'close');
    }
  });

  it('upgrades on it and leaves its requests unchanged', async () => {
    const own = await listening(http.createServer((_req, res) => res.end('mine')));
    const { port } = own.address() as AddressInfo;
    const server = await serve({ server: own }, echo);
    expect(server.url).toBe(`ws://127.0.0.1:${port}`);
    const ws = await client(server.url);
    expect(await echoed(ws, 'hello')).toBe('hello');
    const closed = once(ws, 'close') as Promise<[number]>;
    await server.close();
    expect((await closed)[0]).toBe(1001);
    expect(own.listening).toBe(true);
    expect(own.listenerCount('upgrade')).toBe(0);
    const page = await exchange(port, Buffer.from('GET / HTTP/1.0\r\n\r\n'));
    expect(page.body).toBe('mine');
  });

  it('listens with it on a port, over TLS too', async () => {
    const own = owned(https.createServer(await selfSigned()));
    const server = await serve({ server: own, port: 0, host: '127.0.0.1' }, echo);
    expect(server.url).toMatch(/^wss:\/\/127\.0\.0\.1:/);
    for (const where of [
      { port: 1 },
      { host: 'example.org' },
      { socketPath: '/tmp/x' },
      { listen: {} },
    ]) {
      await expect(serve({ server: own, ...where }, echo)).rejects.toThrow('already listening');
    }
    await server.close();
    expect(own.listenerCount('request')).toBe(0);
  });

  it('listens with it on a free port of a host', async () => {
    const own = owned(http.createServer());
    const server = await serve({ server: own, host: '127.0.0.1' }, echo);
    expect(own.address()).toMatchObject({ address: '127.0.0.1', port: portOf(server) });
    await server.close();
  });

  it('has the URL of a server that listens after the call', async () => {
    const own = owned(http.createServer());
    const starting = serve({ server: own }, echo);
    own.listen(0, '127.0.0.1');
    const server = await starting;
    if (!own.listening) await once(own, 'listening');
    expect(portOf(server)).toBe((own.address() as AddressInfo).port);
    await server.close();
  });

  it('drops handshakes that are pending when it closes', async () => {
    const own = await listening(http.createServer());
    const asked = new EventEmitter();
    const server = await serve(
      {
        server: own,
        authenticate: () => {
          asked.emit('asked');
          return new Promise<never>(() => {});
        },
      },
      echo,
    );
    const raw = await connectRaw(portOf(server));
    const waits = once(asked, 'asked');
    raw.stream.write(request());
    await waits;
    await server.close({ timeout: 20 });
    await raw.closed;
  });
});

describe('serve().close', () => {
  it('ends the listening', async () => {
    const server = await serve({}, echo);
    // A connection that the server has ended keeps its port from other processes for a minute.
    const idle = await connectRaw(portOf(server));
    await server.close();
    await idle.closed;
    await expect(client(server.url)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('waits neither for sockets without a request nor for kept-alive ones', async () => {
    const server = await serve({ request: (_req, res) => res.end('a page') }, echo);
    const idle = await connectRaw(portOf(server));
    const alive = await connectRaw(portOf(server));
    alive.stream.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await alive.until(() => alive.received.includes('a page'));
    await server.close({ timeout: 600_000 });
    await Promise.all([idle.closed, alive.closed]);
  });

  it('waits for pending answers', async () => {
    const arrived = new EventEmitter();
    let finish: (() => void) | undefined;
    const server = await serve(
      {
        request: (_req, res) => {
          finish = () => void res.end('late');
          arrived.emit('request');
        },
      },
      echo,
    );
    const raw = await connectRaw(portOf(server));
    const asked = once(arrived, 'request');
    raw.stream.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await asked;
    const closing = server.close();
    await turn();
    finish?.();
    await closing;
    await raw.closed;
    expect(parseAnswer(raw.received.toString()).body).toContain('late');
  });

  it('ends sockets in the middle of a TLS handshake', async () => {
    const server = await serve({ tls: await selfSigned() }, echo);
    const raw = await connectRaw(portOf(server));
    await turn();
    await server.close({ timeout: 600_000 });
    await raw.closed;
  });

  it('rejects a bad timeout', async () => {
    const server = await started({}, echo);
    await expect(server.close({ timeout: -1 })).rejects.toBeInstanceOf(RangeError);
    await expect(server.close({ timeout: '5' as never })).rejects.toBeInstanceOf(TypeError);
    const misspelt = server.close({ timeOut: 5 } as never);
    await expect(misspelt).rejects.toThrow('close: unknown option timeOut; did you mean timeout?');
    for (const argument of ['SIGTERM', new Event('abort')]) {
      const asListener = server.close(argument as never);
      await expect(asListener).rejects.toThrow('as a listener, use () => server.close()');
    }
    await expect(server.close(null as never)).rejects.toThrow('close: expected an object');
    await expect(server.close(5 as never)).rejects.toThrow('close: expected an object');
  });
});

describe('a connection over TLS', () => {
  it('may be reset at every stage of its handshakes', async () => {
    const server = await started(
      {
        tls: await selfSigned(),
        authenticate: () => new Promise<true>((resolve) => setTimeout(resolve, 1, true)),
      },
      echo,
    );
    const attempts = Array.from({ length: 40 }, async (_, i) => {
      const raw = net.connect(portOf(server), '127.0.0.1');
      const secure = tls.connect({ socket: raw, rejectUnauthorized: false });
      secure.on('error', () => {});
      secure.on('secureConnect', () => secure.write(request({ behind: masked(1, 'early') })));
      await once(raw, 'connect');
      for (let turns = i; turns > 0; turns--) await turn();
      raw.resetAndDestroy();
    });
    await Promise.all(attempts);
    while (server.connections.size > 0) await turn();
    const ws = await client(server.url);
    expect(await echoed(ws, 'alive')).toBe('alive');
    ws.terminate();
  });

  it('delivers queued messages after the client has half-closed', async () => {
    const big = Buffer.alloc(4 * 1024 * 1024, 1);
    const server = await started({ tls: await selfSigned() }, async (conn) => {
      await conn.readMessage();
      void conn.send(big);
      return conn.close();
    });
    const socket = tls.connect({ port: portOf(server), rejectUnauthorized: false });
    socket.allowHalfOpen = true;
    let received = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    socket.end(request({ behind: masked(1, 'go') }));
    await once(socket, 'end');
    expect(received).toBeGreaterThan(big.length);
    socket.destroy();
  });
});
