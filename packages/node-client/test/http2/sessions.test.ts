import { once } from 'node:events';
import { connect } from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Conn } from '@ws/conn';
import { serve } from '@ws/node-server';
import { Http2Peer, hex, nothingLeft, turn, whenOver } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { dial } from '../../src/index.ts';

nothingLeft();
afterEach(() => void vi.useRealTimers());

const ANSWER = Buffer.from([0x88]);
const HI = hex('81 02 68 69');

/** A server that does what `script` says, on raw sessions. */
async function rawServer(
  script: (peer: Http2Peer, count: number) => unknown,
): Promise<{ url: string; port: number; peers: Http2Peer[] }> {
  const peers: Http2Peer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    const peer = new Http2Peer(socket, true);
    peers.push(peer);
    void script(peer, peers.length);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `ws://127.0.0.1:${port}`, port, peers };
}

/** Answers every request. */
async function accepting(peer: Http2Peer): Promise<void> {
  peer.settings([[8, 1]]);
  for (let id = 1; !peer.ended; id += 2) {
    await peer.until(() => peer.ended || peer.story(id).length > 0).catch(() => {});
    if (!peer.ended) peer.send('HEADERS', 4, id, ANSWER);
  }
}

describe('a session of dial', () => {
  it('rejects the dial when its server ends it before, or within, its first frames', async () => {
    for (const bytes of ['', '00', '00 00 00 04 00 00 00 00 00']) {
      const { url } = await rawServer(({ socket }) => socket.end(hex(bytes)));
      const failed = await dial(url, { http2: 'only' }).catch((error: unknown) => error);
      expect(failed).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    }
  });

  it('rejects the dial when its socket is destroyed before the event connect', async () => {
    const { url, port } = await rawServer((peer) => accepting(peer));
    for (const turns of [0, 1, 2, 3]) {
      const netDial = async (): Promise<Socket> => {
        const socket = connectTcp(port, '127.0.0.1');
        await once(socket, 'connect');
        void (async () => {
          for (let i = 0; i < turns; i++) await new Promise((done) => process.nextTick(done));
          socket.destroy();
        })();
        return socket;
      };
      const failed = await dial(url, { http2: 'only', netDial }).catch((error: unknown) => error);
      expect(failed).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    }
  });

  it('rejects the dial when it is aborted before the event connect', async () => {
    const { url, port } = await rawServer((peer) => accepting(peer));
    for (let turns = 0; turns < 12; turns++) {
      const socket = connectTcp(port, '127.0.0.1');
      await once(socket, 'connect');
      const controller = new AbortController();
      const netDial = (): Socket => {
        void (async () => {
          for (let i = 0; i < turns; i++) await Promise.resolve();
          controller.abort(new Error('enough'));
        })();
        return socket;
      };
      const dialed = dial(url, { http2: 'only', netDial, signal: controller.signal });
      await expect(dialed).rejects.toThrow('enough');
      if (!socket.closed) await once(socket, 'close');
    }
  });

  it('rejects dials on a session of the caller that is destroyed while they wait', async () => {
    const { url } = await rawServer(() => {});
    for (const when of ['now', 'connect', 'later']) {
      const session = connect(url.replace('ws', 'http'));
      session.on('error', () => {});
      const dialed = Promise.allSettled([1, 2].map(() => dial(url, { http2: session })));
      if (when === 'connect') session.prependOnceListener('connect', () => session.destroy());
      else if (when === 'now') session.destroy();
      else session.once('connect', () => setImmediate(() => session.destroy()));
      for (const outcome of await dialed) {
        expect(outcome).toMatchObject({ reason: { code: 'WS_ERR_TRANSPORT' } });
      }
    }
  });

  it('is shared again after a dial that its server has not answered in time', async () => {
    const { url, peers } = await rawServer(async (peer) => {
      peer.settings([[8, 1]]);
      await peer.until(() => peer.story(1).length > 0);
      peer.send('HEADERS', 4, 1, ANSWER);
      await peer.until(() => peer.story(5).length > 0);
      peer.send('HEADERS', 4, 5, ANSWER);
    });
    const first = await dial(url, { http2: 'only' });
    const late = dial(url, { http2: 'only', handshakeTimeout: 100 });
    await expect(late).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
    const [peer] = peers;
    await peer!.until(() => peer!.story(3).includes('RST_STREAM 8'));
    for (let i = 0; i < 5; i++) await turn();
    const second = await dial(url, { http2: 'only' });
    expect(peers).toHaveLength(1);
    for (const conn of [first, second]) conn.terminate();
    await Promise.all([first.closed, second.closed]);
  });

  it('is shared no more when it answers no ping after such a dial', async () => {
    const { url, peers } = await rawServer((peer) => accepting(peer));
    const first = await dial(url, { http2: 'only' });
    const [peer] = peers;
    peer!.answers = false;
    peer!.socket.pause();
    const late = dial(url, { http2: 'only', handshakeTimeout: 100 });
    await expect(late).rejects.toMatchObject({ code: 'WS_ERR_TIMEOUT' });
    const second = await dial(url, { http2: 'only' });
    expect(peers).toHaveLength(2);
    for (const conn of [first, second]) conn.terminate();
    await Promise.all([first.closed, second.closed]);
  });

  it.each([
    ['after its last stream', true],
    ['without RFC 8441', false],
  ])('ends %s, also when its server never ends the socket', async (_, offers) => {
    const { port, peers, url } = await rawServer((peer) => {
      if (offers) return accepting(peer);
      return peer.settings();
    });
    const socket = connectTcp(port, '127.0.0.1');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const dialed = dial(url, { http2: 'only', netDial: () => socket });
    if (offers) {
      const conn = await dialed;
      conn.terminate();
      await conn.closed;
    } else await expect(dialed).rejects.toThrow('does not offer WebSockets');
    const [peer] = peers;
    await peer!.until(() => peer!.story(0).includes('GOAWAY 0'));
    if (!peer!.socket.readableEnded) await once(peer!.socket, 'end');
    expect(socket.destroyed).toBe(false);
    vi.advanceTimersByTime(2_000);
    expect(socket.destroyed).toBe(true);
  });

  it('keeps 300 WebSockets whose server reads slowly, and opens another', async () => {
    // The window of a stream is 0.
    const { url } = await rawServer(async (peer) => {
      peer.settings([
        [8, 1],
        [4, 0],
      ]);
      for (let id = 1; id < 603; id += 2) {
        await peer.until(() => peer.story(id).length > 0);
        peer.send('HEADERS', 4, id, ANSWER);
        if (id === 601) peer.data(id, HI);
      }
    });
    const conns: Conn[] = [];
    // The server answers no ping of a WebSocket.
    for (let i = 0; i < 300; i++) {
      const conn = await dial(url, { http2: 'only', heartbeat: false });
      conns.push(conn);
      conn.send(new Uint8Array(200_000)).catch(() => {});
    }
    const last = await dial(url, { http2: 'only', heartbeat: false });
    expect((await last.readMessage()).text()).toBe('hi');
    expect(conns.filter(({ state }) => state !== 'open')).toEqual([]);
    for (const conn of [...conns, last]) conn.terminate();
    await Promise.all([...conns, last].map(({ closed }) => closed));
  });

  it('has at most 1,000 streams', async () => {
    const { url, peers } = await rawServer((peer) => accepting(peer));
    const conns: Conn[] = [];
    // The server answers no ping of a WebSocket.
    const options = { http2: 'only', heartbeat: false } as const;
    while (peers.length < 2) conns.push(await dial(url, options));
    expect(conns).toHaveLength(1_001);
    for (const conn of conns) conn.terminate();
    await Promise.all(conns.map(({ closed }) => closed));
  });

  it('uses a stream of the caller that is no socket', async () => {
    const server = await serve({ host: '127.0.0.1', http2: 'clear' }, (conn: Conn) =>
      conn.receive((message) => conn.send(message)),
    );
    whenOver(() => server.close({ timeout: 200 }));
    const port = Number(new URL(server.url).port);
    const netDial = async (): Promise<Duplex> => {
      const socket = connectTcp(port, '127.0.0.1');
      await once(socket, 'connect');
      return Duplex.from({ readable: socket, writable: socket });
    };
    const conn = await dial(server.url, { http2: 'only', netDial });
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect(await conn.close()).toMatchObject({ wasClean: true });
  });
});
