import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { nothingLeft, type RawPeer, rawClient, request, selfSigned, whenOver } from '@ws/tests';
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
