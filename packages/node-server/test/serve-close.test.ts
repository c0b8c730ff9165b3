import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import net from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import tls from 'node:tls';
import { selfSigned, turn } from '@ws/tests';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  type CloseOptions,
  type Conn,
  type ServeOptions,
  serve,
  type WsServer,
} from '../src/index.ts';
import {
  connectRaw,
  masked,
  parseAnswer,
  RawPeer,
  request,
  serving,
  trapLeftovers,
} from './raw.ts';

trapLeftovers();

/** A server that keeps the responses to plain requests. */
async function keeping(options: ServeOptions = {}): Promise<{
  server: WsServer;
  connect: () => Promise<RawPeer>;
  next: (path: string) => Promise<ServerResponse>;
}> {
  const arrived = new EventEmitter();
  const server = await serving(
    {
      ...options,
      request: (req: IncomingMessage, res) => void arrived.emit(req.url!, res),
    },
    () => {},
  );
  const { port } = server;
  const connect = async (): Promise<RawPeer> => {
    const secure = options.tls !== undefined;
    const where = { port, host: '127.0.0.1' };
    const socket = secure
      ? tls.connect({ ...where, rejectUnauthorized: false })
      : net.connect(where);
    await once(socket, secure ? 'secureConnect' : 'connect');
    onTestFinished(() => void socket.destroy());
    return new RawPeer(socket);
  };
  const next = async (path: string): Promise<ServerResponse> =>
    ((await once(arrived, path)) as [ServerResponse])[0];
  return { server, connect, next };
}

const plain = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('serve().close', () => {
  it('closes its own server although the options have changed since', async () => {
    const options: { host: string; server?: Server; close: CloseOptions } = {
      host: '127.0.0.1',
      close: { timeout: 20 },
    };
    const server = await serve(options, () => {});
    onTestFinished(() => void server.http.close());
    options.server = createServer();
    options.close = { timeout: -1 };
    await server.close();
    expect(server.http.listening).toBe(false);
  });

  it("survives an 'error' of the HTTP server", async () => {
    const errors: unknown[] = [];
    const server = await serve(
      { host: '127.0.0.1', report: (error) => void errors.push(error) },
      (conn) => conn.discardReads(),
    );
    const client = await connectRaw(Number(new URL(server.url).port));
    onTestFinished(() => void client.stream.destroy());
    await client.upgrade();
    const closed = server.close({ timeout: 20 });
    const error = new Error('EMFILE');
    server.http.emit('error', error);
    expect(await closed).toMatchObject({ terminated: 1 });
    expect(errors).toEqual([error]);
  });

  it.each([
    ['TCP', false],
    ['TLS', true],
  ] as const)('delivers a pending answer whole, over %s', async (_, secure) => {
    const { server, connect, next } = await keeping(secure ? { tls: await selfSigned() } : {});
    const client = await connect();
    const body = Buffer.alloc(8 * 1024 * 1024, 'x');
    client.stream.removeAllListeners('data').pause();
    const arrives = next('/');
    client.stream.write(plain('/'));
    const res = await arrives;
    res.end(body);
    let flushed = false;
    res.once('finish', () => {
      flushed = true;
    });
    const closing = server.close({ timeout: 600_000 });
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(flushed).toBe(false);
    let received = 0;
    client.stream.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    const ended = once(client.stream, 'end');
    client.stream.resume();
    await Promise.all([ended, closing]);
    expect(received).toBeGreaterThan(body.length);
  });

  it('makes every later answer the last of its connection', async () => {
    const { server, connect, next } = await keeping();
    const [busy, alive] = [await connect(), await connect()];
    const first = next('/alive');
    alive.stream.write(plain('/alive'));
    (await first).end('alive');
    await alive.until(() => alive.received.includes('alive'));
    expect(parseAnswer(alive.received.toString()).headers.get('connection')).toBe('keep-alive');
    alive.takeReceived();
    const pending = next('/busy');
    busy.stream.write(plain('/busy'));
    const res = await pending;
    const closing = server.close({ timeout: 600_000 });
    const second = next('/again');
    alive.stream.write(plain('/again'));
    (await second).end('again');
    await alive.closed;
    expect(parseAnswer(alive.received.toString())).toMatchObject({ status: 200, body: 'again' });
    expect(parseAnswer(alive.received.toString()).headers.get('connection')).toBe('close');
    res.end('busy');
    await Promise.all([closing, busy.closed]);
    expect(parseAnswer(busy.received.toString()).headers.get('connection')).toBe('close');
  });

  it.each([
    { says: 'in the usual words', error: undefined, text: /closing/ },
    {
      says: 'in those of `error`',
      error: ((_req, _socket, status) => ({
        status,
        body: 'mine',
      })) satisfies ServeOptions['error'],
      text: /^mine$/,
    },
  ])(
    'refuses upgrades that arrive on an open connection with 503, $says',
    async ({ error, text }) => {
      const asked: unknown[] = [];
      const { server, connect, next } = await keeping({
        error,
        checkOrigin: (req) => asked.push(req.url) > 0,
        authenticate: (req) => void asked.push(req.url),
      });
      const [busy, client] = [await connect(), await connect()];
      const pending = next('/busy');
      busy.stream.write(plain('/busy'));
      const res = await pending;
      const closing = server.close({ timeout: 600_000 });
      client.stream.write(request());
      await client.closed;
      const answer = parseAnswer(client.received.toString());
      expect(answer.status).toBe(503);
      expect(answer.body).toMatch(text);
      expect(asked).toEqual([]);
      res.end();
      await closing;
    },
  );

  it('reports an `error` that throws for an upgrade that arrives too late', async () => {
    const reported: unknown[] = [];
    const { server, connect, next } = await keeping({
      report: (error) => reported.push(String(error)),
      error: () => {
        throw new Error('mine');
      },
    });
    const [busy, client] = [await connect(), await connect()];
    const pending = next('/busy');
    busy.stream.write(plain('/busy'));
    const res = await pending;
    const closing = server.close({ timeout: 600_000 });
    client.stream.write(request());
    await client.closed;
    expect(parseAnswer(client.received.toString()).status).toBe(503);
    expect(reported).toEqual(['Error: mine']);
    res.end();
    await closing;
  });

  it('does not wait for responses after one whose client has disconnected', async () => {
    const { server, connect, next } = await keeping();
    const client = await connect();
    const second = next('/2');
    client.stream.write(`${plain('/1')}${plain('/2')}`);
    const { req } = await second;
    client.stream.resetAndDestroy();
    await new Promise((resolve) => req.socket.once('close', resolve));
    await server.close({ timeout: 600_000 });
  });
});

describe('serve().close and handlers', () => {
  /** A server whose handler has begun. */
  async function started(
    handler: (conn: Conn, server: () => WsServer) => unknown,
    routed: boolean,
  ): Promise<{ server: WsServer; client: RawPeer }> {
    const began = new EventEmitter();
    const begins = once(began, 'began');
    let made: WsServer | undefined;
    const run = (conn: Conn): unknown => {
      began.emit('began');
      return handler(conn, () => made!);
    };
    const options = { host: '127.0.0.1', report: () => {} };
    made = await (routed ? serve(options, { '/chat': run }) : serve(options, run));
    const server = made;
    onTestFinished(async () => void (await server.close()));
    const client = await connectRaw(Number(new URL(server.url).port));
    onTestFinished(() => void client.stream.destroy());
    await client.upgrade();
    client.stream.on('data', () => {
      // Answers the close frame.
      if (!client.stream.writableEnded) client.stream.end(masked(8, '\u0003\u00e8'));
    });
    await begins;
    return { server, client };
  }

  it.each([
    ['the handler', false, false],
    ['a route', true, false],
    ['a handler that rejects', false, true],
  ])('waits for %s', async (_, routed, fails) => {
    const steps: string[] = [];
    const { server } = await started(async (conn) => {
      try {
        for await (const _message of conn);
      } finally {
        await wait(100);
        steps.push('saved');
      }
      if (fails) throw new Error('mine');
    }, routed);
    await server.close({ timeout: 60_000 });
    expect(steps).toEqual(['saved']);
  });

  it('waits for a handler whose connection has closed before', async () => {
    let finish!: () => void;
    const { server, client } = await started(
      () =>
        new Promise<void>((resolve) => {
          finish = resolve;
        }),
      false,
    );
    client.stream.destroy();
    let closed = false;
    const closing = server.close({ timeout: 60_000 }).then(() => {
      closed = true;
    });
    await wait(50);
    expect(closed).toBe(false);
    finish();
    await closing;
  });

  it('waits at most `timeout` for a handler that never settles', async () => {
    const { server } = await started(() => new Promise(() => {}), false);
    const start = performance.now();
    await server.close({ timeout: 150 });
    expect(performance.now() - start).toBeGreaterThan(140);
  });

  it('waits at most `timeout` for a handler that awaits the close', async () => {
    const { server } = await started(
      (_conn, made) => wait(10).then(() => made().close({ timeout: 150 })),
      false,
    );
    await wait(20);
    await server.close({ timeout: 60_000 });
  });

  it('does not wait for a handler that returns no promise', async () => {
    const { server } = await started(() => 'done', false);
    await server.close({ timeout: 60_000 });
  });
});

describe('close that is awaited where it waits for its caller', () => {
  const CURE = expect.objectContaining({
    message:
      'close() waits for 1 handler that has not ended with the connections; in a handler, call close() without await: each would wait for the other until timeout',
  }) as unknown;

  it.each<[string, (close: () => Promise<unknown>) => (conn: Conn) => unknown]>([
    ['a handler', (close) => async () => void (await close())],
    [
      'a handler after a read',
      (close) => async (conn) => {
        await conn.readMessage();
        await close();
      },
    ],
    ['a handler of messages', (close) => (conn) => conn.receive(async () => void (await close()))],
  ])('reports the cure once, in %s', async (_, make) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const reported: unknown[] = [];
    const server: WsServer = await serve(
      { host: '127.0.0.1', report: (...args) => reported.push(args), close: { timeout: 2_000 } },
      (conn) => make(() => server.close())(conn),
    );
    const peer = await connectRaw(Number(new URL(server.url).port));
    await peer.upgrade();
    peer.startFrames();
    peer.stream.write(masked(1, 'close'));
    await peer.until(() => peer.frames.length > 0);
    peer.stream.write(masked(8, Buffer.of(3, 233)));
    while (server.connections.size > 0) await turn();
    await vi.advanceTimersByTimeAsync(2_000);
    const { handlersPending } = await server.close();
    expect(handlersPending).toBe(1);
    expect(reported).toEqual([[CURE, expect.objectContaining({ where: 'close' })]]);
    peer.destroy();
  });

  it('reports the cure once, in the option request', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const reported: unknown[] = [];
    // A listener that is async returns a promise, whatever its type says.
    const page = (_req: unknown, res: ServerResponse): unknown =>
      server.close().then(() => res.end());
    const options = { close: { timeout: 2_000 }, report: (error: unknown) => reported.push(error) };
    const server: WsServer = await serve(
      { host: '127.0.0.1', ...options, request: page },
      () => {},
    );
    const peer = await connectRaw(Number(new URL(server.url).port));
    const called = once(server.http, 'request');
    peer.stream.write(plain('/'));
    await called;
    const closed = server.close();
    await vi.advanceTimersByTimeAsync(2_000);
    await closed;
    expect(reported).toEqual([CURE]);
    peer.destroy();
  });

  it('reports nothing for a page that is being sent', async () => {
    const reported: unknown[] = [];
    const page = (_req: unknown, res: ServerResponse): unknown => {
      res.flushHeaders();
      return once(res, 'close');
    };
    const server: WsServer = await serve(
      { host: '127.0.0.1', report: (error) => reported.push(error), request: page },
      () => {},
    );
    const peer = await connectRaw(Number(new URL(server.url).port));
    const called = once(server.http, 'request');
    peer.stream.write(plain('/'));
    await called;
    await server.close({ timeout: 400 });
    expect(reported).toEqual([]);
    peer.destroy();
  });

  it('reports nothing when it is not awaited', async () => {
    const reported: unknown[] = [];
    const server: WsServer = await serve(
      { host: '127.0.0.1', report: (error) => reported.push(error), close: { timeout: 60_000 } },
      () => void server.close(),
    );
    const peer = await connectRaw(Number(new URL(server.url).port));
    await peer.upgrade();
    peer.startFrames();
    await peer.until(() => peer.frames.length > 0);
    peer.stream.write(masked(8, Buffer.of(3, 233)));
    expect(await server.close()).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
    expect(reported).toEqual([]);
    peer.destroy();
  });
});
