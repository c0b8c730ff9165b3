import { once } from 'node:events';
import { createServer } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { selfSigned } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type AdmitOrRefuse, Upgrader } from '../../src/index.ts';
import { type RawServeOptions, serveRaw } from '../../src/raw/index.ts';
import { connectRaw, exchange, masked, RawPeer, request, trapLeftovers } from '../raw.ts';

trapLeftovers();

const TEXT = 1;

async function started<Auth extends AdmitOrRefuse>(
  options: RawServeOptions<Auth> = {},
): Promise<{ port: number; server: Awaited<ReturnType<typeof serveRaw>> }> {
  const server = await serveRaw({ host: '127.0.0.1', ...options }, (conn) =>
    conn.receive((message) => conn.send(message)),
  );
  onTestFinished(async () => void (await server.close({ timeout: 1 })));
  return { server, port: Number(new URL(server.url).port) };
}

const plain = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('serveRaw', () => {
  it('echoes frames that arrived with the request', async () => {
    const { port, server } = await started();
    const peer = await connectRaw(port);
    await peer.write(request(), masked(TEXT, 'first'));
    expect((await peer.head()).slice(0, 12)).toBe('HTTP/1.1 101');
    peer.startFrames();
    expect(await peer.frame()).toMatchObject({ opcode: TEXT, payload: Buffer.from('first') });
    expect([...server.connections][0]!.remoteAddr).toMatch(/^127\.0\.0\.1:/);
    peer.destroy();
  });

  it.each(
    // biome-ignore format: a table
    [
      ['a plain request', plain('/'), 426, 'this is a WebSocket server\n'],
      ['an unknown upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n', 426, 'this is a WebSocket server\n'],
      ['a malformed head', 'GET / HTTP/1.1\nHost: a\n\n', 400, 'not an HTTP request: malformed start line\n'],
      ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'not an HTTP request: malformed start line\n'],
      ['a TLS client', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc', 400, 'not an HTTP request: malformed start line\n'],
    ],
  )('answers %s and ends', async (_, bytes, status, body) => {
    const { port, server } = await started();
    const answer = await exchange(port, Buffer.from(bytes, 'latin1'));
    expect([answer.status, answer.body]).toEqual([status, body]);
    expect(answer.headers.get('connection')).toMatch(/^close/);
    expect(server.stats.refused).toEqual({ [status]: 1 });
  });

  it('ends clients that send a byte now and then, or nothing, when the time is up', async () => {
    const { port } = await started({ handshakeTimeout: 200 });
    const [silent, slow] = [await connectRaw(port), await connectRaw(port)];
    const drip = setInterval(() => void slow.write('G'), 20);
    onTestFinished(() => clearInterval(drip));
    for (const peer of [silent, slow]) {
      expect(await peer.head()).toMatch(/^HTTP\/1.1 408 /);
      peer.destroy();
    }
  });

  it('counts the time from the start of the socket also for authenticate', async () => {
    const { port } = await started({
      handshakeTimeout: 200,
      authenticate: () => new Promise<true>(() => {}),
      report: () => {},
    });
    const peer = await connectRaw(port);
    await peer.write(request());
    expect(await peer.head()).toMatch(/^HTTP\/1.1 503 /);
    peer.destroy();
  });

  it('survives clients that leave while authenticate is pending', async () => {
    const signals: AbortSignal[] = [];
    let asked = (): void => {};
    const { port, server } = await started({
      authenticate: (_head, { signal }) => {
        signals.push(signal);
        asked();
        return new Promise<true>((resolve) => {
          signal.addEventListener('abort', () => resolve(true));
        });
      },
    });
    for (const leave of [
      (p: RawPeer) => p.reset(),
      (p: RawPeer) => p.destroy(),
      (p: RawPeer) => p.end(),
    ]) {
      const arrived = new Promise<void>((resolve) => {
        asked = resolve;
      });
      const peer = await connectRaw(port);
      await peer.write(request());
      await arrived;
      const signal = signals.at(-1)!;
      const aborted = once(signal, 'abort');
      leave(peer);
      await aborted;
      peer.destroy();
    }
    expect(server.stats.opened).toBe(0);
    expect(signals).toHaveLength(3);
  });

  it('bounds the connections of one client with 429', async () => {
    const { port } = await started({ limits: [{ by: 'address', connections: 1 }] });
    const peer = await connectRaw(port);
    await peer.upgrade();
    const { status, body } = await exchange(port, request());
    expect([status, body]).toEqual([429, 'too many connections from this address\n']);
    peer.destroy();
  });

  it('sends the Retry-After of a refusal', async () => {
    const { port } = await started({
      authenticate: () => ({ refuse: 503, headers: { 'Retry-After': '7' } }) as const,
    });
    expect((await exchange(port, request())).headers.get('retry-after')).toBe('7');
  });

  it('closes with the close frame, ends half-sent heads, and then does not listen', async () => {
    const { port, server } = await started();
    const [open, half, silent] = [
      await connectRaw(port),
      await connectRaw(port),
      await connectRaw(port),
    ];
    await open.upgrade();
    open.startFrames();
    await half.write('GET / HTTP/1.1\r\nHo');
    const closing = server.close();
    expect(await open.frame()).toMatchObject({ opcode: 8 });
    open.destroy();
    await Promise.all([half.closed, silent.closed]);
    expect(await closing).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
    await expect(connectRaw(port)).rejects.toThrow(/ECONNREFUSED/);
  });

  it('serves wss, chooses http/1.1 by ALPN, and replaces its certificate', async () => {
    const { key, cert } = await selfSigned();
    const { port, server } = await started({ tls: { key, cert } });
    expect(server.url).toBe(`wss://127.0.0.1:${port}`);
    server.reload({ key, cert });
    const socket = tls.connect({
      port,
      host: '127.0.0.1',
      ca: cert,
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    await once(socket, 'secureConnect');
    expect(socket.alpnProtocol).toBe('http/1.1');
    const peer = new RawPeer(socket);
    await peer.write(request(), masked(TEXT, 'secret'));
    await peer.head();
    peer.startFrames();
    expect(await peer.frame()).toMatchObject({ payload: Buffer.from('secret') });
    peer.destroy();
    const onlyH2 = tls.connect({ port, host: '127.0.0.1', ca: cert, ALPNProtocols: ['h2'] });
    const [error] = (await once(onlyH2, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/NO_APPLICATION_PROTOCOL|ECONNRESET/);
  });

  it('ends clients without a TLS handshake when it closes', async () => {
    const { key, cert } = await selfSigned();
    const { port, server } = await started({ tls: { key, cert } });
    const arrived = once(server.net, 'connection');
    const peer = await connectRaw(port);
    await arrived;
    await server.close();
    await peer.closed;
  });

  it.each([
    [{ server: createServer() }, /^server: |fallback/],
    [{ tls: {} }, /^tls: has no certificate/],
    [{ port: -1 }, /^port: expected 0 to 65535/],
    [{ unknown: 1 }, /unknown/],
  ])('rejects %o', async (options, message) => {
    await expect(serveRaw(options as never, () => {})).rejects.toThrow(message);
  });
});

describe('fallback', () => {
  it('gets plain requests with all their bytes, and the later ones of the socket', async () => {
    const fallback = createServer((req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk) => chunks.push(chunk));
      req.on('end', () => res.end(`${req.method} ${req.url} ${Buffer.concat(chunks).toString()};`));
    });
    onTestFinished(() => void fallback.close());
    const { port } = await started({ fallback });
    const bytes = Buffer.from(
      `POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody${plain('/b')}`,
    );
    for (const cut of [1, 20, 56, 60, bytes.length]) {
      const peer = await connectRaw(port);
      await peer.write(bytes.subarray(0, cut));
      await peer.write(bytes.subarray(cut));
      await peer.until(() => /POST \/a body;[^]*GET \/b ;/.test(String(peer.received)));
      peer.destroy();
    }
  });

  it('gets an upgrade to another protocol, OPTIONS *, HTTP/1.0 and malformed heads', async () => {
    const fallback = createServer((req, res) => res.end(`${req.method} ${req.url}`));
    onTestFinished(() => void fallback.close());
    const { port } = await started({ fallback });
    const statuses: unknown[] = [];
    for (const bytes of [
      'GET /h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n',
      'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      'GET / HTTP/1.0\r\n\r\n',
      'GET / HTTP/1.1\r\nBad Name: 1\r\n\r\n',
    ]) {
      const { status, body } = await exchange(port, Buffer.from(bytes));
      statuses.push([status, body]);
    }
    expect(statuses).toEqual([
      [200, 'GET /h2c'],
      [200, 'OPTIONS *'],
      [200, 'GET /'],
      [400, ''],
    ]);
  });

  it('gets no byte of a request for a WebSocket, and no callback runs for its requests', async () => {
    const seen: string[] = [];
    const fallback = createServer((req, res) => res.end(`fallback ${req.url}`));
    fallback.on('connection', () => seen.push('fallback'));
    onTestFinished(() => void fallback.close());
    const { port } = await started({ fallback, onRequest: (target) => void seen.push(target) });
    const peer = await connectRaw(port);
    expect((await peer.upgrade()).status).toBe(101);
    peer.destroy();
    expect(seen).toEqual(['/chat']);
    const refused = await exchange(port, request({ set: ['Sec-WebSocket-Key: bad'] }));
    expect([refused.status, seen]).toEqual([400, ['/chat', '/chat']]);
    await exchange(port, Buffer.from('GET /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'));
    expect(seen).toEqual(['/chat', '/chat', 'fallback']);
  });

  it("gets the paths without a route with unmatched: 'leave', and may upgrade them", async () => {
    const fallback = createServer();
    const upgrader = new Upgrader();
    fallback.on(
      'upgrade',
      upgrader.handler((conn) => conn.send('from the fallback')),
    );
    onTestFinished(async () => {
      fallback.close();
      await upgrader.close({ timeout: 1 });
    });
    const server = await serveRaw(
      { host: '127.0.0.1', fallback, unmatched: 'leave' },
      { '/raw': (conn) => conn.send('raw') },
    );
    onTestFinished(async () => void (await server.close({ timeout: 1 })));
    const port = Number(new URL(server.url).port);
    for (const [path, text] of [
      ['/raw', 'raw'],
      ['/other', 'from the fallback'],
    ]) {
      const peer = await connectRaw(port);
      await peer.upgrade({ line: `GET ${path} HTTP/1.1` });
      peer.startFrames();
      expect(await peer.frame()).toMatchObject({ payload: Buffer.from(text!) });
      peer.destroy();
    }
  });

  it('ends a slow request by its own timeouts, and its sockets on request, without listening', async () => {
    const fallback = createServer({ connectionsCheckingInterval: 10 }, (_req, res) =>
      res.end('ok'),
    );
    fallback.headersTimeout = 20;
    onTestFinished(() => void fallback.close());
    const { port } = await started({ fallback });
    const slow = await connectRaw(port);
    await slow.write(plain('/'));
    await slow.until(() => String(slow.received).includes('ok'));
    await slow.write(Buffer.from('G'));
    await slow.until(() => String(slow.received).includes('HTTP/1.1 408 '));
    slow.destroy();
    const idle = net.connect(port, '127.0.0.1');
    const closed = once(idle, 'close');
    const peer = new RawPeer(idle);
    await peer.write(plain('/'));
    await peer.until(() => String(peer.received).includes('ok'));
    fallback.closeAllConnections();
    await closed;
  });

  it('gets no socket after it has closed, and again when it listens', async () => {
    const fallback = createServer((_req, res) => res.end('ok'));
    const { port } = await started({ fallback });
    const ask = async () => {
      const peer = await connectRaw(port);
      await peer.write(plain('/'));
      await peer.until(() => String(peer.received).includes('\r\n\r\n'));
      peer.destroy();
      return String(peer.received).slice(9, 12);
    };
    expect(await ask()).toBe('200');
    fallback.close();
    await once(fallback, 'close');
    expect(await ask()).toBe('503');
    fallback.listen(0, '127.0.0.1');
    onTestFinished(() => void fallback.close());
    await once(fallback, 'listening');
    expect(await ask()).toBe('200');
    const open = await connectRaw((fallback.address() as AddressInfo).port);
    await open.write(Buffer.from('G'));
    fallback.close();
    expect(await ask()).toBe('503');
    open.destroy();
  });

  it('keeps its sockets when the server closes', async () => {
    const fallback = createServer((_req, res) => res.end('still here'));
    const { port, server } = await started({ fallback });
    const socket = net.connect(port, '127.0.0.1');
    const peer = new RawPeer(socket);
    await peer.write(plain('/'));
    await peer.until(() => String(peer.received).includes('still here'));
    await server.close();
    await peer.write(plain('/'));
    await peer.until(() => String(peer.received).split('still here').length === 3);
    fallback.close();
    peer.destroy();
  });
});
