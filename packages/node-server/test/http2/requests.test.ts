// Requests over HTTP/2 that are no WebSocket, or no good one: each beside others on its session.
import { once } from 'node:events';
import {
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  type Http2Peer,
  headerBlock,
  hex,
  http2Client,
  nothingLeft,
  selfSigned,
  turn,
  WEBSOCKET_REQUEST,
  whenOver,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type ServeOptions, Upgrader } from '../../src/index.ts';
import { echo, open, served, sessionWith } from './client.ts';

nothingLeft();

const PAGE = { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'localhost' };

/** Sends a request in as many frames as it needs. */
function sendHead(peer: Http2Peer, id: number, fields: Record<string, string>): void {
  const block = headerBlock(Object.entries(fields));
  for (let at = 0; at < block.length; at += 16_384) {
    const isLast = at + 16_384 >= block.length;
    const part = block.subarray(at, at + 16_384);
    peer.send(at === 0 ? 'HEADERS' : 'CONTINUATION', isLast ? 4 : 0, id, part);
  }
}

describe('the head of a request over HTTP/2', () => {
  const large = Object.fromEntries(
    Array.from({ length: 12 }, (_, i) => [`x-field-${i}`, 'x'.repeat(9_000)]),
  );
  const pathOf = (length: number) => ({ ':path': `/${'x'.repeat(length)}` });

  it.each([
    ['12 fields of 9,000 bytes', large, 431],
    ['a path of 17,000 bytes', pathOf(17_000), 431],
    ['a path of 15,000 bytes', pathOf(15_000), 200],
  ])('has 16 KiB, as over HTTP/1.1: %s', async (_, change, status) => {
    const server = await served(false, { request: (_req, res) => res.end('a page') });
    for (const base of [WEBSOCKET_REQUEST, PAGE]) {
      const peer = await http2Client(server.port);
      peer.headers(1, WEBSOCKET_REQUEST);
      sendHead(peer, 3, { ...base, ...change });
      await peer.until(() => peer.story(3).length > 0);
      expect(peer.status(3)).toBe(status);
      peer.data(1, hex('81 82 00 00 00 00 68 69'));
      await peer.until(() => peer.bytes(1).includes('hi'));
    }
    expect(server.stats.refused).toEqual(status === 431 ? { 431: 2 } : {});
  });
});

describe('a page over HTTP/2', () => {
  const page: ServeOptions = { request: (req, res) => void res.end(String(req.headers.host)) };
  const get = async (peer: Http2Peer, id: number, change = {}): Promise<[number, string]> => {
    peer.headers(id, { ...PAGE, ...change }, true);
    await peer.until(() => peer.story(id).includes('DATA 0 END'));
    return [peer.status(id)!, String(peer.bytes(id))];
  };

  it('is refused with 400 when Host differs from :authority, and later ones are served', async () => {
    const server = await served(false, page);
    const peer = await http2Client(server.port);
    const message = "not an HTTP request: 'Host' header is another than ':authority'\n";
    expect(await get(peer, 1, { host: 'evil' })).toEqual([400, message]);
    expect(await get(peer, 3, { host: 'LOCALHOST' })).toEqual([200, 'LOCALHOST']);
    expect((await get(peer, 5))[0]).toBe(200);
    expect(server.stats.refused).toEqual({ 400: 1 });
  });

  it.each([
    ['the default page', undefined],
    ['a page that does not read', page.request],
  ])('does not wait for the end of a body: %s', async (_, request) => {
    const server = await served(false, { request });
    const peer = await http2Client(server.port);
    peer.headers(1, { ...PAGE, ':method': 'POST' });
    peer.data(1, Buffer.alloc(1_000));
    await peer.until(() => peer.story(1).includes('RST_STREAM 0'));
    expect(await server.close({ timeout: 60_000 })).toMatchObject({ terminated: 0 });
  });

  it('reads a body to its end after the answer', async () => {
    let read = 0;
    const server = await served(false, {
      request: (req, res) => {
        req.on('data', (chunk: Buffer) => (read += chunk.length));
        res.end('thanks');
      },
    });
    const peer = await http2Client(server.port);
    peer.headers(1, { ...PAGE, ':method': 'POST' });
    await peer.until(() => peer.story(1).includes('DATA 0 END'));
    peer.data(1, Buffer.alloc(1_000));
    while (read < 1_000) await turn();
    peer.data(1, Buffer.alloc(1_000), true);
    while (read < 2_000) await turn();
    expect(peer.story(1)).not.toContain('RST_STREAM 0');
  });
});

describe('a WebSocket over HTTP/2', () => {
  it('is refused when its client sends more than 64 KiB before the answer', async () => {
    const authenticate = (): Promise<true> => new Promise(() => {});
    const server = await served(false, { authenticate, handshakeTimeout: false });
    const session = await sessionWith(server.url);
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/',
      ':authority': 'a',
      'sec-websocket-version': '13',
    });
    stream.on('error', () => {});
    const answer = once(stream, 'response');
    stream.write(Buffer.alloc(300_000));
    const [headers] = (await answer) as [IncomingHttpHeaders];
    expect(headers[':status']).toBe(400);
    stream.resume();
    await once(stream, 'close');
  });
});

describe('the option error over HTTP/2', () => {
  it('gets a socket that names the client', async () => {
    const seen: unknown[] = [];
    const server = await served(false, {
      authenticate: () => false,
      error: (_req, socket) => void seen.push((socket as Socket).remoteAddress),
    });
    const peer = await http2Client(server.port);
    peer.headers(1, WEBSOCKET_REQUEST);
    await peer.until(() => peer.status(1) === 401);
    expect(seen).toEqual(['127.0.0.1']);
  });
});

describe('a server of the user with Upgrader.streams', () => {
  async function own(add?: (server: ReturnType<typeof createServer>) => void) {
    const server = createServer({ settings: { enableConnectProtocol: true } });
    const upgrader = new Upgrader({ unmatched: 'leave' });
    server.on('stream', upgrader.streams({ '/': echo }));
    add?.(server);
    server.on('request', (_req, res) => void res.end('a page'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(async () => {
      await upgrader.close({ timeout: 200 });
      server.close();
    });
    const peer = await http2Client((server.address() as AddressInfo).port);
    peer.headers(1, WEBSOCKET_REQUEST);
    await peer.until(() => peer.status(1) === 200);
    return peer;
  }
  const CONNECT = { ':method': 'CONNECT', ':authority': 'example.org:443' };

  it('answers other CONNECT requests with 405, as Node does', async () => {
    const peer = await own();
    peer.headers(3, CONNECT);
    await peer.until(() => peer.story(3).length > 0);
    expect([peer.status(3), peer.story(3)]).toEqual([405, ['HEADERS END']]);
    // No route, and no listener of the application.
    peer.headers(5, { ...WEBSOCKET_REQUEST, ':path': '/other' });
    await peer.until(() => peer.story(5).length > 0);
    expect(peer.story(5)).toEqual(['HEADERS END']);
  });

  it('leaves them to its own listeners', async () => {
    const peer = await own((server) => {
      // Node's types know no event 'connect' of HTTP/2.
      server.on('connect' as 'request', (req, res) => {
        if (req.headers[':protocol'] === undefined) res.writeHead(204).end();
      });
    });
    peer.headers(3, CONNECT);
    await peer.until(() => peer.story(3).length > 0);
    expect(peer.status(3)).toBe(204);
  });

  it('leaves a path to a listener that answers later', async () => {
    const peer = await own((server) => {
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        if (headers[':path'] !== '/other') return;
        setImmediate(() => stream.respond({ ':status': 304 }, { endStream: true }));
      });
    });
    peer.headers(3, { ...WEBSOCKET_REQUEST, ':path': '/other' });
    await peer.until(() => peer.story(3).length > 0);
    expect(peer.status(3)).toBe(304);
  });

  it('closes the socket of a CONNECT over HTTP/1.1, as Node does', async () => {
    const server = createSecureServer({
      ...(await selfSigned()),
      allowHTTP1: true,
      settings: { enableConnectProtocol: true },
    });
    const upgrader = new Upgrader();
    server.on('stream', upgrader.streams(echo)).on('request', (_req, res) => void res.end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const session = await sessionWith(`wss://127.0.0.1:${port}`);
    await (await open(session)).close();
    session.close();
    const { cert: ca } = await selfSigned();
    const socket = connectTls({ port, host: '127.0.0.1', ca }).resume();
    socket.write('CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n');
    await once(socket, 'close');
  });
});
