import { once } from 'node:events';
import type { Http2ServerRequest, Http2ServerResponse, IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Worker } from 'node:worker_threads';
import type { Conn } from '@ws/conn';
import {
  frameBytes,
  Http2Peer,
  headerBlock,
  hex,
  http2Client,
  nothingLeft,
  selfSigned,
  turn,
  WEBSOCKET_REQUEST,
  whenOver,
} from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { open, served, sessionWith } from './client.ts';

nothingLeft();
afterEach(() => void vi.useRealTimers());

/** Replaces the timers of JavaScript: those of Node's own code go on. */
function stopTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
}

const NEVER = { interval: 1_000_000, timeout: 1_000_000 };
const HI = hex('81 82 00 00 00 00 68 69');

describe('a session of serve', () => {
  it.each([
    ['in clear', undefined],
    ['in TLS', ['h2']],
    ['before TLS', []],
    ['of HTTP/1.1', ['http/1.1']],
  ])('ends after handshakeTimeout when its client sends nothing, %s', async (_, protocols) => {
    const server = await served(protocols !== undefined, {
      handshakeTimeout: 100,
      heartbeat: NEVER,
    });
    const where = { port: server.port, host: '127.0.0.1' };
    const { cert: ca } = await selfSigned();
    const socket = protocols?.length
      ? connectTls({ ...where, ca, ALPNProtocols: protocols })
      : connect(where);
    socket.on('error', () => {}).resume();
    // `once` would reject at an error: on a busy machine, TLS has not begun.
    await new Promise((resolve) => socket.once('close', resolve));
  });

  it('has the keep-alive of node:http for HTTP/1.1 beside it', async () => {
    const server = await served(true, { request: (_req, res) => res.end('a page') });
    const { cert: ca } = await selfSigned();
    const socket = connectTls({ port: server.port, host: '127.0.0.1', ca });
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const [head] = (await once(socket, 'data')) as [Buffer];
    expect(String(head)).toContain('Keep-Alive: timeout=5\r\n');
    socket.destroy();
  });

  it('closes after two minutes without a stream', async () => {
    const server = await served(false, { heartbeat: NEVER });
    stopTimers();
    const idle = await http2Client(server.port);
    const used = await http2Client(server.port);
    used.headers(1, WEBSOCKET_REQUEST);
    await used.until(() => used.story(1).length > 0);
    await idle.until(() => idle.story(0).length > 1);
    vi.advanceTimersByTime(119_000);
    for (let i = 0; i < 5; i++) await turn();
    expect(idle.story(0)).not.toContain('GOAWAY 0');
    vi.advanceTimersByTime(1_000);
    await idle.over();
    expect(idle.story(0).at(-1)).toBe('GOAWAY 0');
    used.reset(1, 8);
    while (server.connections.size > 0) await turn();
    vi.advanceTimersByTime(120_000);
    await used.over();
  });

  it('ends the socket of a client that has sent GOAWAY and no FIN', async () => {
    const server = await served(false, { heartbeat: { interval: 1_000, timeout: 1_000 } });
    const counted = (): Promise<number> =>
      new Promise((done) => server.http.getConnections((_, count) => done(count)));
    stopTimers();
    const peer = await http2Client(server.port);
    peer.socket.allowHalfOpen = true;
    await peer.until(() => peer.story(0).length > 1);
    peer.send('GOAWAY', 0, 0, Buffer.alloc(8));
    await once(peer.socket, 'end');
    expect(await counted()).toBe(1);
    vi.advanceTimersByTime(1_000);
    vi.advanceTimersByTime(2_000);
    while ((await counted()) > 0) await turn();
  });

  it.each(['client', 'server'])('continues after a GOAWAY of the %s', async (side) => {
    const server = await served(false, { heartbeat: { interval: 20, timeout: 1_000 } });
    const peer = await http2Client(server.port);
    peer.headers(1, WEBSOCKET_REQUEST);
    await peer.until(() => peer.story(1).length > 0);
    if (side === 'client') peer.send('GOAWAY', 0, 0, Buffer.alloc(8));
    else void server.close({ timeout: 10_000 });
    await peer.until(() => peer.story(0).includes('GOAWAY 0'));
    const asked = (): number => peer.story(0).filter((frame) => frame === 'SETTINGS').length;
    const before = asked();
    for (let count = 1; count < 5; count++) {
      await peer.until(() => asked() > before + count);
      // Also for the heartbeat of the connection.
      peer.data(1, HI);
    }
    if (side === 'client') await peer.until(() => peer.bytes(1).includes('hi'));
    // The zombie of Node 20 answers no more.
    peer.answers = false;
    await peer.over();
  });

  it('waits for a second ping', async () => {
    const server = await served(false, { heartbeat: { interval: 20, timeout: 100 } });
    const peer = await http2Client(server.port);
    const pings = (): number => peer.frames.filter(({ type }) => type === 'PING').length;
    await peer.until(() => pings() > 0);
    for (let wanted = 2; wanted < 8; wanted += 2) {
      peer.answers = false;
      await peer.until(() => pings() >= wanted);
      peer.answers = true;
      await peer.until(() => pings() > wanted);
    }
    expect(peer.ended).toBe(false);
  });

  it('continues while other bytes of its client arrive', async () => {
    const server = await served(false, { heartbeat: { interval: 20, timeout: 20 } });
    const peer = await http2Client(server.port);
    const pings = (): number => peer.frames.filter(({ type }) => type === 'PING').length;
    peer.answers = false;
    for (let wanted = 1; wanted < 8; wanted++) {
      await peer.until(() => pings() >= wanted);
      peer.window(0, 1);
    }
    expect(peer.ended).toBe(false);
    await peer.over();
  });

  it('survives that the process of its server was suspended during a ping', async () => {
    const server = await served(false, { heartbeat: { interval: 100, timeout: 250 } });
    const worker = new Worker(
      `const { connect } = require('node:http2');
       const { parentPort, workerData } = require('node:worker_threads');
       const session = connect(workerData);
       session.on('ping', () => parentPort.postMessage('ping'));
       session.on('close', () => parentPort.postMessage('close'));
       session.on('error', () => {});`,
      { eval: true, workerData: server.url.replace('ws', 'http') },
    );
    whenOver(() => worker.terminate());
    for (let i = 0; i < 5; i++) {
      const [event] = (await once(worker, 'message')) as [string];
      expect(event).toBe('ping');
      // Longer than all pings.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
    }
  });

  describe('beside a WebSocket of another user of a proxy', () => {
    /** Sends a segment of frames for each of `count` streams, from stream 3 on. */
    const each = (peer: Http2Peer, count: number, bytes: (id: number) => Buffer): void => {
      const ids = Array.from({ length: count }, (_, i) => 3 + 2 * i);
      peer.socket.write(Buffer.concat(ids.map(bytes)));
    };
    const request = (path: string) => (id: number) =>
      frameBytes(
        'HEADERS',
        4,
        id,
        headerBlock(Object.entries({ ...WEBSOCKET_REQUEST, ':path': path })),
      );
    const reset = (code: number) => (id: number) =>
      frameBytes('RST_STREAM', 0, id, Buffer.from([0, 0, 0, code]));
    const ended = (peer: Http2Peer): number =>
      peer.frames.filter(({ type, flags }) => type === 'DATA' && (flags & 1) !== 0).length;
    const echoes = async (peer: Http2Peer): Promise<void> => {
      peer.frames.length = 0;
      peer.data(1, HI);
      await peer.until(() => peer.bytes(1).includes('hi'));
    };

    // On a fake clock all of it happens within a second, also on a busy machine.
    it.each([
      ['refused', '/no', () => Buffer.alloc(0)],
      ['closed', '/', (id: number) => frameBytes('DATA', 0, id, hex('88 82 00 00 00 00 03 e8'))],
    ])('counts no reset after the end of a stream that was %s', async (_, path, then) => {
      const server = await served(false, { authenticate: ({ url }) => url !== '/no' });
      const peer = await http2Client(server.port);
      peer.headers(1, WEBSOCKET_REQUEST);
      await peer.until(() => peer.status(1) === 200);
      each(peer, 400, (id) => Buffer.concat([request(path)(id), then(id)]));
      await peer.until(() => ended(peer) === 400);
      each(peer, 400, reset(8));
      await echoes(peer);
      peer.headers(1_001, WEBSOCKET_REQUEST);
      await peer.until(() => peer.status(1_001) === 200);
    });

    it('refuses new streams, and keeps the open ones, above 200 early resets in a second', async () => {
      vi.useFakeTimers({ toFake: ['performance'] });
      const server = await served(false);
      const peer = await http2Client(server.port);
      peer.headers(1, WEBSOCKET_REQUEST);
      each(peer, 250, request('/'));
      await peer.until(() => peer.status(501) === 200);
      each(peer, 250, reset(8));
      await echoes(peer);
      peer.headers(503, WEBSOCKET_REQUEST);
      await peer.until(() => peer.story(503).length > 0);
      expect(peer.story(503)).toEqual(['RST_STREAM 7']);
      // With the next second all is as before.
      vi.advanceTimersByTime(1_001);
      peer.headers(505, WEBSOCKET_REQUEST);
      await peer.until(() => peer.status(505) === 200);
      await echoes(peer);
    });

    it('ends after another 200 of them', async () => {
      vi.useFakeTimers({ toFake: ['performance'] });
      const server = await served(false);
      const peer = await http2Client(server.port);
      peer.headers(1, WEBSOCKET_REQUEST);
      each(peer, 450, (id) => Buffer.concat([request('/')(id), reset(8)(id)]));
      await peer.over();
      while (server.stats.open > 0) await turn();
    });

    it('ends in an orderly way before nghttp2 has counted 1,000 resets', async () => {
      const server = await served(false, { authenticate: ({ url }) => url !== '/no' });
      const peer = await http2Client(server.port);
      peer.headers(1, WEBSOCKET_REQUEST);
      each(peer, 900, request('/no'));
      await peer.until(() => ended(peer) === 900);
      // Node shows these resets to nobody.
      each(peer, 900, reset(0));
      await peer.until(() => peer.story(0).includes('GOAWAY 0'));
      await echoes(peer);
    });

    it('survives a client that reads slowly, and answers no ping', async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
      const server = await served(
        false,
        { heartbeat: { interval: 100, timeout: 1_000 } },
        async (conn: Conn) => {
          void conn.discardReads();
          const bytes = new Uint8Array(65_536);
          for (;;) await conn.send(bytes);
        },
      );
      const socket = connect({ port: server.port, host: '127.0.0.1' });
      whenOver(() => void socket.destroy());
      socket.on('error', () => {});
      const peer = new Http2Peer(socket);
      peer.settings([[4, 2 ** 31 - 1]]);
      peer.window(0, 2 ** 31 - 65_536);
      peer.headers(1, WEBSOCKET_REQUEST);
      await peer.until(() => peer.status(1) === 200);
      socket.removeAllListeners('data').pause();
      let read = 0;
      for (let i = 0; i < 100; i++) {
        let piece = socket.read() as Buffer | null;
        for (; piece === null; piece = socket.read() as Buffer | null) {
          expect(socket.readableEnded).toBe(false);
          await turn();
        }
        read += piece.length;
        vi.advanceTimersByTime(20);
      }
      expect(read).toBeGreaterThan(1_000_000);
      // It reads no more.
      while (server.connections.size > 0) {
        vi.advanceTimersByTime(20);
        await turn();
      }
    });
  });

  it('gives a slow client the time to read what the kernels hold', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const heartbeat = { interval: 100, timeout: 100 };
    // Less than a socket of Linux takes at once.
    const server = await served(false, { heartbeat }, async (conn: Conn) => {
      void conn.discardReads();
      await conn.send(new Uint8Array(160_000));
    });
    const socket = connect({ port: server.port, host: '127.0.0.1' });
    whenOver(() => void socket.destroy());
    socket.on('error', () => {});
    const peer = new Http2Peer(socket);
    peer.settings([[4, 2 ** 31 - 1]]);
    peer.window(0, 2 ** 31 - 65_536);
    peer.headers(1, WEBSOCKET_REQUEST);
    await peer.until(() => peer.status(1) === 200);
    socket.pause();
    for (let i = 0; i < 50; i++) await turn();
    // 160,000 bytes at 16 KiB a second.
    vi.advanceTimersByTime(8_000);
    await turn();
    expect(server.connections.size).toBe(1);
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(1_000);
      await turn();
    }
    expect(server.connections.size).toBe(0);
  });

  it('counts no stream that the application closes as a reset of the client', async () => {
    const server = await served(false, {
      request: (req, res) => {
        const { stream } = req as unknown as Http2ServerRequest;
        if (req.url === '/close') stream.close(8);
        else if (req.url === '/destroy') stream.destroy();
        else (res as unknown as Http2ServerResponse).end('a page');
      },
    });
    const session = await sessionWith(server.url);
    for (const path of ['/close', '/destroy']) {
      for (let i = 0; i < 300; i++) {
        const stream = session.request({ ':path': path });
        stream.on('error', () => {});
        await once(stream, 'close');
      }
    }
    const page = session.request({ ':path': '/' });
    const [headers] = (await once(page, 'response')) as [IncomingHttpHeaders];
    expect(headers[':status']).toBe(200);
    page.resume();
  });

  it('opens WebSockets while 300 others wait for a client that reads slowly', async () => {
    const server = await served(false, {}, ((conn: Conn) => {
      conn.send(new Uint8Array(200_000)).catch(() => {});
      return conn.receive(() => {});
    }) as never);
    // The window of a stream is 0.
    const peer = await http2Client(server.port, [[4, 0]]);
    for (let id = 1; id < 601; id += 2) peer.headers(id, WEBSOCKET_REQUEST);
    await peer.until(() => peer.story(599).length > 0);
    peer.headers(601, WEBSOCKET_REQUEST);
    await peer.until(() => peer.story(601).length > 0);
    expect(peer.story(601)).toEqual(['HEADERS']);
    expect(server.stats.open).toBe(301);
  });

  it('opens the WebSocket when authenticate has read the request to its end', async () => {
    const server = await served(false, {
      authenticate: async (req) => {
        for await (const _chunk of req) throw new Error('a request has no body');
        return true;
      },
    });
    const conn = await open(await sessionWith(server.url));
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect(await conn.close()).toMatchObject({ wasClean: true });
  });

  it('resets the stream of a request that the application destroys', async () => {
    const server = await served(false, { authenticate: (req) => void req.destroy() });
    const peer = await http2Client(server.port);
    peer.headers(1, WEBSOCKET_REQUEST);
    await peer.until(() => peer.story(1).length > 0);
    expect(peer.story(1)).toEqual(['RST_STREAM 8']);
  });
});

describe('EA3 a session that nghttp2 has ended for a frame of its client', () => {
  const FAULTS: Readonly<Record<string, (client: Http2Peer) => void>> = {
    'a padding longer than its frame': (client) => client.send('DATA', 8, 1, hex('c8 01 02')),
    'DATA on an idle stream': (client) => client.data(999, HI),
    'a frame above the size': (client) => client.data(1, Buffer.alloc(16_385)),
    'SETTINGS with ACK and a payload': (client) => client.send('SETTINGS', 1, 0, Buffer.alloc(6)),
    'bytes of HTTP/1.1': (client) => client.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
    'a bad header block': (client) => client.send('HEADERS', 4, 9, hex('ff ff ff ff ff ff')),
  };

  describe.each([false, true])('with TLS: %s', (secure) => {
    it.each(Object.entries(FAULTS))('frees its places within 3 s: %s', async (_, fault) => {
      vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
      const server = await served(secure, { heartbeat: NEVER, maxConnections: 3 });
      const client = await http2Client(server.port, [], secure);
      for (const stream of [1, 3, 5]) client.headers(stream, WEBSOCKET_REQUEST);
      await client.until(() => [1, 3, 5].every((stream) => client.status(stream) === 200));
      fault(client);
      await client.until(() => client.story(0).some((frame) => frame.startsWith('GOAWAY')));
      client.socket.destroy();
      for (let second = 0; second < 3 && server.stats.open > 0; second++) {
        vi.advanceTimersByTime(1_000);
        for (let i = 0; i < 20; i++) await turn();
      }
      expect(server.stats.open).toBe(0);
    });
  });

  it('is not one whose client is quiet, slow or busy', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const server = await served(false, { heartbeat: NEVER });
    const client = await http2Client(server.port);
    client.headers(1, WEBSOCKET_REQUEST);
    await client.until(() => client.status(1) === 200);
    const pings = (): number =>
      client.frames.filter(({ type, flags }) => type === 'PING' && flags === 0).length;
    const seconds = async (count: number): Promise<void> => {
      for (let second = 0; second < count; second++) {
        vi.advanceTimersByTime(1_000);
        for (let i = 0; i < 20; i++) await turn();
      }
    };
    await seconds(10);
    // One ping after the bytes of the request. Its answer causes no other.
    expect(pings()).toBe(1);
    client.answers = false;
    client.data(1, HI);
    await seconds(10);
    expect(pings()).toBe(2);
    expect(server.stats.open).toBe(1);
  });
});
