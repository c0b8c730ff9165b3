import { getEventListeners, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import {
  BadHandshakeError,
  CloseError,
  type Conn,
  type ReconnectingOptions,
  reconnecting,
  TimeoutError,
  TransportError,
} from '../src/index.ts';
import { timers } from './leftovers.ts';
import { socksServer } from './proxies.ts';
import { type RawServer, type Reply, rawServer } from './servers.ts';

const fast = { minDelay: 1, maxDelay: 4 };
const silent = (): void => {};
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A server that answers its first dial with the first reply, and so on; the last one stays. */
function answers(...replies: Reply[]): Promise<RawServer> {
  let n = 0;
  return rawServer((socket, request) => {
    replies[Math.min(n++, replies.length - 1)]!(socket, request);
  });
}

const accepts: Reply = (socket, request) => void socket.write(request.ok());
const drops: Reply = (socket) => void socket.destroy();
const refuses =
  (status: number, headers = ''): Reply =>
  (socket) =>
    void socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n${headers}\r\n`);
/** Accepts, and closes with this code at once. */
const closes =
  (code: number): Reply =>
  (socket, request) => {
    const frame = [0x88, 2, code >> 8, code & 0xff];
    socket.write(Buffer.concat([Buffer.from(request.ok()), Buffer.from(frame)]));
    socket.once('data', () => socket.end());
  };
const acceptsAndDrops: Reply = (socket, request) => void socket.end(request.ok());

function iterate(url: string, options: ReconnectingOptions = {}): AsyncIterator<Conn> {
  const iterator = reconnecting(url, { ...fast, ...options })[Symbol.asyncIterator]();
  onTestFinished(() => void iterator.return?.());
  return iterator;
}

/** The next connection, which must come. */
async function connected(iterator: AsyncIterator<Conn>): Promise<Conn> {
  const { done, value } = await iterator.next();
  expect(done).toBe(false);
  const conn = value as Conn;
  onTestFinished(() => conn.terminate());
  return conn;
}

/** Drops the connection that a server accepted last. */
const drop = (server: RawServer): void => void server.sockets.at(-1)!.destroy();

/** The codes that the connections ended with, until the iteration ends or `most` of them came. */
async function codes(url: string, options: ReconnectingOptions, most: number): Promise<number[]> {
  const seen: number[] = [];
  for await (const conn of reconnecting(url, { ...fast, ...options })) {
    seen.push((await conn.closed).code);
    if (seen.length === most) break;
  }
  return seen;
}

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

  it('gives open connections, whose first frames are still to come', async () => {
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

  it('dials again after failures that heal', async () => {
    const server = await answers(
      drops,
      refuses(503),
      refuses(500),
      refuses(502),
      refuses(429),
      refuses(408),
      refuses(425),
      (socket) => void socket.end('SSH-2.0\r\n'),
      silent,
      accepts,
    );
    const errors: unknown[] = [];
    const conn = await connected(
      iterate(server.url, { handshakeTimeout: 100, retry: (error) => void errors.push(error) }),
    );
    expect(conn.state).toBe('open');
    expect(
      errors.map((error) => (error instanceof BadHandshakeError ? error.status : error)),
    ).toEqual([
      expect.any(TransportError),
      503,
      500,
      502,
      429,
      408,
      425,
      0,
      expect.any(TimeoutError),
    ]);
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

  it('ends with the error of a 101 that is none', async () => {
    const server = await answers((socket, request) => {
      socket.write(request.ok('Sec-WebSocket-Extensions: x\r\n'));
    });
    await expect(iterate(server.url).next()).rejects.toBeInstanceOf(BadHandshakeError);
  });

  it('ends with what a jar or a netDial of the wrong kind gives', async () => {
    const broken = new Error('the jar is broken');
    const jar = { getCookieString: () => Promise.reject(broken), setCookie: silent };
    await expect(iterate('ws://h/', { jar }).next()).rejects.toBe(broken);
    const netDial = (): never => 5 as never;
    await expect(iterate('ws://h/', { netDial }).next()).rejects.toBeInstanceOf(TypeError);
  });

  it('waits for the end of a connection that its body left open', async () => {
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

  it('gives connections one after the other when next is called several times at once', async () => {
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

  it('dials nothing until it is iterated, and for each iteration anew', async () => {
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

  it('passes on what breaks in its body', async () => {
    const server = await answers(closes(4000), accepts);
    const loop = (async () => {
      for await (const conn of reconnecting(server.url, fast)) {
        for await (const message of conn) expect(message).toBe('never');
      }
    })();
    await expect(loop).rejects.toBeInstanceOf(CloseError);
    expect(server.sockets).toHaveLength(1);
  });

  it('sends the same headers and subprotocols each time, whatever becomes of what was given', async () => {
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

describe('a function for headers', () => {
  it('is asked before every dial', async () => {
    const requests: string[] = [];
    const server = await answers((socket, request) => {
      requests.push(request.text);
      acceptsAndDrops(socket, request);
    });
    let n = 0;
    const iterator = iterate(server.url, {
      headers: async () => {
        await turn();
        return { Authorization: `Bearer ${++n}` };
      },
    });
    for (let i = 0; i < 3; i++) await connected(iterator);
    expect(requests.map((text) => /Bearer (\d)/.exec(text)?.[1])).toEqual(['1', '2', '3']);
  });

  it('ends the iteration with what it throws, unless retry says otherwise', async () => {
    const server = await answers(accepts);
    const error = new Error('no token');
    const throws = (): never => {
      throw error;
    };
    await expect(iterate(server.url, { headers: throws }).next()).rejects.toBe(error);
    const rejects = (): Promise<never> => Promise.reject(error);
    await expect(iterate(server.url, { headers: rejects }).next()).rejects.toBe(error);
    let asked = 0;
    const first = (): Record<string, string> => (asked++ === 0 ? throws() : {});
    await connected(iterate(server.url, { headers: first, retry: () => true }));
    expect(asked).toBe(2);
  });

  it('ends the iteration with a TypeError when it gives what cannot be sent', async () => {
    const iterator = iterate('ws://h/', { headers: () => ({ Upgrade: 'x' }) });
    await expect(iterator.next()).rejects.toBeInstanceOf(TypeError);
    const nothing = iterate('ws://h/', { headers: () => null as never });
    await expect(nothing.next()).rejects.toBeInstanceOf(TypeError);
  });

  it('is waited for no longer than handshakeTimeout, and hears of it', async () => {
    const signals: AbortSignal[] = [];
    const headers = ({ signal }: { signal: AbortSignal }): Promise<never> => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const errors: unknown[] = [];
    const iterator = iterate('ws://h:81/', {
      headers,
      handshakeTimeout: 20,
      retry: (error, { tries }) => {
        errors.push(error);
        if (tries === 2) return false;
      },
    });
    await expect(iterator.next()).rejects.toBeInstanceOf(TimeoutError);
    expect(errors).toHaveLength(2);
    expect(errors[0]).toMatchObject({
      message:
        'websocket: handshake with h:81 timed out after 20 ms while waiting for the headers function',
    });
    expect(signals.map((signal) => signal.reason as unknown)).toEqual(errors);
  });

  it('is waited for without bound when handshakeTimeout is off', async () => {
    const before = timers();
    const server = await answers(accepts);
    const headers = async (): Promise<object> => {
      await turn();
      expect(timers()).toBeLessThanOrEqual(before);
      return {};
    };
    await connected(iterate(server.url, { headers: headers as never, handshakeTimeout: false }));
  });

  it('is not waited for when the iteration is over, and hears of it', async () => {
    const signals: AbortSignal[] = [];
    const headers = ({ signal }: { signal: AbortSignal }): Promise<never> => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const left = iterate('ws://h/', { headers });
    const controller = new AbortController();
    const aborted = iterate('ws://h/', { headers, signal: controller.signal });
    const steps = [left.next(), aborted.next()];
    await turn();
    await left.return?.();
    controller.abort();
    expect(await Promise.all(steps)).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    for (const signal of signals) expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('stopCodes', () => {
  it.each([
    ['1008 always', 1008, {}],
    ['1008 also beside others', 1008, { stopCodes: [1000] }],
    ['a code of its own', 4004, { stopCodes: [4004] }],
    ['1000', 1000, { stopCodes: [1000, 1008] }],
    ['1006, an end without a close frame', 1006, { stopCodes: [1006] }],
  ] as const)('end the iteration without an error: %s', async (_, code, options) => {
    const server = await answers(code === 1006 ? acceptsAndDrops : closes(code), accepts);
    expect(await codes(server.url, options, 5)).toEqual([code]);
    expect(server.sockets).toHaveLength(1);
  });

  it('end it when we close with one of them ourselves', async () => {
    const server = await answers((socket, request) => {
      accepts(socket, request);
      socket.once('data', () => socket.end(Buffer.from([0x88, 2, 0x03, 0xe8])));
    });
    let connections = 0;
    for await (const conn of reconnecting(server.url, { ...fast, stopCodes: [1000] })) {
      connections++;
      await conn.close();
    }
    expect(connections).toBe(1);
  });

  it('do not stop an iteration whose connection closed otherwise', async () => {
    const server = await answers(closes(4000), closes(1000), closes(4001));
    expect(await codes(server.url, { stopCodes: [4001] }, 5)).toEqual([4000, 1000, 4001]);
  });
});

describe('the signal of reconnecting', () => {
  /** Iterates with a signal, which must end the iteration well. */
  function controlled(url: string, options: ReconnectingOptions = {}) {
    const controller = new AbortController();
    const { signal } = controller;
    return { iterator: iterate(url, { ...options, signal }), controller, signal };
  }
  const done = { done: true, value: undefined };

  it('ends the iteration before its first dial', async () => {
    const server = await answers(accepts);
    expect(await iterate(server.url, { signal: AbortSignal.abort() }).next()).toEqual(done);
    expect(server.sockets).toHaveLength(0);
  });

  it('ends a dial', async () => {
    let asked = silent;
    const server = await answers(() => asked());
    const { iterator, controller, signal } = controlled(server.url);
    const before = timers();
    asked = () => controller.abort();
    expect(await iterator.next()).toEqual(done);
    expect(timers()).toBeLessThanOrEqual(before);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await server.gone();
    expect(await iterator.next()).toEqual(done);
  });

  it('ends a wait', async () => {
    const server = await answers(refuses(503));
    const before = timers();
    const { iterator, controller, signal } = controlled(server.url, {
      minDelay: 60_000,
      maxDelay: 60_000,
      retry: () => void setImmediate(() => controller.abort(new Error('enough'))),
    });
    expect(await iterator.next()).toEqual(done);
    expect(timers()).toBeLessThanOrEqual(before);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(server.sockets).toHaveLength(1);
  });

  it('closes an open connection with 1000, and then ends the iteration', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    onTestFinished(() => new Promise((resolve) => void server.close(() => resolve())));
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const controller = new AbortController();
    const { signal } = controller;
    server.once('connection', (socket) => socket.send('stop'));
    const texts: string[] = [];
    const conns: Conn[] = [];
    for await (const conn of reconnecting(`ws://127.0.0.1:${port}/`, { ...fast, signal })) {
      conns.push(conn);
      // Ends well: the connection is closed by us, with 1000.
      for await (const message of conn) {
        texts.push(message.text());
        controller.abort();
      }
    }
    expect(texts).toEqual(['stop']);
    expect(conns).toHaveLength(1);
    expect(conns[0]!.state).toBe('closed');
    expect(await conns[0]!.closed).toMatchObject({ code: 1000, wasClean: true });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('closes an open connection while nobody waits for the next', async () => {
    const server = await answers(accepts);
    const { iterator, controller, signal } = controlled(server.url);
    const conn = await connected(iterator);
    controller.abort();
    expect(conn.state).toBe('closing');
    drop(server);
    await conn.closed;
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(await iterator.next()).toEqual(done);
  });

  it('closes a connection that the body has left open, and waits for its end', async () => {
    const server = await answers(accepts);
    const { iterator, controller, signal } = controlled(server.url);
    const conn = await connected(iterator);
    let ended = false;
    const next = iterator.next().then((step) => {
      ended = true;
      return step;
    });
    await turn();
    controller.abort();
    await turn();
    expect([conn.state, ended]).toEqual(['closing', false]);
    drop(server);
    expect(await next).toEqual(done);
    expect(conn.state).toBe('closed');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('leaves alone a connection that is being closed already', async () => {
    const server = await answers((socket, request) => {
      accepts(socket, request);
      socket.once('data', () => socket.end(Buffer.from([0x88, 2, 0x0f, 0xa0])));
    });
    const { iterator, controller } = controlled(server.url);
    const conn = await connected(iterator);
    const closing = conn.close(4000);
    controller.abort();
    expect(await iterator.next()).toEqual(done);
    expect(await closing).toMatchObject({ code: 4000, wasClean: true });
  });

  it('leaves no listener when the connection has ended and nobody asks for another', async () => {
    const server = await answers(accepts);
    const { iterator, signal } = controlled(server.url);
    const conn = await connected(iterator);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    drop(server);
    await conn.closed;
    await turn();
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await connected(iterator);
  });

  it('has one listener however many connections there were', async () => {
    const server = await answers(acceptsAndDrops);
    let inner: AbortSignal | undefined;
    const { iterator, signal } = controlled(server.url, {
      minDelay: 1,
      maxDelay: 1,
      headers: (context) => {
        inner = context.signal;
        return {};
      },
    });
    for (let i = 0; i < 20; i++) {
      const conn = await connected(iterator);
      // The next one is asked for while this one is open.
      await Promise.race([conn.closed, turn()]);
    }
    expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(1);
    expect(getEventListeners(inner!, 'abort')).toEqual([]);
    await iterator.return?.();
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('leaving an iteration', () => {
  it('by break leaves the connection open, also when the signal aborts later', async () => {
    const server = await answers(accepts);
    const controller = new AbortController();
    let kept: Conn | undefined;
    const iterator = iterate(server.url, { signal: controller.signal });
    for await (const conn of { [Symbol.asyncIterator]: () => iterator }) {
      kept = conn;
      break;
    }
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    controller.abort();
    await turn();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(kept!.state).toBe('open');
    kept!.terminate();
    await server.gone();
  });

  it('by an error in its body leaves the connection open and gives the error', async () => {
    const server = await answers(accepts);
    const error = new Error('mine');
    const conns: Conn[] = [];
    const loop = (async () => {
      for await (const conn of reconnecting(server.url, fast)) {
        conns.push(conn);
        throw error;
      }
    })();
    await expect(loop).rejects.toBe(error);
    expect(conns[0]!.state).toBe('open');
    conns[0]!.terminate();
  });

  it('by return ends a dial', async () => {
    let asked = silent;
    const server = await answers(() => asked());
    const iterator = iterate(server.url);
    asked = () => void iterator.return?.();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await server.gone();
  });

  it('by return ends a wait', async () => {
    const before = timers();
    const server = await answers(refuses(503));
    const iterator = iterate(server.url, {
      minDelay: 60_000,
      maxDelay: 60_000,
      retry: () => void setImmediate(() => void iterator.return?.()),
    });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(timers()).toBeLessThanOrEqual(before);
  });

  it('by return ends the wait for a connection’s end, which stays open', async () => {
    const server = await answers(accepts);
    const iterator = iterate(server.url);
    const conn = await connected(iterator);
    const next = iterator.next();
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    expect(await next).toEqual({ done: true, value: undefined });
    expect(conn.state).toBe('open');
  });

  it('closes a connection that opens too late for anybody', async () => {
    let closed = 0;
    const server = await answers((socket, request) => {
      socket.write(request.ok('Set-Cookie: a=b\r\n'));
      socket.once('data', () => {
        closed++;
        socket.end(Buffer.from([0x88, 2, 0x03, 0xe8]));
      });
    });
    let given = 0;
    for (let microtasks = 0; microtasks < 20; microtasks++) {
      const leave = async (): Promise<void> => {
        for (let i = 0; i < microtasks; i++) await Promise.resolve();
        await iterator.return?.();
      };
      // The last stage of a dial: some microtasks later it has ended.
      const jar = { getCookieString: () => '', setCookie: () => void leave() };
      const iterator = iterate(server.url, { jar });
      const { done, value } = await iterator.next();
      if (done) continue;
      given++;
      value.terminate();
    }
    await server.gone();
    expect(closed).toBeGreaterThan(0);
    expect(given).toBeGreaterThan(0);
  });
});

describe('the waits of reconnecting', () => {
  const waits = async (replies: Reply[], options: ReconnectingOptions): Promise<number[]> => {
    const server = await answers(...replies, refuses(404));
    const seen: number[] = [];
    const iterator = iterate(server.url, {
      ...options,
      retry: (_, { delay }) => void seen.push(delay),
    });
    await expect(iterator.next()).rejects.toMatchObject({ status: 404 });
    return seen;
  };

  it('double from minDelay to maxDelay', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    onTestFinished(() => void vi.restoreAllMocks());
    const replies = Array<Reply>(5).fill(drops);
    const seen = await waits(replies, { minDelay: 2, maxDelay: 20 });
    expect(seen.slice(0, 5)).toEqual([4, 8, 16, 20, 20]);
  });

  it('grow while a server accepts and drops at once, and begin anew behind one that lasts', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => void vi.restoreAllMocks());
    const server = await answers(drops, acceptsAndDrops, drops, accepts, drops, refuses(404));
    const seen: number[] = [];
    const tries: number[] = [];
    const iterator = iterate(server.url, {
      minDelay: 20,
      maxDelay: 10_000,
      retry: (_, next) => {
        tries.push(next.tries);
        seen.push(next.delay);
      },
    });
    const short = await connected(iterator);
    // The wait before it was 20 ms.
    now += 20;
    await short.closed;
    const long = await connected(iterator);
    // The wait before it was 80 ms.
    now += 81;
    drop(server);
    await long.closed;
    await expect(iterator.next()).rejects.toMatchObject({ status: 404 });
    expect(tries).toEqual([1, 3, 1, 2]);
    expect(seen).toEqual([20, 80, 40, 80]);
  });

  it('are as long as Retry-After asks and some more, up to maxDelay', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    onTestFinished(() => void vi.restoreAllMocks());
    const soon = new Date(Date.now() + 3_600_000).toUTCString();
    const seen = await waits(
      [
        refuses(503, 'Retry-After: 0\r\n'),
        refuses(429, 'Retry-After: 3600\r\n'),
        refuses(503, `Retry-After: ${soon}\r\n`),
        refuses(503, 'Retry-After: whenever\r\n'),
      ],
      { minDelay: 1, maxDelay: 30 },
    );
    expect(seen.slice(0, 4)).toEqual([1, 30, 30, 8]);
  });

  it('honour a Retry-After that maxDelay allows', async () => {
    const controller = new AbortController();
    const server = await answers(refuses(503, 'Retry-After: 2\r\n'));
    let delay = 0;
    const iterator = iterate(server.url, {
      minDelay: 10,
      maxDelay: 60_000,
      signal: controller.signal,
      retry: (_, next) => {
        delay = next.delay;
        setImmediate(() => controller.abort());
      },
    });
    await iterator.next();
    expect(delay).toBeGreaterThanOrEqual(2010);
    expect(delay).toBeLessThanOrEqual(2020);
  });

  it('keep the process alive', async () => {
    const server = await answers(refuses(503));
    let failed = silent;
    const failure = new Promise<void>((resolve) => {
      failed = resolve;
    });
    const iterator = iterate(server.url, {
      minDelay: 60_000,
      maxDelay: 60_000,
      handshakeTimeout: false,
      retry: () => failed(),
    });
    const before = timers();
    const next = iterator.next();
    await failure;
    await turn();
    // What is unref'd is not among them.
    expect(timers()).toBe(before + 1);
    await iterator.return?.();
    await next;
  });
});

describe('retry', () => {
  it('ends the iteration with the error by false', async () => {
    const server = await answers(refuses(503));
    await expect(iterate(server.url, { retry: () => false }).next()).rejects.toMatchObject({
      status: 503,
    });
    expect(server.sockets).toHaveLength(1);
  });

  it('goes on by true after what would have ended it', async () => {
    const server = await answers(refuses(401), refuses(404), accepts);
    const conn = await connected(iterate(server.url, { retry: () => true }));
    expect(conn.state).toBe('open');
  });

  it('leaves it to the default by anything else', async () => {
    const server = await answers(refuses(503), refuses(403));
    const retry = (() => 1) as never;
    await expect(iterate(server.url, { retry }).next()).rejects.toMatchObject({ status: 403 });
  });

  it.each([
    ['resolves', () => Promise.resolve(true)],
    ['rejects', () => Promise.reject(new Error('nobody hears of it'))],
  ])(
    'that returns a promise which %s is a TypeError, whose cause is the failure',
    async (_, retry) => {
      const server = await answers(refuses(503));
      await expect(iterate(server.url, { retry: retry as never }).next()).rejects.toMatchObject({
        name: 'TypeError',
        message: 'retry: expected true, false or nothing, got a promise',
        cause: { status: 503 },
      });
      await turn();
    },
  );

  it('hears of the tries behind a connection that lasted, from 1 on', async () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => void vi.restoreAllMocks());
    const server = await answers(accepts, drops, drops, drops, refuses(404));
    const tries: number[] = [];
    const iterator = iterate(server.url, { retry: (_, next) => void tries.push(next.tries) });
    const conn = await connected(iterator);
    now += 1000;
    drop(server);
    await conn.closed;
    await expect(iterator.next()).rejects.toMatchObject({ status: 404 });
    expect(tries).toEqual([1, 2, 3, 4]);
  });

  it('ends the iteration with what it throws', async () => {
    const server = await answers(refuses(503));
    const error = new Error('mine');
    const iterator = iterate(server.url, {
      retry: () => {
        throw error;
      },
    });
    await expect(iterator.next()).rejects.toBe(error);
    expect(await iterator.next()).toMatchObject({ done: true });
  });
});

describe('reconnecting throws at once', () => {
  it.each<[string, ReconnectingOptions, typeof Error, string]>([
    [
      'an unknown option',
      { minimum: 5 } as never,
      TypeError,
      'reconnecting: unknown option minimum; there are minDelay',
    ],
    ['no object of options', 5 as never, TypeError, 'options'],
    ['null for options', null as never, TypeError, 'options'],
    ['a minDelay of 0', { minDelay: 0 }, RangeError, 'minDelay'],
    ['a negative minDelay', { minDelay: -1 }, RangeError, 'minDelay'],
    ['a minDelay that is no number', { minDelay: Number.NaN }, RangeError, 'minDelay'],
    ['a minDelay as text', { minDelay: '5' as never }, TypeError, 'minDelay'],
    ['a maxDelay without end', { maxDelay: Infinity }, RangeError, 'maxDelay'],
    ['a maxDelay of false', { maxDelay: false as never }, TypeError, 'maxDelay'],
    ['a minDelay over maxDelay', { minDelay: 6, maxDelay: 5 }, RangeError, 'minDelay: 6 is more'],
    ['a stop code of 999', { stopCodes: [999] }, RangeError, 'stopCodes'],
    ['a stop code of 5000', { stopCodes: [1000, 5000] }, RangeError, 'stopCodes'],
    ['a stop code of 1000.5', { stopCodes: [1000.5] }, RangeError, 'stopCodes'],
    ['a stop code as text', { stopCodes: ['1000' as never] }, TypeError, 'stopCodes'],
    ['one stop code', { stopCodes: 1000 as never }, TypeError, 'stopCodes'],
    ['a signal that is none', { signal: {} as never }, TypeError, 'signal'],
    ['a retry that is no function', { retry: true as never }, TypeError, 'retry'],
    ['a bad handshakeTimeout', { handshakeTimeout: 0 }, RangeError, 'handshakeTimeout'],
    ['a fixed header', { headers: { Upgrade: 'x' } }, TypeError, 'Upgrade'],
    ['a header with a line end', { headers: { 'X-A': 'a\r\nb' } }, TypeError, 'X-A'],
    ['headers of null', { headers: null as never }, TypeError, 'headers'],
    ['a bad subprotocol', { subprotocols: ['a b'] }, SyntaxError, 'subprotocols'],
    ['a bad setting of the Conn', { readLimit: 0 }, RangeError, 'readLimit'],
  ])('for %s', (_, options, type, words) => {
    const call = (): unknown => reconnecting('ws://h/', options);
    expect(call).toThrow(type);
    expect(call).toThrow(words);
  });

  it.each<[string, unknown, typeof Error]>([
    ['no URL', 'nowhere', SyntaxError],
    ['a URL of another scheme', 'ftp://h/', SyntaxError],
    ['user info', 'ws://a:b@h/', SyntaxError],
    ['a number', 5, TypeError],
  ])('for %s', (_, url, type) => {
    expect(() => reconnecting(url as string)).toThrow(type);
  });

  it('for nothing else: a minDelay over the default maxDelay, and the reverse', () => {
    expect(() => reconnecting('ws://h/', { minDelay: 60_000 })).not.toThrow();
    expect(() => reconnecting('ws://h/', { maxDelay: 5 })).not.toThrow();
  });
});

describe('reconnecting to a server of ws', () => {
  /** A server of `ws` on a port of its own, or on this one. */
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

  it('that goes down and comes up again on the same port', async () => {
    const first = await wsServer();
    const iterator = iterate(`ws://127.0.0.1:${first.port}/`, {
      retry: (error) => void failures.push(error),
    });
    const failures: unknown[] = [];
    await connected(iterator);
    await first.stop();
    const next = connected(iterator);
    await vi.waitFor(() => expect(failures.length).toBeGreaterThan(2), { interval: 2 });
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

  it('subscribes anew on every connection', async () => {
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
