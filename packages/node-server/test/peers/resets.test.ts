import { once } from 'node:events';
import { connect } from 'node:net';
import { selfSigned, turn } from '@ws/tests';
import {
  expectNoSockets,
  nothingLeft,
  type RawPeer,
  rawClient,
  TRANSPORTS,
  upgradeRequest,
  whenOver,
} from '@ws/tests/peers';
import { describe, expect, it } from 'vitest';
import { type AdmitOrRefuse, type Conn, type ServeOptions, serve } from '../../src/index.ts';

/** An echo server that records how its connections ended. */
async function echoing(secure: boolean, options: ServeOptions<AdmitOrRefuse> = {}) {
  const { key, cert } = await selfSigned();
  const conns: Conn[] = [];
  const tls = secure ? { key, cert } : undefined;
  const server = await serve({ ...options, host: '127.0.0.1', tls }, (conn) => {
    conns.push(conn);
    return conn.receive((message) => conn.send(message));
  });
  whenOver(() => server.close());
  return { server, conns, port: Number(new URL(server.url).port) };
}

/** Checks that another client is served. */
async function expectServing(port: number, secure: boolean): Promise<void> {
  const peer = await rawClient(port, secure);
  await peer.write(upgradeRequest());
  await peer.head();
  peer.startFrames();
  await peer.send(1, 'still there');
  const { payload } = await peer.frame();
  expect(payload.toString()).toBe('still there');
  peer.destroy();
  await peer.closed;
}

const resets: readonly (readonly [string, (peer: RawPeer) => Promise<void>])[] = [
  ['before its request', async () => {}],
  ['within its request', (peer) => peer.write(upgradeRequest().slice(0, 60))],
  ['right after its request', (peer) => peer.write(upgradeRequest())],
  [
    'right after its first message, which came with the request',
    (peer) => peer.write(Buffer.concat([Buffer.from(upgradeRequest()), peer.encode(1, 'first')])),
  ],
  [
    'within its first frame, which came with the request',
    (peer) =>
      peer.write(
        Buffer.concat([Buffer.from(upgradeRequest()), peer.encode(2, 'cut off').subarray(0, 8)]),
      ),
  ],
  [
    'as it reads the 101',
    async (peer) => {
      await peer.write(upgradeRequest());
      await peer.head();
    },
  ],
  [
    'before it reads the echo of its message',
    async (peer) => {
      await peer.write(upgradeRequest());
      await peer.head();
      await peer.send(2, Buffer.alloc(500_000));
    },
  ],
];

describe.each(TRANSPORTS)('a server over %s, when a client resets', (_, secure) => {
  nothingLeft();

  it.each(resets)('%s, serves the others', async (_, act) => {
    const { server, conns, port } = await echoing(secure);
    const peer = await rawClient(port, secure);
    await act(peer);
    peer.reset();
    await peer.closed;
    await expectServing(port, secure);
    for (const conn of conns) expect(await conn.closed).toMatchObject({ code: 1006 });
    await expectNoSockets();
    expect(server.connections.size).toBe(0);
  });

  it('while a check is awaited, aborts the signal of the check and serves the others', async () => {
    let asked!: (signal: AbortSignal) => void;
    const asking = new Promise<AbortSignal>((resolve) => {
      asked = resolve;
    });
    let answer!: () => void;
    let first = true;
    const { server, conns, port } = await echoing(secure, {
      authenticate: (_req, { signal }) => {
        if (!first) return true;
        first = false;
        asked(signal);
        return new Promise<true>((resolve) => {
          answer = () => resolve(true);
        });
      },
    });
    const peer = await rawClient(port, secure);
    await peer.write(upgradeRequest());
    const signal = await asking;
    const aborted = once(signal, 'abort');
    peer.reset();
    await aborted;
    await expectServing(port, secure);
    answer();
    await turn();
    expect(conns.length).toBe(1);
    await expectNoSockets();
    expect(server.connections.size).toBe(0);
  });

  it('in the turn in which a check settles, serves the others', async () => {
    let answer!: () => void;
    const peers: RawPeer[] = [];
    const { server, conns, port } = await echoing(secure, {
      authenticate: () =>
        new Promise<true>((resolve) => {
          answer = () => resolve(true);
          if (peers.length === 0) resolve(true);
          else {
            peers.pop()!.reset();
            answer();
          }
        }),
    });
    const peer = await rawClient(port, secure);
    peers.push(peer);
    await peer.write(upgradeRequest());
    await peer.closed;
    await expectServing(port, secure);
    for (const conn of conns) expect(await conn.closed).toMatchObject({ code: 1006 });
    await expectNoSockets();
    expect(server.connections.size).toBe(0);
  });

  it('many at once in all stages, serves the others', async () => {
    const { server, conns, port } = await echoing(secure);
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const peer = await rawClient(port, secure);
        await resets[i % resets.length]![1](peer);
        for (let turns = i >> 2; turns > 0; turns--) await turn();
        peer.reset();
        await peer.closed;
      }),
    );
    await expectServing(port, secure);
    await Promise.all(conns.map((conn) => conn.closed));
    await expectNoSockets();
    expect(server.connections.size).toBe(0);
  });
});

describe('a server over TLS, when a client resets', () => {
  nothingLeft();

  it('within the TLS handshake, serves the others', async () => {
    const { port } = await echoing(true);
    const tcp = connect(port, '127.0.0.1');
    await once(tcp, 'connect');
    tcp.on('error', () => {});
    // The first bytes of a ClientHello.
    await new Promise((resolve) => tcp.write(Buffer.from('16030100c8010000c4', 'hex'), resolve));
    tcp.resetAndDestroy();
    await once(tcp, 'close');
    await expectServing(port, true);
    await expectNoSockets();
  });
});
