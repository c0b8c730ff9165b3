import { once } from 'node:events';
import {
  connect,
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Stream,
} from 'node:http2';
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Socket,
} from 'node:net';
import { queryObjects } from 'node:v8';
import type { Conn } from '@ws/conn';
import { type ServeOptions, serve, Upgrader, type WsServer } from '@ws/node-server';
import { Http2Peer, hex, nothingLeft, selfSigned, turn, whenOver } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import { type ClientConn, Dialer, dial } from '../../src/index.ts';

nothingLeft();

const echo = (conn: Conn): Promise<unknown> => conn.receive((message) => conn.send(message));
const tls = { rejectUnauthorized: false };

/** A server with a counter of its TCP connections. */
interface Counted {
  readonly server: WsServer;
  readonly url: string;
  connections: number;
}

async function served(options: ServeOptions): Promise<Counted> {
  const server = await serve({ host: '127.0.0.1', ...options }, echo);
  whenOver(() => server.close({ timeout: 200 }));
  const counted = { server, url: server.url, connections: 0 };
  server.http.on('connection', () => counted.connections++);
  return counted;
}

async function says(conn: ClientConn, text: string): Promise<void> {
  await conn.send(text);
  expect((await conn.readMessage()).text()).toBe(text);
}

/** A server that does what `script` says, on a raw session. */
async function rawServer(script: (peer: Http2Peer) => unknown): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    void script(new Http2Peer(socket, true));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('dial with http2', () => {
  it("shares a session of a wss server with 'auto'", async () => {
    const counted = await served({ tls: await selfSigned(), http2: true });
    const dialer = new Dialer({ http2: 'auto', tls });
    const conns = await Promise.all([1, 2, 3].map(() => dialer.dial(counted.url)));
    for (const [i, conn] of conns.entries()) await says(conn, `message ${i}`);
    expect(conns[0]!.response.status).toBe(200);
    expect(counted.connections).toBe(1);
    for (const conn of conns) expect(await conn.close()).toMatchObject({ wasClean: true });
  });

  it('keeps nothing of a server whose sessions have ended', async () => {
    const counted = await served({ http2: 'clear' });
    const port = Number(new URL(counted.url).port);
    const openAndClose = async (): Promise<void> => {
      // Dials share no session with those of another function.
      const netDial = (): Socket => connectTcp(port, '127.0.0.1');
      const conn = await dial(counted.url, { http2: 'only', netDial });
      await conn.close();
      while (counted.server.connections.size > 0) await turn();
    };
    await openAndClose();
    const sets = (): number => queryObjects(Set, { format: 'count' });
    const before = sets();
    for (let i = 0; i < 20; i++) await openAndClose();
    await expect.poll(sets).toBeLessThan(before + 10);
  });

  it('keeps sessions of other TLS options apart', async () => {
    const counted = await served({ tls: await selfSigned(), http2: true });
    const first = await dial(counted.url, { http2: 'only', tls });
    const second = await dial(counted.url, { http2: 'only', tls: { ...tls, servername: 'other' } });
    expect(counted.connections).toBe(2);
    const { cert } = await selfSigned();
    const other = { http2: 'only', tls: { ca: cert, servername: 'not.there' } } as const;
    await expect(dial(counted.url, other)).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    for (const conn of [first, second]) await conn.close();
  });

  it('reads the certificates of the options for a new session only', async () => {
    const counted = await served({ tls: await selfSigned(), http2: true });
    const { cert } = await selfSigned();
    let reads = 0;
    const ca = new Proxy([cert], {
      get(list, key) {
        reads++;
        return Reflect.get(list, key) as unknown;
      },
    });
    const options = { http2: 'auto', tls: { ca } } as const;
    const first = await dial(counted.url, options);
    const before = reads;
    expect(before).toBeGreaterThan(0);
    const second = await dial(counted.url, options);
    expect(reads).toBe(before);
    for (const conn of [first, second]) await conn.close();
    expect(counted.connections).toBe(1);
    // A session has ended when its last stream has.
    while (counted.server.connections.size > 0) await turn();
    const readsOfDialer = (): number => {
      void new Dialer(options);
      return reads;
    };
    await expect.poll(readsOfDialer).toBeGreaterThan(before);
  });

  it("uses HTTP/1.1 on the same connection with 'auto' when the server has no HTTP/2", async () => {
    const counted = await served({ tls: await selfSigned() });
    const conn = await dial(counted.url, { http2: 'auto', tls });
    expect(conn.response.status).toBe(101);
    expect(counted.connections).toBe(1);
    await conn.close();
    const again = await dial(counted.url, { http2: 'auto', tls });
    await says(again, 'again');
    await again.close();
  });

  it("uses HTTP/1.1 with 'auto' when HTTP/2 has no WebSockets, and rejects with 'only'", async () => {
    const server = createSecureServer({ ...(await selfSigned()), allowHTTP1: true });
    let sessions = 0;
    server.on('session', () => sessions++);
    server.on('upgrade', (_req, socket: Socket) => {
      socket.end('HTTP/1.1 418 A teapot\r\nContent-Length: 0\r\n\r\n');
    });
    server.on('request', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(() => void server.close());
    const url = `wss://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const _ of ['asks', 'remembers']) {
      await expect(dial(url, { http2: 'auto', tls })).rejects.toMatchObject({ status: 418 });
    }
    expect(sessions).toBe(1);
    const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 600_000);
    whenOver(() => clock.mockRestore());
    await expect(dial(url, { http2: 'auto', tls })).rejects.toMatchObject({ status: 418 });
    expect(sessions, 'ten minutes later').toBe(2);
    const only = dial(url, { http2: 'only', tls });
    await expect(only).rejects.toThrow('does not offer WebSockets over HTTP/2');
  });

  it("uses HTTP/1.1 for ws with 'auto', and HTTP/2 in clear with 'only'", async () => {
    const old = await served({});
    const conn = await dial(old.url, { http2: 'auto' });
    expect(conn.response.status).toBe(101);
    await conn.close();
    const { url } = await served({ http2: 'clear', subprotocols: ['a'], compression: true });
    const clear = await dial(url, {
      http2: 'only',
      subprotocols: ['a'],
      compression: true,
      headers: { 'X-Test': '1' },
    });
    expect([clear.subprotocol, clear.extensions]).toEqual([
      'a',
      expect.stringMatching(/^permessage-deflate/),
    ]);
    await says(clear, 'compressed '.repeat(100));
    expect(await clear.close()).toMatchObject({ code: 1000, wasClean: true });
  });

  it('uses a session of the caller, and leaves it open', async () => {
    const { url } = await served({ http2: 'clear' });
    const session = connect(url.replace('ws', 'http'));
    whenOver(() => session.close());
    const conns = await Promise.all(
      Array.from({ length: 15 }, () => dial(url, { http2: session })),
    );
    for (const conn of conns) await says(conn, 'hello');
    for (const conn of conns) await conn.close();
    await says(await dial(url, { http2: session }), 'again');
    session.destroy();
    await once(session, 'close');
    await expect(dial(url, { http2: session })).rejects.toThrow('the HTTP/2 session has ended');
  });

  it('rejects on a session of the caller that is closing or without WebSockets', async () => {
    const counted = await served({ http2: 'clear' });
    const closing = connect(counted.url.replace('ws', 'http'));
    const open = await dial(counted.url, { http2: closing });
    closing.close();
    await expect(dial(counted.url, { http2: closing })).rejects.toThrow(/session has ended/);
    await says(open, 'hello');
    await open.close();

    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(() => void server.close());
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const plain = connect(url.replace('ws', 'http'));
    whenOver(() => plain.close());
    await once(plain, 'remoteSettings');
    const dialed = dial(url, { http2: plain });
    await expect(dialed).rejects.toThrow('does not offer WebSockets over HTTP/2');
    expect(plain.closed).toBe(false);
  });

  it('adds one listener to a session of the caller for many dials', async () => {
    const counted = await served({ http2: 'clear' });
    const session = connect(counted.url.replace('ws', 'http'));
    await once(session, 'remoteSettings');
    const first = await dial(counted.url, { http2: session });
    const before = session.listenerCount('goaway');
    const more = await Promise.all([1, 2, 3].map(() => dial(counted.url, { http2: session })));
    expect(session.listenerCount('goaway')).toBe(before);
    for (const conn of [first, ...more]) await conn.close();
    session.close();
  });

  it('opens another session at the maximum of the server', async () => {
    const server: Http2Server = createServer({
      settings: { enableConnectProtocol: true, maxConcurrentStreams: 2 },
    });
    let sessions = 0;
    server.on('session', () => sessions++);
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      stream.respond({ ':status': 200 });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(() => new Promise((done) => server.close(done)));
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const conns = await Promise.all([1, 2, 3, 4, 5].map(() => dial(url, { http2: 'only' })));
    expect(sessions).toBe(3);
    for (const conn of conns) conn.terminate();
    await Promise.all(conns.map((conn) => conn.closed));
  });

  it('opens another session after a GOAWAY, while open streams continue', async () => {
    const counted = await served({ http2: 'clear' });
    const first = await dial(counted.url, { http2: 'only' });
    const sessions: { close(): void }[] = [];
    counted.server.http.on('session', (session) => sessions.push(session));
    const second = await dial(counted.url, { http2: 'only' });
    expect(counted.connections).toBe(1);
    const peer = await rawServer(async (raw) => {
      raw.settings([[8, 1]]);
      await raw.until(() => raw.story(1).length > 0);
      raw.send('HEADERS', 4, 1, Buffer.from([0x88]));
      const goaway = Buffer.alloc(8);
      goaway.writeUInt32BE(1);
      raw.send('GOAWAY', 0, 0, goaway);
      raw.data(1, hex('81 02 68 69'));
    });
    const open = await dial(peer, { http2: 'only' });
    expect((await open.readMessage()).text()).toBe('hi');
    const next = await dial(peer, { http2: 'only' });
    expect((await next.readMessage()).text()).toBe('hi');
    for (const conn of [open, next]) conn.terminate();
    await Promise.all([open.closed, next.closed]);
    for (const conn of [first, second]) await conn.close();
  });

  it('tries a request again that the server has not processed', async () => {
    let asked = 0;
    const url = await rawServer(async (raw) => {
      raw.settings([[8, 1]]);
      await raw.until(() => raw.story(1).length > 0);
      if (asked++ === 0) raw.reset(1, 7);
      else raw.send('HEADERS', 4, 1, Buffer.from([0x88]));
    });
    const conn = await dial(url, { http2: 'only' });
    expect(asked).toBe(2);
    conn.terminate();
    await conn.closed;
  });

  it('rejects with the status and the body of a refusal', async () => {
    const { url, server } = await served({ http2: 'clear', authenticate: () => undefined });
    const refusal = await dial(url, { http2: 'only' }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'WS_ERR_BAD_HANDSHAKE', status: 401 });
    expect(String((refusal as { body: Buffer }).body)).toBe('Unauthorized\n');
    expect(server.stats.refused).toEqual({ 401: 1 });
  });

  it('sends RST_STREAM with CANCEL when the dial is aborted, or takes too long', async () => {
    const peers: Http2Peer[] = [];
    const url = await rawServer((raw) => {
      peers.push(raw);
      raw.settings([[8, 1]]);
    });
    const controller = new AbortController();
    const dialed = dial(url, { http2: 'only', signal: controller.signal });
    while (peers[0]?.story(1).length !== 1) await turn();
    controller.abort(new Error('enough'));
    await expect(dialed).rejects.toThrow('enough');
    await peers[0].until(() => peers[0]!.story(1).length > 1);
    expect(peers[0].story(1)).toEqual(['HEADERS', 'RST_STREAM 8']);
    const late = dial(url, { http2: 'only', handshakeTimeout: 100 });
    await expect(late).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
  });

  describe('to a server that requires HTTP/1.1 (RFC 9113, section 7)', () => {
    /** Answers streams with `refuse`, and upgrades of HTTP/1.1 with a WebSocket. */
    async function requiring(refuse: (stream: ServerHttp2Stream) => void) {
      const server = createSecureServer({
        ...(await selfSigned()),
        allowHTTP1: true,
        settings: { enableConnectProtocol: true },
      });
      server.on('session', (session) => session.on('error', () => {}));
      server.on('stream', (stream: ServerHttp2Stream) => {
        stream.on('error', () => {});
        refuse(stream);
      });
      const upgrader = new Upgrader();
      server.on('upgrade', upgrader.handler(echo));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      whenOver(async () => {
        await upgrader.close({ timeout: 1 });
        server.close();
      });
      return `wss://127.0.0.1:${(server.address() as AddressInfo).port}`;
    }

    it.each([
      ['RST_STREAM', (stream: ServerHttp2Stream) => stream.close(13)],
      ['GOAWAY', (stream: ServerHttp2Stream) => stream.session!.goaway(13, 0)],
    ])("is HTTP/1.1 at once with 'auto', an error with 'only': %s", async (_, refuse) => {
      const url = await requiring(refuse);
      for (let i = 0; i < 2; i++) {
        const conn = await dial(url, { http2: 'auto', tls });
        expect(conn.response.status).toBe(101);
        await says(conn, 'hello');
        await conn.close();
      }
      const only = dial(url, { http2: 'only', tls });
      await expect(only).rejects.toThrow('the server requires HTTP/1.1 (HTTP_1_1_REQUIRED)');
    });
  });

  it('does not wait for an answer to a PING when the SETTINGS have come', async () => {
    for (const settings of [[[8, 1]], []] as [number, number][][]) {
      const url = await rawServer(async (raw) => {
        raw.answers = false;
        raw.settings(settings);
        // Without WebSockets no stream comes.
        await raw.until(() => raw.story(1).length > 0).catch(() => {});
        raw.send('HEADERS', 4, 1, Buffer.from([0x88]));
      });
      const dialed = dial(url, { http2: 'only' });
      if (settings.length === 0) {
        await expect(dialed).rejects.toThrow('does not offer WebSockets over HTTP/2');
      } else {
        const conn = await dialed;
        conn.terminate();
        await conn.closed;
      }
    }
  });

  it('names a server that does not speak HTTP/2, and one that speaks nothing else', async () => {
    const message = 'bad handshake: the server does not speak HTTP/2';
    const plain = await served({});
    await expect(dial(plain.url, { http2: 'only' })).rejects.toThrow(message);
    const secure = await served({ tls: await selfSigned() });
    await expect(dial(secure.url, { http2: 'only', tls })).rejects.toThrow(message);
    const old = await served({ tls: { ...(await selfSigned()), ALPNProtocols: [] } });
    await expect(dial(old.url, { http2: 'only', tls })).rejects.toThrow(message);
    const { url } = await served({ http2: 'clear' });
    await expect(dial(url)).rejects.toThrow(
      "the answer is not HTTP/1.1 but HTTP/2; use the option http2: 'only'",
    );
  });

  it('rejects headers that are too large for the session, which others keep', async () => {
    const counted = await served({ http2: 'clear' });
    const first = await dial(counted.url, { http2: 'only' });
    const headers = { 'X-Large': 'x'.repeat(70_000) };
    const failed = await dial(counted.url, { http2: 'only', headers }).catch((error) => error);
    expect(failed).toBeInstanceOf(RangeError);
    expect(failed.message).toMatch(
      /^headers: 7\d{4} bytes, and the HTTP\/2 session allows 6\d{4}$/,
    );
    await says(first, 'still here');
    const second = await dial(counted.url, { http2: 'only' });
    expect(counted.connections).toBe(1);
    for (const conn of [first, second]) await conn.close();
  });

  it.each([
    ['ERR_HTTP2_OUT_OF_STREAMS', 'the HTTP/2 session has ended'],
    ['ERR_HTTP2_INVALID_CONNECTION_HEADERS', 'the request cannot be sent over HTTP/2'],
  ])('rejects when Node throws %s, and the session stays usable', async (code, message) => {
    const { url } = await served({ http2: 'clear' });
    const session = connect(url.replace('ws', 'http'));
    whenOver(() => session.close());
    const cause = Object.assign(new Error('mine'), { code });
    const request = vi.spyOn(session, 'request').mockImplementation(() => {
      throw cause;
    });
    await expect(dial(url, { http2: session })).rejects.toMatchObject({
      cause,
      message: expect.stringContaining(message) as string,
    });
    request.mockRestore();
    await says(await dial(url, { http2: session }), 'again');
  });

  it.each(['h2', true, {}, 1])('rejects the option %o', async (http2) => {
    await expect(dial('ws://127.0.0.1:1', { http2: http2 as never })).rejects.toThrow(
      /^http2: expected false, 'auto', 'only' or a ClientHttp2Session/,
    );
  });
});
