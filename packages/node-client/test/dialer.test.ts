import { getEventListeners, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type ClientConn,
  Conn,
  Dialer,
  type DialerOptions,
  type DialOptions,
  dial,
} from '../src/index.ts';
import { listeners, timers } from './leftovers.ts';
import { rawServer, type SeenRequest, says, seen } from './servers.ts';

/** Dials; the Conn is terminated after the test. */
async function open(
  url: string,
  options?: DialerOptions,
  dialOptions?: DialOptions,
): Promise<ClientConn> {
  const dialed = await new Dialer(options).dial(url, dialOptions);
  onTestFinished(() => dialed.terminate());
  return dialed;
}

/** A server that accepts every handshake, and its requests. */
async function polite(extra = '') {
  const requests: SeenRequest[] = [];
  const server = await rawServer((socket, request) => {
    requests.push(request);
    socket.write(request.ok(extra));
  });
  return { ...server, requests };
}

describe('Dialer.dial', () => {
  it('sends the request of RFC 6455 section 4.1, and nothing else', async () => {
    const server = await polite();
    await open(`${server.url}/feed?x=1#top`);
    const { text, key } = server.requests[0]!;
    expect(text).toBe(
      `GET /feed?x=1 HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
  });

  it('resolves with an open Conn and the response', async () => {
    const server = await polite('X-A: 1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n');
    const conn = await open(server.url);
    const { response } = conn;
    expect(conn.role).toBe('client');
    expect(conn.state).toBe('open');
    expect(conn.subprotocol).toBe('');
    expect(conn.extensions).toBe('');
    expect(conn.remoteAddr).toBe(`127.0.0.1:${server.port}`);
    expect(response.status).toBe(101);
    expect(response.headers).toMatchObject({ 'x-a': '1', 'set-cookie': ['a=b', 'c=d'] });
  });

  it.each(
    // biome-ignore format: a table
    [
      ['Upgrade in capitals', (r: SeenRequest) => r.ok().replace('websocket', 'WebSocket')],
      ['Connection as a list', (r: SeenRequest) => r.ok().replace('n: Upgrade', 'n: keep-alive, UPGRADE')],
      ['Connection in two lines', (r: SeenRequest) => r.ok('Connection: keep-alive\r\n')],
      ['header names in lower case', (r: SeenRequest) => r.ok().replace(/^[\w-]+:/gm, (n) => n.toLowerCase())],
      ['another reason phrase', (r: SeenRequest) => r.ok().replace('Switching Protocols', 'Hi')],
      ['no reason phrase', (r: SeenRequest) => r.ok().replace('Switching Protocols', '')],
      ['Content-Length: 0', (r: SeenRequest) => r.ok('Content-Length: 0\r\n')],
      ['spaces around Accept', (r: SeenRequest) => r.ok().replace(r.accept, `  ${r.accept}\t`)],
      ['ten interim answers', (r: SeenRequest) => 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(10) + r.ok()],
      ['a 100 before', (r: SeenRequest) => `HTTP/1.1 100 Continue\r\n\r\n${r.ok()}`],
      ['a head of nearly 64 KiB', (r: SeenRequest) => r.ok(`X: ${'a'.repeat(64 * 1024 - r.ok().length - 5)}\r\n`)],
    ],
  )('takes an answer with %s', async (_, bytes) => {
    const server = await rawServer(says((request) => bytes(request)));
    const { response } = await open(server.url);
    expect(response.status).toBe(101);
  });

  it('reports the subprotocol that the server chose', async () => {
    const server = await polite('Sec-WebSocket-Protocol: b\r\n');
    const conn = await open(server.url, { subprotocols: ['a', 'b'] });
    expect(conn.subprotocol).toBe('b');
    expect(server.requests[0]!.text).toContain('\r\nSec-WebSocket-Protocol: a, b\r\n');
  });

  it('stays open when the server chose none', async () => {
    const server = await polite();
    const conn = await open(server.url, { subprotocols: ['a'] });
    expect(conn.subprotocol).toBe('');
  });

  it('offers the subprotocols of the dial instead of its own', async () => {
    const server = await polite();
    const dialer = { subprotocols: ['a'] };
    await open(server.url, dialer, { subprotocols: ['b'] });
    await open(server.url, dialer, { subprotocols: [] });
    expect(server.requests[0]!.text).toContain('\r\nSec-WebSocket-Protocol: b\r\n');
    expect(server.requests[1]!.text).not.toContain('Protocol');
  });

  it('accepts a subprotocol offered by a header of the caller', async () => {
    const server = await polite('Sec-WebSocket-Protocol: b\r\n');
    const headers = { 'Sec-WebSocket-Protocol': 'a, b' };
    const conn = await open(server.url, {}, { headers });
    expect(conn.subprotocol).toBe('b');
  });

  it('sends the caller’s headers, and Host as given', async () => {
    const server = await polite();
    await open(
      server.url,
      {},
      { headers: { host: 'example.org', Authorization: 'Bearer x', 'X-A': ['1', '2'] } },
    );
    const { text } = server.requests[0]!;
    expect(text).toMatch(/^GET \/ HTTP\/1\.1\r\nHost: example\.org\r\n/);
    expect(text).toMatch(/\r\nAuthorization: Bearer x\r\nX-A: 1\r\nX-A: 2\r\n\r\n$/);
  });

  it('takes an http URL and a URL object', async () => {
    const server = await polite();
    await open(server.url.replace('ws', 'http'));
    const conn = await dial(new URL('/x', server.url));
    conn.terminate();
    expect(server.requests.map(({ text }) => text.split(' ')[1])).toEqual(['/', '/x']);
  });

  it('reads the frames that came in the same segment as the 101', async () => {
    const server = await rawServer(says((request) => `${request.ok()}\x81\x02hi\x82\x01\x07`));
    const conn = await open(server.url);
    const first = await conn.readMessage();
    const second = await conn.readMessage();
    expect(first.text()).toBe('hi');
    expect([...second.data]).toEqual([7]);
  });

  it('hands the Conn over before it reads a frame', async () => {
    const server = await rawServer(says((request) => `${request.ok()}\x89\x02hi`));
    const conn = await dial(server.url);
    onTestFinished(() => conn.terminate());
    const pinged = new Promise<string>((resolve) => {
      conn.setPingHandler((payload) => resolve(Buffer.from(payload).toString()));
    });
    conn.discardReads().catch(() => {});
    expect(await pinged).toBe('hi');
  });

  it('reads a close frame that came with the 101, and the FIN after it', async () => {
    const server = await rawServer(says((request) => `${request.ok()}\x88\x02\x03\xe8`, true));
    const conn = await open(server.url);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it('passes the Conn’s settings on', async () => {
    const server = await rawServer(says((request) => `${request.ok()}\x82\x09123456789`));
    const conn = await open(server.url, { readLimit: 8 });
    await expect(conn.readMessage()).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT', limit: 8 });
  });

  it('leaves no timer and no listener', async () => {
    const server = await polite();
    const controller = new AbortController();
    const before = timers();
    const conn = await open(server.url, { handshakeTimeout: 5000 }, { signal: controller.signal });
    expect(timers()).toBeLessThanOrEqual(before);
    // One each, from the transport of the Conn.
    expect(listeners(conn.underlyingConn as Socket)).toEqual({
      error: ['onError'],
      close: ['onClose'],
      end: ['onEnd'],
      // From the read buffer of the thread, or without it.
      data: [expect.stringMatching(/^on(Stream)?Data$/)],
    });
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    controller.abort();
    expect(conn.state).toBe('open');
  });

  it('resolves to the connection, with the response', async () => {
    const server = await polite('X-Served-By: a\r\n');
    const conn = await open(server.url);
    expect(conn).toBeInstanceOf(Conn);
    expect(conn.response).toMatchObject({ status: 101, headers: { 'x-served-by': 'a' } });
    const inJavaScript = conn as unknown as { conn: unknown };
    expect(() => inJavaScript.conn).toThrow('write: const conn = await dial(url)');
  });

  it('opens many connections at a time', async () => {
    const server = await polite();
    const dialer = new Dialer();
    const dialed = await Promise.all(Array.from({ length: 50 }, () => dialer.dial(server.url)));
    for (const conn of dialed) conn.terminate();
    expect(new Set(server.requests.map(({ key }) => key)).size).toBe(50);
  });
});

describe('Dialer.dial over a Unix socket', () => {
  async function unixServer() {
    const folder = await mkdtemp(join(tmpdir(), 'ws client '));
    const path = join(folder, 'app.sock');
    const requests: string[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (chunk: Buffer) => {
        requests.push(chunk.toString('latin1'));
        socket.write(`${seen(chunk.toString('latin1')).ok()}\x81\x02hi`, 'latin1');
      });
    });
    server.listen(path);
    await once(server, 'listening');
    onTestFinished(async () => {
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    });
    return { path, requests };
  }
  const greeting = async (conn: Conn): Promise<string> => (await conn.readMessage()).text();

  it('connects to ws+unix:/path:/target', async () => {
    const { path, requests } = await unixServer();
    const conn = await open(`ws+unix:${encodeURI(path)}:/feed?x=1`);
    expect(await greeting(conn)).toBe('hi');
    expect(requests[0]).toMatch(/^GET \/feed\?x=1 HTTP\/1\.1\r\nHost: localhost\r\n/);
  });

  it('asks for / when there is no target', async () => {
    const { path, requests } = await unixServer();
    await open(`ws+unix://${encodeURI(path)}`);
    expect(requests[0]).toMatch(/^GET \/ HTTP/);
  });
});
