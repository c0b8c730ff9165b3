import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import { selfSigned } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ServeOptions, serve } from '../../src/index.ts';
import { parseAnswer, RawPeer, request, serving, trapLeftovers } from '../raw.ts';

trapLeftovers();

const BIG = Buffer.alloc(600_000, 'x');

async function portOf(options: ServeOptions): Promise<number> {
  return (await serving(options, () => {})).port;
}

async function clientOf(port: number, secure = false): Promise<RawPeer> {
  const where = { port, host: '127.0.0.1', allowHalfOpen: true };
  const socket = secure ? tls.connect({ ...where, rejectUnauthorized: false }) : net.connect(where);
  await once(socket, secure ? 'secureConnect' : 'connect');
  onTestFinished(() => void socket.destroy());
  return new RawPeer(socket);
}

/** A server that keeps the responses to plain requests. */
async function keeping(options: ServeOptions = {}): Promise<{
  port: number;
  next: (path: string) => Promise<ServerResponse>;
}> {
  const arrived = new EventEmitter();
  const port = await portOf({
    ...options,
    request: (req: IncomingMessage, res) => void arrived.emit(req.url!, res),
  });
  const next = async (path: string): Promise<ServerResponse> =>
    ((await once(arrived, path)) as [ServerResponse])[0];
  return { port, next };
}

const plain = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe.each([
  ['TCP', false],
  ['TLS', true],
] as const)('an answer over %s', (_, secure) => {
  const post = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${BIG.length}\r\n\r\n`;
  it.each([
    { says: 'to bytes that are not HTTP', head: 'no HTTP\r\n\r\n', status: 400 },
    { says: 'to a head that is too large', head: `GET /${'x'.repeat(20_000)}`, status: 431 },
    { says: 'to a plain request', head: post, status: 426 },
    { says: 'to a request without a Host', head: post.replace('Host: a\r\n', ''), status: 400 },
    {
      says: 'to an unknown expectation',
      head: post.replace('Host', 'Expect: tea\r\nHost'),
      status: 417,
    },
  ])('$says is not lost when the client continues to send', async ({ head, status }) => {
    const port = await portOf({ tls: secure ? await selfSigned() : undefined });
    const client = await clientOf(port, secure);
    let reset: unknown;
    client.stream.on('error', (error) => {
      reset = error;
    });
    const third = BIG.length / 3;
    client.stream.write(Buffer.concat([Buffer.from(head), BIG.subarray(0, third)]));
    await client.until(() => client.received.length > 0);
    for (let sent = third; sent < BIG.length; sent += third) {
      await new Promise((resolve) =>
        client.stream.write(BIG.subarray(sent, sent + third), resolve),
      );
    }
    client.stream.end();
    await client.closed;
    const answer = parseAnswer(client.received.toString());
    expect(answer.status).toBe(status);
    expect(answer.headers.get('connection')).toContain('close');
    expect(answer.body.length).toBe(Number(answer.headers.get('content-length')));
    expect(answer.raw.split('HTTP/1.1 ').length).toBe(2);
    expect(reset).toBeUndefined();
  });

  it('reaches a client that has half-closed within its head', async () => {
    const port = await portOf({ tls: secure ? await selfSigned() : undefined });
    const client = await clientOf(port, secure);
    client.stream.end('GET / HTTP/1.1\r\nHo');
    await client.closed;
    expect(parseAnswer(client.received.toString()).status).toBe(400);
  });
});

describe('bytes that are not HTTP after a request', () => {
  it('is answered after the answers to that and to others', async () => {
    const { port, next } = await keeping();
    const client = await clientOf(port);
    const [first, second] = [next('/1'), next('/2')];
    client.stream.write(`${plain('/1')}${plain('/2')}no HTTP\r\n\r\n`);
    (await second).end('second');
    (await first).write('first');
    (await first).end();
    await client.until(() => client.received.includes('not an HTTP request'));
    expect(client.received.toString()).toMatch(/ 200 [^]*first[^]* 200 [^]*second[^]* 400 /);
    client.stream.end();
    await client.closed;
  });

  it('waits for an answer as long as for a handshake', async () => {
    const { port, next } = await keeping({ handshakeTimeout: 40 });
    const client = await clientOf(port);
    const first = next('/1');
    client.stream.write(`${plain('/1')}no HTTP\r\n\r\n`);
    (await first).write('begun');
    await once(client.stream, 'end');
    expect(client.received.toString().split('HTTP/1.1 ').length).toBe(2);
  });

  it('is not answered when the connection ends with that answer', async () => {
    const { port, next } = await keeping();
    const client = await clientOf(port);
    const first = next('/1');
    client.stream.write(`${plain('/1')}no HTTP\r\n\r\n`);
    (await first).setHeader('Connection', 'close').end('first');
    await once(client.stream, 'end');
    expect(client.received.toString()).toMatch(/first$/);
  });
});

describe.each([
  ['TCP', false],
  ['TLS', true],
] as const)('a request over %s that has come while the process was busy', (_, secure) => {
  it.each([
    ['an upgrade', request().toString('latin1'), '101'],
    ['a plain request', plain('/'), '426'],
    ['bytes that are not HTTP', 'no HTTP\r\n\r\n', '400'],
    ['half a head', 'GET / HTTP/1.1\r\nHo', '408'],
  ])('is read before its time is looked at: %s', async (__, text, status) => {
    // The time of the head is short, that of TLS is not.
    const tls = secure ? { ...(await selfSigned()), handshakeTimeout: 10_000 } : undefined;
    const server = await serve({ host: '127.0.0.1', tls, handshakeTimeout: 20 }, () => {});
    onTestFinished(async () => void (await server.close({ timeout: 1 })));
    const accepted = once(server.http, secure ? 'secureConnection' : 'connection');
    const client = await clientOf(Number(new URL(server.url).port), secure);
    await accepted;
    client.stream.write(text);
    // Node's check comes first after this.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    await client.until('\r\n\r\n');
    expect(client.received.toString().slice(9, 12)).toBe(status);
    client.stream.destroy();
    await client.closed;
  });

  it('has a bound when it comes byte by byte', async () => {
    // The time of the head is short, that of TLS is not.
    const tls = secure ? { ...(await selfSigned()), handshakeTimeout: 10_000 } : undefined;
    const port = await portOf({ tls, handshakeTimeout: 20 });
    const client = await clientOf(port, secure);
    client.stream.on('error', () => {});
    client.stream.write('GET / HTTP/1.1\r\nHost: a\r\nX: ');
    const dripping = setInterval(() => client.stream.write('x'), 1);
    await client.until('408');
    clearInterval(dripping);
    client.stream.destroy();
    await client.closed;
  });
});

describe('bytes that are not HTTP in a body', () => {
  const chunked = 'POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';

  it('is answered instead of its request', async () => {
    const { port, next } = await keeping();
    const client = await clientOf(port);
    const first = next('/1');
    client.stream.write(chunked);
    const res = await first;
    client.stream.write('no chunk\r\n');
    await once(client.stream, 'end');
    res.end('too late');
    expect(parseAnswer(client.received.toString()).status).toBe(400);
    expect(client.received.toString()).not.toContain('too late');
    client.stream.end();
    await client.closed;
  });

  it('ends an answer that has begun', async () => {
    const { port, next } = await keeping();
    const client = await clientOf(port);
    const first = next('/1');
    client.stream.write(chunked);
    (await first).write('begun');
    await client.until(() => client.received.includes('begun'));
    client.stream.write('no chunk\r\n');
    await once(client.stream, 'end');
    expect(client.received.toString().split('HTTP/1.1 ').length).toBe(2);
  });
});

describe('after a refused request', () => {
  it.each([
    { says: 'for want of a Host', head: 'GET / HTTP/1.1\r\n\r\n', status: 400 },
    {
      says: 'for what it expects',
      head: 'GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n',
      status: 417,
    },
  ])('$says no request is served', async ({ head, status }) => {
    const served: unknown[] = [];
    const port = await portOf({
      request: (req, res) => {
        served.push(req.url);
        res.end();
      },
      authenticate: (req) => void served.push(req.url),
    });
    for (const behind of [
      'POST /admin HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
      request().toString(),
    ]) {
      const client = await clientOf(port);
      client.stream.end(head + behind);
      await client.closed;
      expect(parseAnswer(client.received.toString()).status).toBe(status);
      expect(client.received.toString().split('HTTP/1.1 ').length).toBe(2);
    }
    expect(served).toEqual([]);
  });

  it('HTTP/1.0 needs no Host', async () => {
    const port = await portOf({ request: (_req, res) => res.end('a page') });
    const client = await clientOf(port);
    client.stream.end('GET / HTTP/1.0\r\n\r\n');
    await client.closed;
    expect(client.received.toString()).toMatch(/ 200 [^]*a page$/);
  });
});
