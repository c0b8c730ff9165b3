import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer } from 'node:http';
import net from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type AdmitOrRefuse,
  type RefusedRequest,
  type ServeOptions,
  serve,
  type WsServer,
} from '../../src/index.ts';
import { connectRaw, exchange, parseAnswer, request, trapLeftovers } from '../raw.ts';

trapLeftovers();

/** A server, and what it publishes on the channel of refusals. */
async function watched(
  options: ServeOptions<AdmitOrRefuse>,
): Promise<{ server: WsServer; port: number; seen: RefusedRequest[] }> {
  const seen: RefusedRequest[] = [];
  const see = (event: unknown): void => void seen.push(event as RefusedRequest);
  subscribe('@ws:refuse', see);
  const server = await serve(options.server ? options : { host: '127.0.0.1', ...options }, (conn) =>
    conn.discardReads(),
  );
  onTestFinished(async () => {
    unsubscribe('@ws:refuse', see);
    await server.close({ timeout: 1 });
  });
  return { server, port: Number(new URL(server.url).port), seen };
}

const LOCAL = ['Host: localhost:8080', 'Origin: http://localhost:5173'];

describe('a refusal', () => {
  it('is published with the request, the status, the error and the address', async () => {
    const { port, seen } = await watched({ clientAddress: () => 'ada' });
    await exchange(port, request({ without: ['host'], add: LOCAL }));
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ status: 403, address: 'ada', request: { method: 'GET' } });
    expect(seen[0]!.error.message).toBe(
      'websocket: 403: origin http://localhost:5173 does not match host localhost:8080; add it to allowedOrigins',
    );
  });

  it.each<[string, ServeOptions<AdmitOrRefuse>, string, string]>([
    [
      'allowedOrigins',
      { allowedOrigins: ['https://a', 'https://b'] },
      'origin http://localhost:5173 does not match host localhost:8080 or allowedOrigins https://a, https://b; add it to allowedOrigins',
      'origin http://localhost:5173 does not match host localhost:8080',
    ],
    [
      'sameHost',
      { sameHost: false },
      'origin http://localhost:5173 is not allowed; add it to allowedOrigins, or set sameHost',
      'origin http://localhost:5173 is not allowed',
    ],
    [
      'checkOrigin',
      { checkOrigin: () => false },
      'origin http://localhost:5173 is not allowed; checkOrigin decides that',
      'origin http://localhost:5173 is not allowed',
    ],
    [
      'allowedHosts',
      { allowedHosts: ['a', '*.b'] },
      'host localhost:8080 is not allowed: allowedHosts has a, *.b; add it there',
      'host localhost:8080 is not allowed',
    ],
  ])(
    'names the option %s in its message and not in its body',
    async (_, options, message, body) => {
      const { port, seen } = await watched(options);
      const answer = await exchange(port, request({ without: ['host'], add: LOCAL }));
      expect(seen[0]!.error.message).toBe(`websocket: ${answer.status}: ${message}`);
      expect(answer.body).toBe(`${body}\n`);
      expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    },
  );

  it.each([
    ['HTML', '<script>alert(1)</script>', 'origin \\u{3c}script\\u{3e}alert(1)\\u{3c}/script'],
    ['a tab and a space', 'a\t b', 'origin a\\u{9}\\u{20}b does'],
    ['an empty value', '', 'origin (empty) does'],
    ['a long value', 'x'.repeat(8_000), `origin ${'x'.repeat(77)}... does`],
    ['long text beyond ASCII', '\u00ff'.repeat(8_000), 'origin \\u{ff}\\u{ff}'],
  ])('escapes and cuts %s of the client', async (_, origin, text) => {
    const { port, seen } = await watched({});
    const bytes = request({ add: [`Origin: ${origin}`] });
    const { body, status } = await exchange(port, bytes);
    expect(status).toBe(403);
    expect(body).toContain(text);
    expect(body).toMatch(/^[ -~]+\n$/);
    expect(body).not.toMatch(/[<>&"']/);
    expect(body.length).toBeLessThanOrEqual(200);
    expect(seen[0]!.error.message).toMatch(/^[ -~]+$/);
  });

  it('is counted by its status', async () => {
    const { server, port } = await watched({ maxConnections: 1 });
    const client = await connectRaw(port);
    await client.upgrade();
    await exchange(port, request());
    await exchange(port, request());
    expect(server.stats).toEqual({
      opened: 1,
      open: 1,
      handshakesPending: 0,
      handlersPending: 1,
      handshakesWaiting: 0,
      paced: 0,
      limited: 0,
      refused: { 503: 2 },
    });
    client.stream.destroy();
  });

  it('by limits has the address', async () => {
    const { port, seen } = await watched({ limits: [{ by: 'address', connections: 1 }] });
    const client = await connectRaw(port);
    await client.upgrade();
    const { body } = await exchange(port, request());
    expect(body).toBe('too many connections from this address\n');
    expect(seen[0]).toMatchObject({ status: 429, address: '127.0.0.1' });
    expect(seen[0]!.error.message).toContain(
      'from 127.0.0.1: 1 is the most; raise connections of limits',
    );
    client.stream.destroy();
  });
});

describe('a request that never reaches the handshake', () => {
  const GET = 'GET / HTTP/1.1\r\n';

  it.each<[string, string, number]>([
    ['plain', `${GET}Host: a\r\n\r\n`, 426],
    ['without Host', `${GET}\r\n`, 400],
    ['with an unknown expectation', `${GET}Host: a\r\nExpect: b\r\n\r\n`, 417],
  ])('%s is published and counted', async (_, bytes, status) => {
    const { server, port, seen } = await watched({ trustProxy: 1 });
    const forwarded = bytes.replace('\r\n', '\r\nX-Forwarded-For: 192.0.2.1\r\n');
    expect((await exchange(port, Buffer.from(forwarded))).status).toBe(status);
    expect(seen).toMatchObject([{ status, address: '192.0.2.1', request: { url: '/' } }]);
    expect(server.stats).toMatchObject({ refused: { [status]: 1 }, handshakesPending: 0 });
  });

  it.each<[string, string, number]>([
    ['text that is no HTTP', 'HELO\r\n\r\n', 400],
    ['a large head', `${GET}A: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
    ['half a head', GET, 408],
  ])('%s is published and counted, without a request', async (_, bytes, status) => {
    const handshakeTimeout = status === 408 ? 300 : 60_000;
    const { server, port, seen } = await watched({ handshakeTimeout });
    expect((await exchange(port, Buffer.from(bytes))).status).toBe(status);
    expect(seen).toMatchObject([{ status, address: '127.0.0.1', request: undefined }]);
    expect(server.stats.refused).toEqual({ [status]: 1 });
  });

  it('is published without an address when clientAddress fails', async () => {
    const { port, seen } = await watched({
      clientAddress: () => {
        throw new Error('no address');
      },
    });
    expect((await exchange(port, Buffer.from(`${GET}Host: a\r\n\r\n`))).status).toBe(426);
    expect(seen).toMatchObject([{ status: 426, address: undefined }]);
  });

  it('is published for your own server too', async () => {
    const http = createServer().listen(0, '127.0.0.1');
    await once(http, 'listening');
    onTestFinished(() => void http.close());
    const { server, port, seen } = await watched({ server: http });
    expect((await exchange(port, Buffer.from(`${GET}Host: a\r\n\r\n`))).status).toBe(426);
    expect(seen).toMatchObject([{ status: 426, address: '127.0.0.1' }]);
    expect(server.stats.refused).toEqual({ 426: 1 });
  });
});

describe('a client that has half-closed', () => {
  it('is published and counted when it is refused', async () => {
    const { server, port, seen } = await watched({
      authenticate: (_req, { signal }) => once(signal, 'abort').then(() => true as const),
    });
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end(request());
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    expect(parseAnswer(bytes.toString()).status).toBe(400);
    expect(seen).toMatchObject([{ status: 400, address: '127.0.0.1' }]);
    expect(server.stats.refused).toEqual({ 400: 1 });
  });

  it('is not counted when it resets', async () => {
    const { server, port, seen } = await watched({
      authenticate: (_req, { signal }) => {
        client.stream.resetAndDestroy();
        return once(signal, 'abort').then(() => true as const);
      },
    });
    const client = await connectRaw(port);
    client.stream.write(request());
    await client.closed;
    await server.close();
    expect(seen.map(({ error }) => error.message)).toEqual([]);
    expect(server.stats.refused).toEqual({});
  });
});

describe('a call that ignores its signal', () => {
  it('is reported once', async () => {
    const reported: string[] = [];
    const { port, seen } = await watched({
      handshakeTimeout: 200,
      authenticate: () => new Promise(() => {}),
      report: (error, { where }) => reported.push(`${where}: ${String(error)}`),
    });
    for (let i = 0; i < 2; i++) expect((await exchange(port, request())).status).toBe(503);
    expect(reported).toEqual([
      expect.stringMatching(
        /^authenticate: TimeoutError: .*not settled within 200 ms \(option hand/,
      ),
    ]);
    expect(seen[0]!.error.message).toContain('timed out after 200 ms (option handshakeTimeout)');
  });

  it('is not one that ends by its signal', async () => {
    const reported: unknown[] = [];
    const { port } = await watched({
      handshakeTimeout: 200,
      authenticate: async (_req, { signal }) => {
        await once(signal, 'abort').then(() => true as const);
        for (let i = 0; i < 50; i++) await Promise.resolve();
        return false;
      },
      report: (error) => reported.push(error),
    });
    expect((await exchange(port, request())).status).toBe(503);
    expect(reported).toEqual([]);
  });

  it('is reported when its client has left and the time is up', async () => {
    let asked!: () => void;
    const asks = new Promise<void>((resolve) => {
      asked = resolve;
    });
    let told!: () => void;
    const tells = new Promise<void>((resolve) => {
      told = resolve;
    });
    const { server, port } = await watched({
      handshakeTimeout: 200,
      authenticate: () => {
        asked();
        return new Promise(() => {});
      },
      report: () => told(),
    });
    const client = await connectRaw(port);
    client.stream.write(request());
    await asks;
    client.stream.resetAndDestroy();
    await tells;
    expect(server.stats).toMatchObject({ handshakesPending: 0 });
  });
});
