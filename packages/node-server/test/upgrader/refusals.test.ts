import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { HandshakeError, Upgrader } from '../../src/index.ts';
import { exchange, RawPeer, request } from '../raw.ts';
import { clients, endAfterEach, listening } from '../upgrade-server.ts';

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
      error: (req, _socket, status, error) => {
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
    ['returns a promise', async () => ({ status: 404 }), 'error: returned a promise'],
    ['rejects', () => Promise.reject(new Error('mine')), 'error: returned a promise'],
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

  it.each<[string, (socket: Duplex) => Promise<void>]>([
    [
      'has written',
      async (socket) => {
        socket.end('HTTP/1.1 400 No\r\nConnection: close\r\n\r\nmine');
        throw new Error('mine');
      },
    ],
    [
      'writes later',
      async (socket) => {
        await new Promise(setImmediate);
        socket.write('HTTP/1.1 400 No\r\n\r\nmine');
        throw new Error('mine');
      },
    ],
  ])('whose promise rejects after it %s ends no process', async (_, hook) => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', note);
    const error = (_req: unknown, socket: Duplex): unknown => hook(socket);
    const upgrader = new Upgrader({ error: error as () => undefined, report: () => {} });
    const server = await listening(upgrader);
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer.status).toBe(400);
    expect(String(await server.outcome())).toContain('error: returned a promise');
    await new Promise(setImmediate);
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  it('answers a handshake whose time is up', async () => {
    const upgrader = new Upgrader({
      handshakeTimeout: 30,
      authenticate: () => new Promise<never>(() => {}),
      error: () => ({ status: 599 }),
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request())).status).toBe(599);
  });

  it('may answer 426, which names the protocol (RFC 9110, section 15.5.22)', async () => {
    const upgrader = new Upgrader({ authenticate: () => false, error: () => ({ status: 426 }) });
    const server = await listening(upgrader);
    const { status, headers } = await exchange(server.port, request());
    expect([status, headers.get('upgrade')]).toEqual([426, 'websocket']);
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
      const open = { port: server.port, host: '127.0.0.1', allowHalfOpen: true };
      const client = new RawPeer(connect(open));
      clients.push(client);
      client.stream.write(request({ without: ['sec-websocket-key'] }));
      await client.until(() => client.ended);
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
