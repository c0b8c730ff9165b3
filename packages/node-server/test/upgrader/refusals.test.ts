import { EventEmitter, once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { HandshakeError, Upgrader } from '../../src/index.ts';
import { exchange, RawPeer, request } from '../raw.ts';
import { clients, connected, endAfterEach, listening } from '../upgrade-server.ts';

endAfterEach();

describe('the answer to a refused request', () => {
  it('has the length but no body for HEAD', async () => {
    const server = await listening(new Upgrader());
    const answer = await exchange(server.port, request({ line: 'HEAD /chat HTTP/1.1' }));
    expect(answer.status).toBe(405);
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(0);
    expect(answer.body).toBe('');
  });

  it('has neither body nor length with 304', async () => {
    const server = await listening(new Upgrader({ authenticate: () => ({ refuse: 304 }) }));
    const answer = await exchange(server.port, request());
    expect(answer.status).toBe(304);
    expect(answer.names).not.toContain('Content-Length');
    expect(answer.body).toBe('');
  });

  it('has one Date, the given one if any', async () => {
    const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
    const server = await listening(
      new Upgrader({ authenticate: () => ({ refuse: 401, headers: { date } }) }),
    );
    const answer = await exchange(server.port, request());
    expect(answer.names.filter((name) => /^date$/i.test(name))).toEqual(['date']);
    expect(answer.headers.get('date')).toBe(date);
  });

  it('is understood by ws when it names Upgrade', async () => {
    const server = await listening(new Upgrader());
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}`, { protocolVersion: 8 });
    const [, response] = (await once(ws, 'unexpected-response')) as [unknown, IncomingMessage];
    ws.on('error', () => {}).terminate();
    expect(response.statusCode).toBe(426);
    expect(response.headers).toMatchObject({ upgrade: 'websocket', connection: 'close, Upgrade' });
  });
});

describe('error', () => {
  it('returns the answer', async () => {
    const seen: unknown[] = [];
    const upgrader = new Upgrader({
      error: async (req, _socket, status, error) => {
        await Promise.resolve();
        seen.push(req.url, status, error.status);
        return { status: 418, headers: { 'Content-Type': 'text/html', 'X-A': 'b' }, body: '<p>' };
      },
    });
    const server = await listening(upgrader);
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer).toMatchObject({ status: 418, body: '<p>' });
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      connection: 'close',
      'content-length': '3',
      'content-type': 'text/html',
      'x-content-type-options': 'nosniff',
      'x-a': 'b',
    });
    expect(seen).toEqual(['/chat', 400, 400]);
    expect(await server.outcome()).toBeInstanceOf(HandshakeError);
  });

  it('keeps the headers and the body of the same status', async () => {
    const server = await listening(new Upgrader({ error: () => ({ status: 405 }) }));
    const answer = await exchange(server.port, request({ line: 'POST / HTTP/1.1' }));
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('GET');
    expect(answer.body).toContain('request method is not GET');
  });

  it('has the reason phrase of another status as its body', async () => {
    const server = await listening(new Upgrader({ error: () => ({ status: 404 }) }));
    const answer = await exchange(server.port, request({ line: 'POST / HTTP/1.1' }));
    expect(answer).toMatchObject({ status: 404, body: 'Not Found\n' });
    expect(answer.headers.has('allow')).toBe(false);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
      'mine',
    ],
    ['rejects', () => Promise.reject(new Error('mine')), 'mine'],
    ['returns no status', () => ({}), 'expected a status from 300 to 599, got undefined; return'],
    ['returns a status of success', () => ({ status: 200 }), 'got 200'],
    ['returns a body of bytes', () => ({ status: 400, body: Buffer.alloc(1) }), 'error: body:'],
    ['returns a header that ends its line', () => ({ status: 400, headers: { a: '\n' } }), '"a"'],
  ])('that %s leaves the default answer', async (_, hook, message) => {
    const server = await listening(new Upgrader({ error: hook as never }));
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer.status).toBe(400);
    expect(answer.body).toContain('Sec-WebSocket-Key');
    expect(String(await server.outcome())).toContain(message);
  });

  it.each<[string, () => unknown]>([
    ['nothing', () => undefined],
    ['a promise', async () => {}],
    ['a number', () => 1],
  ])('that only logs leaves the default answer, if it returns %s', async (_, hook) => {
    const upgrader = new Upgrader({
      error: hook as () => undefined,
      authenticate: () => ({ refuse: 401 }),
    });
    const server = await listening(upgrader.handler(() => {}));
    const answer = await exchange(server.port, request());
    expect(answer).toMatchObject({ status: 401, body: 'Unauthorized\n' });
    expect(answer.raw.split('HTTP/1.1').length).toBe(2);
  });

  it.each<[string, (socket: Duplex) => unknown]>([
    ['writes', (socket) => void socket.write('HTTP/1.1 400 No\r\nConnection: close\r\n\r\nmine')],
    ['ends', (socket) => socket.end('HTTP/1.1 400 No\r\nConnection: close\r\n\r\nmine')],
  ])('that %s its socket as before is reported, with the cure', async (_, write) => {
    const reported: string[] = [];
    const upgrader = new Upgrader({
      error: (_req, socket) => void write(socket),
      report: (error, { where }) => reported.push(`${where}: ${String(error)}`),
    });
    const server = await listening(upgrader);
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer.raw).toBe('HTTP/1.1 400 No\r\nConnection: close\r\n\r\nmine');
    expect(reported).toEqual([
      'error: TypeError: error: has written to the socket; return { status, headers, body } instead of writing to the socket',
    ]);
    expect(await server.outcome()).toMatchObject({ status: 400 });
  });
});

describe('an error that never settles', () => {
  it('gets the default answer when the time is up, and keeps its place until then', async () => {
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      handshakeTimeout: 1_500,
      maxHandshakes: 1,
      maxConnections: 1,
      error: (_req, _socket, status) => {
        asked.emit('asked');
        return status === 400 ? new Promise(() => {}) : undefined;
      },
    });
    const server = await listening(upgrader);
    const waits = once(asked, 'asked');
    const stuck = exchange(server.port, request({ without: ['sec-websocket-key'] }));
    await waits;
    expect((await exchange(server.port, request())).status).toBe(503);
    expect((await stuck).status).toBe(400);
    expect(await server.outcome(1)).toMatchObject({ status: 400 });
    const client = await connected(server);
    expect((await client.upgrade()).status).toBe(101);
  });

  it('answers a handshake whose time is up, also when it is async', async () => {
    const upgrader = new Upgrader({
      handshakeTimeout: 30,
      authenticate: () => new Promise(() => {}),
      error: async () => ({ status: 599 }),
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request())).status).toBe(599);
  });

  it('is reported when it rejects after the answer', async () => {
    const reported = vi.fn<(error: unknown) => void>();
    let reject: (error: Error) => void = () => {};
    const late = new Promise<never>((_, fail) => (reject = fail));
    const upgrader = new Upgrader({
      handshakeTimeout: 30,
      authenticate: () => new Promise(() => {}),
      error: () => late,
      report: reported,
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request())).status).toBe(503);
    reject(new Error('too late'));
    await new Promise(setImmediate);
    expect(reported.mock.calls.map(([error]) => String(error))).toContain('Error: too late');
  });

  it('is bounded by maxHandshakes, also after clients that left while a call was pending', async () => {
    const settle: (() => void)[] = [];
    let [pending, most] = [0, 0];
    const upgrader = new Upgrader({
      handshakeTimeout: 300,
      maxHandshakes: 1,
      report: () => {},
      authenticate: (req) =>
        req.url === '/waits' ? new Promise((resolve) => settle.push(() => resolve(true))) : false,
      error: () => {
        most = Math.max(most, ++pending);
        return new Promise((resolve) => settle.push(() => void (pending--, resolve())));
      },
    });
    const server = await listening(upgrader);
    for (let i = 0; i < 3; i++) {
      const client = await connected(server);
      client.stream.write(request({ line: 'GET /waits HTTP/1.1' }));
      await expect.poll(() => settle.length).toBeGreaterThan(i);
      client.stream.resetAndDestroy();
      // Its time is up before its call settles.
      await expect.poll(() => upgrader.stats.handshakesPending).toBe(0);
    }
    for (const end of settle.splice(0)) end();
    await new Promise(setImmediate);
    await Promise.all(Array.from({ length: 4 }, () => exchange(server.port, request())));
    expect(most).toBe(1);
    for (const end of settle) end();
  });

  it('may answer 426, which names the protocol (RFC 9110, section 15.5.22)', async () => {
    const upgrader = new Upgrader({ authenticate: () => false, error: () => ({ status: 426 }) });
    const server = await listening(upgrader);
    const { status, headers } = await exchange(server.port, request());
    expect([status, headers.get('upgrade')]).toEqual([426, 'websocket']);
  });

  it('releases its place when the client disconnects and the hook settles', async () => {
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      handshakeTimeout: false,
      maxHandshakes: 1,
      error: (_req, socket) => {
        asked.emit('asked');
        return new Promise((resolve) => socket.once('close', () => resolve()));
      },
    });
    const server = await listening(upgrader);
    const client = await connected(server);
    const waits = once(asked, 'asked');
    client.stream.write(request({ without: ['sec-websocket-key'] }));
    await waits;
    client.stream.resetAndDestroy();
    expect(await server.outcome()).toMatchObject({ status: 400 });
    expect((await (await connected(server)).upgrade()).status).toBe(101);
  });

  it('is not awaited after the time is up', async () => {
    const upgrader = new Upgrader({
      handshakeTimeout: 10,
      authenticate: () => new Promise(() => {}),
      error: () => new Promise(() => {}),
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request())).status).toBe(503);
  });
});

describe('a refused socket', () => {
  it('is destroyed early when its peer keeps sending', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const server = await listening(new Upgrader());
      const open = { port: server.port, host: '127.0.0.1', allowHalfOpen: true };
      const client = new RawPeer(connect(open));
      clients.push(client);
      client.stream.write(request({ without: ['sec-websocket-key'] }));
      const chunk = Buffer.alloc(64 * 1024);
      const timer = setInterval(() => client.stream.write(chunk), 0);
      await client.closed;
      clearInterval(timer);
      expect(client.received.toString()).toMatch(/^HTTP\/1\.1 400 /);
    } finally {
      vi.useRealTimers();
    }
  });

  it('is destroyed when its peer does not end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      let closed = false;
      const upgrader = new Upgrader();
      const server = await listening((req: IncomingMessage, socket: Duplex, head: Buffer) => {
        socket.on('close', () => {
          closed = true;
        });
        upgrader.upgrade(req, socket, head).catch((error: unknown) => server.settled(error));
      });
      const client = await connected(server);
      client.stream.write(request({ without: ['sec-websocket-key'] }));
      await client.until(() => client.received.includes('\r\n\r\n'));
      await server.outcome();
      expect(closed).toBe(false);
      vi.advanceTimersByTime(2_000);
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
      expect(closed).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });
});
