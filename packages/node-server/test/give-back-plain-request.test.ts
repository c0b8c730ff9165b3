import { once } from 'node:events';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import {
  nothingLeft,
  type RawPeer,
  rawClient,
  request,
  selfSigned,
  turn,
  whenOver,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type Conn, serve, Upgrader } from '../src/index.ts';

/** Headers that curl and Java's HttpClient send with an ordinary request. */
const H2C = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
const echo = (conn: Conn): unknown => conn.receive((message) => conn.send(message));

/** Answers with what the listener saw of the request. */
const page: RequestListener = (req, res) => {
  let body = '';
  req.on('data', (chunk: Buffer) => {
    body += chunk.toString();
  });
  req.on('end', () => {
    const { upgrade, connection = '', 'http2-settings': settings } = req.headers;
    const seen = [req.method, req.url, upgrade ?? '', connection, settings ?? '', body];
    res.end(JSON.stringify(seen));
  });
};

/** A server of the user with an Upgrader. It ends with the test. */
async function ownServer(secure: boolean, listener?: RequestListener): Promise<number> {
  const server = secure ? createTlsServer(await selfSigned()) : createServer();
  if (listener !== undefined) server.on('request', listener);
  const upgrader = new Upgrader();
  server.on('upgrade', upgrader.handler(echo));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(async () => {
    await upgrader.close({ timeout: 1 });
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });
  return (server.address() as AddressInfo).port;
}

async function served(secure: boolean): Promise<number> {
  const tls = secure ? await selfSigned() : undefined;
  const server = await serve({ host: '127.0.0.1', tls, request: page }, echo);
  whenOver(() => server.close({ timeout: 1 }));
  return Number(new URL(server.url).port);
}

/** The next page on the connection, as the listener saw its request. */
async function nextPage(client: RawPeer): Promise<unknown> {
  const end = (): number => {
    const text = client.received.toString('latin1');
    const body = text.indexOf('\r\n\r\n') + 4;
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? Number.NaN);
    return body + length;
  };
  await client.until(() => client.received.length >= end());
  const size = end();
  const all = client.takeReceived();
  const text = all.subarray(0, size).toString('latin1');
  expect(text.slice(0, 15)).toBe('HTTP/1.1 200 OK');
  expect(all.length).toBe(size);
  return JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4));
}

describe.each([
  ['serve', served],
  ['an Upgrader on a server of the user', (secure: boolean) => ownServer(secure, page)],
])('%s, for a request whose Upgrade does not name websocket', (_, start) => {
  nothingLeft();

  describe.each([
    ['TCP', false],
    ['TLS', true],
  ])('over %s', (_, secure) => {
    it('answers with the page, as without these headers', async () => {
      const client = await rawClient(await start(secure), secure);
      await client.write(`GET /a?b HTTP/1.1\r\nHost: localhost\r\n${H2C}\r\n`);
      expect(await nextPage(client)).toEqual(['GET', '/a?b', '', '', '', '']);
      client.destroy();
      await client.closed;
    });

    it('gives the page the body', async () => {
      const client = await rawClient(await start(secure), secure);
      const head = `POST / HTTP/1.1\r\nHost: localhost\r\n${H2C}Content-Length: 5\r\n\r\n`;
      await client.write(`${head}he`);
      await client.write('llo');
      expect(await nextPage(client)).toEqual(['POST', '/', '', '', '', 'hello']);
      client.destroy();
      await client.closed;
    });

    it('keeps the connection for later requests', async () => {
      const client = await rawClient(await start(secure), secure);
      for (const path of ['/1', '/2']) {
        await client.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${H2C}\r\n`);
        expect(await nextPage(client)).toEqual(['GET', path, '', '', '', '']);
      }
      await client.write(request());
      expect(await client.head()).toMatch(/^HTTP\/1\.1 101 /);
      client.startFrames();
      await client.send(1, 'hi');
      expect((await client.frame()).payload.toString()).toBe('hi');
      client.destroy();
      await client.closed;
    });
  });

  it('answers pipelined requests in their order', async () => {
    const client = await rawClient(await start(false));
    const first = 'GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const second = `GET /2 HTTP/1.1\r\nHost: localhost\r\nConnection: close, Upgrade\r\nUpgrade: foo\r\n\r\n`;
    await client.write(first + second);
    await client.until(({ ended }) => ended);
    const text = client.received.toString('latin1');
    expect([...text.matchAll(/"\/(\d)"/g)].map(([, n]) => n)).toEqual(['1', '2']);
    client.destroy();
    await client.closed;
  });

  it('opens a connection when the list has websocket too', async () => {
    const client = await rawClient(await start(false));
    await client.write(request({ set: ['Upgrade: h2c, websocket'] }));
    expect(await client.head()).toMatch(/^HTTP\/1\.1 101 /);
    client.destroy();
    await client.closed;
  });
});

describe('a server without a page', () => {
  nothingLeft();

  it.each([
    [
      'serve',
      async () => {
        const server = await serve({ host: '127.0.0.1' }, echo);
        whenOver(() => server.close({ timeout: 1 }));
        return Number(new URL(server.url).port);
      },
    ],
    ["an Upgrader without a listener for 'request'", () => ownServer(false)],
  ])('answers 426: %s', async (_, start) => {
    const client = await rawClient(await start());
    await client.write(`GET / HTTP/1.1\r\nHost: localhost\r\n${H2C}\r\n`);
    expect(await client.head()).toMatch(/^HTTP\/1\.1 426 [^]*\r\nUpgrade: websocket\r\n/);
    client.destroy();
    await client.closed;
  });
});

const get = (path: string, fields = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`;

/** Listeners of a socket, by event. */
function listenersOf(socket: Socket): Record<string, number> {
  const counts = socket.eventNames().map((name) => [name, socket.listenerCount(name)]);
  return Object.fromEntries(counts) as Record<string, number>;
}

/** A server whose pages the test answers. */
async function heldPages(options: Parameters<typeof serve>[0] = {}) {
  const pages: ServerResponse[] = [];
  const waiting: (() => void)[] = [];
  const listener: RequestListener = (_req, res) => {
    pages.push(res);
    waiting.shift()?.();
  };
  const server = await serve({ host: '127.0.0.1', ...options, request: listener }, echo);
  whenOver(() => server.close({ timeout: 1 }));
  const client = await rawClient(Number(new URL(server.url).port));
  whenOver(() => client.destroy());
  /** Resolves when the server has got this number of requests. */
  const got = async (count: number): Promise<void> => {
    while (pages.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  /** Sends requests, the last one with h2c, and resolves when the server has them. */
  const send = async (...paths: string[]): Promise<Socket> => {
    const upgraded = once(server.http, 'upgrade');
    const last = get(paths.pop()!, H2C);
    await client.write(paths.map((path) => get(path)).join('') + last);
    const [, socket] = (await upgraded) as [unknown, Socket];
    return socket;
  };
  return { server, client, pages, got, send };
}

describe('serve, for such a request after pending answers', () => {
  nothingLeft();

  it('survives a reset by the client', async () => {
    const { client, pages, send } = await heldPages();
    const socket = await send('/1', '/2');
    const over = new Promise((resolve) => socket.on('close', resolve));
    client.reset();
    await over;
    expect(pages).toHaveLength(1);
  });

  it('closes in its time', async () => {
    const { server, client, pages, send } = await heldPages();
    await send('/1', '/2');
    pages[0]!.write('never all');
    await client.until('never all');
    await server.close({ timeout: 1 });
    await client.until(({ ended }) => ended);
    client.destroy();
    await client.closed;
  });

  it('waits for the answers to all of them', async () => {
    const { client, pages, got, send } = await heldPages();
    await send('/1', '/2', '/3');
    await got(2);
    pages[1]!.end('second');
    pages[0]!.end('first');
    await got(3);
    pages[2]!.end('third');
    await client.until('third');
    expect(client.received.toString()).toMatch(/first[^]*second[^]*third/);
  });

  it('passes drain of the socket to these answers', async () => {
    const { client, pages, got, send } = await heldPages();
    await send('/1', '/2');
    const [page] = pages as [ServerResponse];
    while (page.write(Buffer.alloc(65_536)));
    const drained = once(page, 'drain');
    await drained;
    page.end();
    await got(2);
    pages[1]!.end('second');
    await client.until('second');
  });

  it('gives it the bytes that have come meanwhile', async () => {
    const { client, pages, got, send } = await heldPages();
    await send('/1', '/2');
    await client.write(get('/3'));
    await turn();
    for (const [i, text] of ['first', 'second', 'third'].entries()) {
      await got(i + 1);
      pages[i]!.end(text);
    }
    await client.until('third');
    expect(pages.map(({ req }) => req.url)).toEqual(['/1', '/2', '/3']);
  });

  it('removes the time that a kept-alive connection has', async () => {
    const { pages, got, send } = await heldPages();
    const socket = await send('/1', '/2');
    pages[0]!.end();
    await got(2);
    expect(socket.timeout).toBe(0);
  });

  it('cuts the connection after handshakeTimeout', async () => {
    const { client, send } = await heldPages({ handshakeTimeout: 20 });
    await send('/1', '/2');
    await client.until(({ ended }) => ended);
    client.destroy();
    await client.closed;
  });

  it('ends the connection of a client that has ended its half, after the answers', async () => {
    const { client, pages, send } = await heldPages();
    const socket = await send('/1', '/2');
    const ended = new Promise((resolve) => socket.on('end', resolve));
    client.end();
    await ended;
    pages[0]!.end('first');
    await client.until('first');
    await client.until(({ ended }) => ended);
    client.destroy();
    await client.closed;
    expect(pages).toHaveLength(1);
  });

  it('leaves no listener on the connection', async () => {
    const { client, pages, got, send } = await heldPages();
    let before: unknown;
    for (let i = 0; i < 20; i++) {
      const socket = await send('/1', '/2');
      for (const page of [2 * i, 2 * i + 1]) {
        await got(page + 1);
        pages[page]!.end(`page ${page}.`);
        await client.until(`page ${page}.`);
      }
      before ??= listenersOf(socket);
      expect(listenersOf(socket)).toEqual(before);
    }
  });
});

it('Upgrader.close ends a connection where such a request waits', async () => {
  const upgrader = new Upgrader();
  const server = createServer(() => {});
  server.on('upgrade', upgrader.handler(echo)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = await rawClient((server.address() as AddressInfo).port);
  const upgraded = once(server, 'upgrade');
  await client.write(get('/1') + get('/2', H2C));
  await upgraded;
  await upgrader.close({ timeout: 1 });
  await client.until(({ ended }) => ended);
  client.destroy();
  await client.closed;
  await new Promise((closed) => server.close(closed));
});
