import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Conn, type ServeOptions, serve, Upgrader, type WsServer } from '../src/index.ts';
import { connectRaw, exchange, request, trapLeftovers } from './raw.ts';

trapLeftovers();

async function listening(): Promise<{ http: Server; port: number }> {
  const http = createServer().listen(0, '127.0.0.1');
  await once(http, 'listening');
  onTestFinished(async () => {
    http.close();
    http.closeAllConnections();
    await once(http, 'close').catch(() => {});
  });
  return { http, port: (http.address() as AddressInfo).port };
}

/** A server of ours with one route, and what it reports. */
async function attached(
  http: Server,
  path: string,
  options: ServeOptions = {},
): Promise<{ server: WsServer; reported: unknown[]; conns: Conn[] }> {
  const reported: unknown[] = [];
  const conns: Conn[] = [];
  const routes = {
    [path]: (conn: Conn): void => {
      conns.push(conn);
      conn.terminate();
    },
  };
  const report = (error: unknown): void => void reported.push(error);
  const server = await serve({ server: http, report, ...options }, routes);
  onTestFinished(async () => void (await server.close()));
  return { server, reported, conns };
}

const statusOf = async (port: number, path: string): Promise<number> =>
  (await exchange(port, request({ line: `GET ${path} HTTP/1.1` }))).status;

describe("unmatched: 'leave'", () => {
  it('lets two servers of ours share an HTTP server', async () => {
    const { http, port } = await listening();
    const a = await attached(http, '/a', { unmatched: 'leave' });
    const b = await attached(http, '/b/:id');
    expect(await statusOf(port, '/a')).toBe(101);
    expect(await statusOf(port, 'http://server.example.com/a?x')).toBe(101);
    expect(await statusOf(port, '/b/1')).toBe(101);
    expect(await statusOf(port, '/c')).toBe(404);
    expect([a.conns.length, b.conns.length]).toEqual([2, 1]);
    expect([...a.reported, ...b.reported]).toEqual([]);
  });

  it('answers 404 when no other listener could answer', async () => {
    const { http, port } = await listening();
    const a = await attached(http, '/a', { unmatched: 'leave' });
    const b = await attached(http, '/b', { unmatched: 'leave' });
    expect(await statusOf(port, '/a')).toBe(101);
    expect(await statusOf(port, '/b')).toBe(101);
    expect(await statusOf(port, '/c')).toBe(404);
    await b.server.close();
    expect(await statusOf(port, '/b')).toBe(404);
    expect(a.conns).toHaveLength(1);
  });

  it('keeps the answer to plain requests when one of two servers closes', async () => {
    const { http, port } = await listening();
    const plain = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const a = await attached(http, '/a', { unmatched: 'leave' });
    await attached(http, '/b', { unmatched: 'leave' });
    expect((await exchange(port, plain)).status).toBe(426);
    await a.server.close();
    expect((await exchange(port, plain)).status).toBe(426);
    await attached(http, '/c', {
      unmatched: 'leave',
      request: (_req, res) => void res.setHeader('Connection', 'close').end('mine'),
    });
    expect((await exchange(port, plain)).status).toBe(200);
    const more = attached(http, '/d', { unmatched: 'leave', request: () => {} });
    await expect(more).rejects.toThrow(/^request: the given server already has a listener/);
  });

  it('answers a plain request once when a listener of somebody else passes it on', async () => {
    const { http, port } = await listening();
    await attached(http, '/a', { unmatched: 'leave' });
    await attached(http, '/b', { unmatched: 'leave' });
    const ours = http.listeners('request');
    http.removeAllListeners('request').on('request', (req, res) => {
      for (const listener of ours) listener.call(http, req, res);
    });
    const plain = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await exchange(port, plain)).status).toBe(426);
  });

  it('reads, writes and counts nothing of a request that it leaves', async () => {
    const { http, port } = await listening();
    await attached(http, '/a', { unmatched: 'leave', maxHandshakes: 1 });
    const upgrades = once(http, 'upgrade');
    const client = await connectRaw(port);
    client.stream.write(request({ line: 'GET /b HTTP/1.0', behind: Buffer.from('early') }));
    const [, socket, head] = (await upgrades) as [unknown, Socket, Buffer];
    expect(socket.eventNames().filter((name) => name === 'data')).toEqual([]);
    expect(socket.bytesWritten).toBe(0);
    expect(head.toString()).toBe('early');
    socket.end('HTTP/1.1 200 OK\r\n\r\nmine');
    await client.closed;
    expect(client.received.toString()).toContain('mine');
    expect(await statusOf(port, '/a')).toBe(101);
  });

  it('answers 404 when all listeners of Upgraders leave the path', async () => {
    const { http, port } = await listening();
    for (const path of ['/a', '/b']) {
      const upgrader = new Upgrader({ unmatched: 'leave' });
      http.on('upgrade', upgrader.handler({ [path]: (conn: Conn) => conn.terminate() }));
    }
    expect(await statusOf(port, '/a')).toBe(101);
    expect(await statusOf(port, '/b')).toBe(101);
    expect(await statusOf(port, '/c')).toBe(404);
  });

  it('gives a page once for an upgrade to another protocol', async () => {
    const { http, port } = await listening();
    let pages = 0;
    http.on('request', (_req, res) => {
      pages++;
      res.setHeader('Connection', 'close').end('page');
    });
    for (const path of ['/a', '/b']) {
      const upgrader = new Upgrader({ unmatched: 'leave' });
      http.on('upgrade', upgrader.handler({ [path]: (conn: Conn) => conn.terminate() }));
    }
    for (const path of ['/a', '/b', '/c']) {
      const line = `GET ${path} HTTP/1.1`;
      const { status, body } = await exchange(port, request({ line, set: ['Upgrade: h2c'] }));
      expect([status, body]).toEqual([200, 'page']);
    }
    expect(pages).toBe(3);
  });

  it('works for a listener of an Upgrader', async () => {
    const { http, port } = await listening();
    const upgrader = new Upgrader({ unmatched: 'leave' });
    http.on('upgrade', upgrader.handler({ '/a': (conn) => conn.terminate() }));
    http.on('upgrade', (req, socket) => {
      if (req.url !== '/a') socket.end('HTTP/1.1 418 No\r\n\r\n');
    });
    expect(await statusOf(port, '/a')).toBe(101);
    expect(await statusOf(port, '/b')).toBe(418);
  });

  it('is rejected where no other listener could answer', async () => {
    const routes = { '/a': () => {} };
    const { http } = await listening();
    await expect(serve({ unmatched: 'leave' }, routes)).rejects.toThrow(/^unmatched: .*server/);
    const options = { unmatched: 'leave', server: http } as const;
    await expect(serve(options, () => {})).rejects.toThrow(/^unmatched: .*routes/);
    for (const unmatched of [403, 'drop', null, true] as never[]) {
      expect(() => new Upgrader({ unmatched })).toThrow(/^unmatched: expected 404 or 'leave', got/);
    }
  });
});

describe('a second server of ours on one HTTP server', () => {
  it('gets an error that names the option, until the first has closed', async () => {
    const { http, port } = await listening();
    const { server } = await attached(http, '/a');
    for (const unmatched of [404, 'leave'] as const) {
      await expect(attached(http, '/b', { unmatched })).rejects.toThrow(/^server: .*unmatched/);
    }
    expect(await statusOf(port, '/a')).toBe(101);
    await server.close();
    await attached(http, '/b');
    expect(await statusOf(port, '/b')).toBe(101);
  });
});
