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
  it('replaces the default answer', async () => {
    const seen: unknown[] = [];
    const upgrader = new Upgrader({
      error: async (req, socket, status, error) => {
        await Promise.resolve();
        seen.push(req.url, status, error.status);
        socket.write(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\nmine`);
      },
    });
    const server = await listening(upgrader);
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer.raw).toBe('HTTP/1.1 400 No\r\nConnection: close\r\n\r\nmine');
    expect(seen).toEqual(['/chat', 400, 400]);
    expect(await server.outcome()).toBeInstanceOf(HandshakeError);
  });

  it.each([
    {
      says: 'throws',
      hook: (): unknown => {
        throw new Error('mine');
      },
    },
    { says: 'rejects', hook: (): unknown => Promise.reject(new Error('mine')) },
  ])('that $says before it has written anything leaves the default answer', async ({ hook }) => {
    const server = await listening(new Upgrader({ error: hook }));
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer.status).toBe(400);
    expect(answer.body).toContain('Sec-WebSocket-Key');
    expect(await server.outcome()).toMatchObject({ message: 'mine' });
  });

  it.each<[string, () => unknown]>([
    ['nothing', () => undefined],
    ['a promise', async () => {}],
  ])('that only logs leaves the default answer, if it returns %s', async (_, hook) => {
    const upgrader = new Upgrader({ error: hook, authenticate: () => ({ refuse: 401 }) });
    const server = await listening(upgrader.handler(() => {}));
    const answer = await exchange(server.port, request());
    expect(answer).toMatchObject({ status: 401, body: 'Unauthorized\n' });
    expect(answer.raw.split('HTTP/1.1').length).toBe(2);
  });

  it('that only ends the socket leaves no answer', async () => {
    const upgrader = new Upgrader({ error: (_req, socket) => socket.end() });
    const server = await listening(upgrader);
    const client = await connected(server);
    client.stream.write(request({ line: 'GET / HTTP/1.0' }));
    await client.closed;
    expect(client.received.length).toBe(0);
  });

  it('that throws in the middle of its answer drops the socket', async () => {
    const fault = new Error('mine');
    const upgrader = new Upgrader({
      error: (_req, socket) => {
        socket.write('HTTP/1.1 400 No\r\n');
        throw fault;
      },
    });
    const server = await listening(upgrader);
    const client = await connected(server);
    client.stream.write(request({ line: 'GET / HTTP/1.0' }));
    await client.closed;
    expect(client.received.toString()).not.toContain('Content-Length');
    expect(await server.outcome()).toBe(fault);
  });
});

describe('an error that never settles', () => {
  it('keeps its place until the time is up, then the socket ends after its bytes', async () => {
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      handshakeTimeout: 1_500,
      maxHandshakes: 1,
      maxConnections: 1,
      error: (_req, socket, status) => {
        socket.write(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\n`);
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

  it('releases its place when the client disconnects and the hook settles', async () => {
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      handshakeTimeout: false,
      maxHandshakes: 1,
      error: (_req, socket) => {
        asked.emit('asked');
        return new Promise((resolve) => socket.once('close', resolve));
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
      error: (_req, socket, status) => {
        socket.write(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\n`);
        return new Promise(() => {});
      },
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
