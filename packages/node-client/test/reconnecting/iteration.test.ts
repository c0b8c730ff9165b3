import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import {
  BadHandshakeError,
  CloseError,
  type Conn,
  type ReconnectingOptions,
  reconnecting,
  TimeoutError,
  TransportError,
} from '../../src/index.ts';
import { socksServer } from '../proxies.ts';
import {
  accepts,
  acceptsAndDrops,
  answers,
  closes,
  codes,
  connected,
  drop,
  drops,
  fast,
  iterate,
  refuses,
  silent,
  turn,
} from './iterating.ts';

describe('reconnecting', () => {
  it('dials again when a connection has ended', async () => {
    const server = await answers(
      acceptsAndDrops,
      closes(1001),
      closes(1011),
      closes(1000),
      accepts,
    );
    expect(await codes(server.url, {}, 4)).toEqual([1006, 1001, 1011, 1000]);
    expect(server.sockets).toHaveLength(4);
  });

  it('yields open connections before their first frames', async () => {
    const server = await answers((socket, request) => {
      socket.write(`${request.ok()}\x89\x02hi\x81\x05hello`, 'latin1');
    });
    const pings: string[] = [];
    for await (const conn of reconnecting(server.url, fast)) {
      expect(conn.state).toBe('open');
      conn.setPingHandler((data) => void pings.push(Buffer.from(data).toString()));
      const message = await conn.readMessage();
      expect(message.text()).toBe('hello');
      conn.terminate();
      break;
    }
    expect(pings).toEqual(['hi']);
  });

  it('leaves a connection that answers at once after break', async () => {
    const server = await answers(closes(4000));
    let left!: Conn;
    for await (const conn of reconnecting(server.url, { ...fast, closeTimeout: 1_000_000 })) {
      left = conn;
      break;
    }
    expect(await left.closed).toMatchObject({ code: 4000, wasClean: true });
  });

  it('dials again after transient failures', async () => {
    const server = await answers(
      drops,
      refuses(503),
      refuses(500),
      refuses(502),
      refuses(429),
      refuses(408),
      refuses(425),
      (socket) => void socket.end('SSH-2.0\r\n'),
      accepts,
    );
    const errors: unknown[] = [];
    const conn = await connected(
      iterate(server.url, { retry: (error) => void errors.push(error) }),
    );
    expect(conn.state).toBe('open');
    expect(
      errors.map((error) => (error instanceof BadHandshakeError ? error.status : error)),
    ).toEqual([expect.any(TransportError), 503, 500, 502, 429, 408, 425, 0]);
  });

  it('dials again after a silent server', async () => {
    const server = await answers(silent, accepts);
    const errors: unknown[] = [];
    const conn = await connected(
      iterate(server.url, { handshakeTimeout: 100, retry: (error) => void errors.push(error) }),
    );
    expect(conn.state).toBe('open');
    // On a busy machine, a later handshake may last as long.
    expect(errors).not.toEqual([]);
    for (const error of errors) expect(error).toBeInstanceOf(TimeoutError);
  });

  it.each<[string, string[], userInfo?: string]>([
    ['wants credentials', ['05 ff']],
    ['takes none of ours', ['05 ff'], 'me:hush@'],
    ['wants others', ['05 01'], 'me:hush@'],
    ['refuses them', ['05 02', '01 01'], 'me:hush@'],
    ['does not allow it', ['05 00', '05 02 00 01 00000000 0000']],
    ['knows no names', ['05 00', '05 08 00 01 00000000 0000']],
  ])('ends with the refusal of a SOCKS proxy that %s', async (_, answers, userInfo) => {
    const { proxy, heard } = await socksServer(answers, userInfo);
    const iterator = iterate('ws://h/', { proxy });
    await expect(iterator.next()).rejects.toBeInstanceOf(BadHandshakeError);
    expect(heard).toHaveLength(answers.length);
  });

  it('dials again after a SOCKS proxy that could not connect', async () => {
    const errors: unknown[] = [];
    const { proxy } = await socksServer(['05 00', '05 04 00 01 00000000 0000']);
    const retry = (error: unknown, { tries }: { tries: number }): false | undefined => {
      errors.push(error);
      return tries === 3 ? false : undefined;
    };
    await expect(iterate('ws://h/', { proxy, retry }).next()).rejects.toMatchObject({
      status: 502,
    });
    expect(errors).toHaveLength(3);
  });

  it.each([200, 204, 301, 302, 400, 401, 403, 404, 405, 407, 410, 426])(
    'ends with the error after a %i, which another dial would not heal',
    async (status) => {
      const server = await answers(refuses(status));
      const iterator = iterate(server.url);
      await expect(iterator.next()).rejects.toMatchObject({ name: 'BadHandshakeError', status });
      expect(await iterator.next()).toEqual({ done: true, value: undefined });
      expect(server.sockets).toHaveLength(1);
    },
  );

  it('ends with the error of an invalid 101', async () => {
    const server = await answers((socket, request) => {
      socket.write(request.ok('Sec-WebSocket-Extensions: x\r\n'));
    });
    await expect(iterate(server.url).next()).rejects.toBeInstanceOf(BadHandshakeError);
  });

  it.each<[string, ReconnectingOptions]>([
    ['jar', { jar: { getCookieString: () => 5 as never, setCookie: silent } }],
    ['cookie', { jar: { getCookieString: () => 'a=\n', setCookie: silent } }],
    ['netDial', { netDial: () => 5 as never }],
    ['proxy function', { proxy: () => 'http://proxy.example' as never }],
    ['header', { headers: () => ({ 'X-A': '\n' }) }],
  ])('ends with the error of a wrong %s', async (_, options) => {
    await expect(iterate('ws://h/', options).next()).rejects.toBeInstanceOf(TypeError);
  });

  it('waits for the end of a connection that the loop body left open', async () => {
    const server = await answers(accepts);
    const iterator = iterate(server.url);
    const first = await connected(iterator);
    const second = iterator.next();
    await turn();
    await turn();
    expect(server.sockets).toHaveLength(1);
    drop(server);
    const { value } = await second;
    expect(value).not.toBe(first);
    expect(first.state).toBe('closed');
    expect(server.sockets).toHaveLength(2);
    (value as Conn).terminate();
  });

  it('yields connections in order when next is called several times at once', async () => {
    const server = await answers(accepts);
    const iterator = iterate(server.url);
    const order: number[] = [];
    const steps = [0, 1, 2].map(async (n) => {
      const conn = await connected(iterator);
      order.push(n);
      expect(server.sockets).toHaveLength(n + 1);
      drop(server);
      return conn;
    });
    const conns = await Promise.all(steps);
    expect(order).toEqual([0, 1, 2]);
    expect(new Set(conns).size).toBe(3);
  });

  it('answers all calls of next when one of them fails', async () => {
    const server = await answers(refuses(403));
    const iterator = iterate(server.url);
    const steps = await Promise.allSettled([iterator.next(), iterator.next(), iterator.next()]);
    expect(steps).toEqual([
      { status: 'rejected', reason: expect.any(BadHandshakeError) },
      { status: 'fulfilled', value: { done: true, value: undefined } },
      { status: 'fulfilled', value: { done: true, value: undefined } },
    ]);
    expect(server.sockets).toHaveLength(1);
  });

  it('dials nothing until it is iterated, and dials for each iteration', async () => {
    const server = await answers(accepts);
    const iterable = reconnecting(server.url, fast);
    await turn();
    await turn();
    expect(server.sockets).toHaveLength(0);
    const [a, b] = await Promise.all([
      connected(iterable[Symbol.asyncIterator]()),
      connected(iterable[Symbol.asyncIterator]()),
    ]);
    expect(a).not.toBe(b);
    expect([a.state, b.state]).toEqual(['open', 'open']);
  });

  it('passes on an error of its body', async () => {
    const server = await answers(closes(4000), accepts);
    const loop = (async () => {
      for await (const conn of reconnecting(server.url, fast)) {
        for await (const message of conn) expect(message).toBe('never');
      }
    })();
    await expect(loop).rejects.toBeInstanceOf(CloseError);
    expect(server.sockets).toHaveLength(1);
  });

  it('sends the same headers and subprotocols each time, although the caller changes its objects', async () => {
    const requests: string[] = [];
    const server = await answers((socket, request) => {
      requests.push(request.text);
      acceptsAndDrops(socket, request);
    });
    const url = new URL(`${server.url}/feed`);
    const subprotocols = ['a'];
    const token = { Authorization: 'one' };
    const byObject = iterate(url.href, { headers: token, subprotocols });
    const byUrl = reconnecting(url, {
      ...fast,
      headers: new Map([['Authorization', 'one']]).entries(),
      subprotocols,
    })[Symbol.asyncIterator]();
    token.Authorization = 'two';
    subprotocols.push('b');
    url.pathname = '/other';
    for (const iterator of [byObject, byObject, byUrl, byUrl]) await connected(iterator);
    for (const text of requests) {
      expect(text).toMatch(/^GET \/feed HTTP/);
      expect(text).toContain('\r\nAuthorization: one\r\n');
      expect(text).toContain('\r\nSec-WebSocket-Protocol: a\r\n');
    }
    const keys = requests.map((text) => /Sec-WebSocket-Key: (.*)\r\n/.exec(text)?.[1]);
    expect(new Set(keys).size).toBe(4);
    await byUrl.return?.();
  });
});

describe('reconnecting to a server of ws', () => {
  /** A server of `ws` on a free port, or on this one. */
  async function wsServer(
    port = 0,
  ): Promise<{ port: number; server: WebSocketServer; stop: () => Promise<void> }> {
    const server = new WebSocketServer({ host: '127.0.0.1', port });
    await once(server, 'listening');
    const stop = async (): Promise<void> => {
      for (const socket of server.clients) socket.terminate();
      await new Promise((resolve) => void server.close(resolve));
    };
    onTestFinished(stop);
    return { server, stop, port: (server.address() as AddressInfo).port };
  }

  it('that stops and restarts on the same port', async () => {
    const first = await wsServer();
    const iterator = iterate(`ws://127.0.0.1:${first.port}/`, {
      retry: (error) => void failures.push(error),
    });
    const failures: unknown[] = [];
    await connected(iterator);
    await first.stop();
    const next = connected(iterator);
    await expect.poll(() => failures.length, { interval: 2 }).toBeGreaterThan(2);
    expect(failures[0]).toMatchObject({ cause: { code: 'ECONNREFUSED' } });
    const second = await wsServer(first.port);
    const accepted = once(second.server, 'connection') as Promise<[WebSocket]>;
    const conn = await next;
    const [socket] = await accepted;
    socket.send('back');
    const message = await conn.readMessage();
    expect(message.text()).toBe('back');
    await conn.close();
  });

  it('subscribes on every connection', async () => {
    const { port, server } = await wsServer();
    const subscriptions: string[] = [];
    server.on('connection', (socket) => {
      socket.on('message', (data: Buffer) => {
        subscriptions.push(data.toString());
        if (subscriptions.length === 1) socket.terminate();
        else if (subscriptions.length === 2) socket.close(1012);
        else socket.close(1008, 'enough');
      });
    });
    const ends: unknown[] = [];
    for await (const conn of reconnecting(`ws://127.0.0.1:${port}/`, fast)) {
      await conn.send('subscribe');
      await conn.readMessage().catch((error: CloseError) => ends.push(error.closeCode));
    }
    expect(subscriptions).toEqual(['subscribe', 'subscribe', 'subscribe']);
    expect(ends).toEqual([1006, 1012, 1008]);
  });
});
