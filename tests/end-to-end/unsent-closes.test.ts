// A close is told clean only when both close frames left, whatever the peer has sent.

import type { Duplex } from 'node:stream';
import { Dialer } from '@ws/node-client';
import { type Conn, type ServeOptions, serve } from '@ws/node-server';
import {
  openStream,
  type RawPeer,
  rawClient,
  rawServer,
  rounds,
  StreamPeer,
  selfSigned,
  streamServer,
  switchingProtocols,
  whenOver,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';

const host = '127.0.0.1';
/** More than all buffers between the two ends. */
const LARGE = 6 * 1024 * 1024;
const SETTINGS = { heartbeat: false, maxBufferedAmount: 4 * LARGE, closeTimeout: 60_000 } as const;

type Kind = 'TCP' | 'TLS' | 'HTTP/2';

/** A connection of ours whose peer is a test. */
interface Ends {
  readonly conn: Conn;
  readonly peer: RawPeer;
}

async function server(kind: Kind): Promise<Ends> {
  let opened!: (conn: Conn) => void;
  const opening = new Promise<Conn>((resolve) => (opened = resolve));
  const secure = kind === 'TLS';
  const tls = secure ? await selfSigned() : undefined;
  const http2 = kind === 'HTTP/2' ? 'clear' : undefined;
  const options = { host, ...SETTINGS, tls, http2 } as ServeOptions;
  const running = await serve(options, async (conn) => {
    opened(conn);
    await conn.closed;
  });
  whenOver(() => running.close({ timeout: 1 }));
  const { port } = running.http.address() as { port: number };
  const peer = http2
    ? new StreamPeer(await openStream(`ws://${host}:${port}`))
    : await rawClient(port, secure);
  if (http2 === undefined) await peer.upgrade();
  return { conn: await opening, peer };
}

async function client(kind: Kind): Promise<Ends> {
  let opened!: (peer: RawPeer) => void;
  const opening = new Promise<RawPeer>((resolve) => (opened = resolve));
  const secure = kind === 'TLS';
  const isHttp2 = kind === 'HTTP/2';
  const { url, ca } = isHttp2
    ? await streamServer(secure, (stream) => opened(new StreamPeer(stream, 'server')))
    : await rawServer(secure, async (peer) => {
        await peer.write(switchingProtocols(await peer.head()));
        opened(peer);
      });
  const dialer = new Dialer({ ...SETTINGS, tls: { ca }, http2: isHttp2 ? 'only' : false });
  const conn = await dialer.dial(url);
  whenOver(() => conn.terminate());
  return { conn, peer: await opening };
}

const ROLES = { client, server };

/** Sends until bytes stay in this process. */
const FILLS = {
  /** The transport is above its high-water mark: our close frame waits in our queue. */
  async 'in our queue'(conn: Conn): Promise<void> {
    conn.send(new Uint8Array(LARGE)).catch(() => {});
    await turns();
  },
  /** The transport is below its high-water mark: it takes our close frame too. */
  async 'in the socket'(conn: Conn): Promise<void> {
    while (conn.bufferedAmount < 16_384) {
      conn.send(new Uint8Array(16_384)).catch(() => {});
      await turns();
    }
    expect(conn.bufferedAmount).toBeLessThan(60_000);
  },
} as const;

type Place = keyof typeof FILLS;

/** How a connection ends whose peer has sent its close frame and reads nothing. */
const CUTS: Readonly<Record<string, (ends: Ends) => unknown>> = {
  'the peer resets': ({ peer }) => peer.reset(),
  'the peer ends its side, and resets': ({ peer }) => {
    peer.end();
    peer.reset();
  },
  'the socket is destroyed': ({ conn }) => (conn.underlyingConn as Duplex).destroy(),
  'the socket is destroyed with an error': ({ conn }) =>
    (conn.underlyingConn as Duplex).destroy(new Error('our socket failed')),
  'the application terminates': ({ conn }) => conn.terminate(),
  'its timeout is over': ({ conn }) => conn.close(1000, '', { timeout: 20 }),
  'its timeout is over, after a FIN': ({ conn, peer }) => {
    peer.end();
    void conn.close(1000, '', { timeout: 20 });
  },
};

/** The cuts over `kind`. TLS lies on TCP, whose cuts are all in the test command. */
const cutsOver = (kind: Kind) =>
  Object.entries(CUTS).slice(0, kind === 'TLS' ? rounds(3, Infinity) : Infinity);

const turns = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => void setImmediate(resolve));
};

/** The peer closes. Resolves when our connection has got its close frame. */
async function closedBy({ conn, peer }: Ends): Promise<void> {
  const { bytesIn } = conn.stats;
  await peer.close(1000);
  while (conn.stats.bytesIn === bytesIn) await turns();
  await turns();
  expect(conn.state).toBe('closing');
}

/** Ends whose peer has stopped reading while bytes of ours wait in this process. */
async function stuck(role: keyof typeof ROLES, kind: Kind, place: Place): Promise<Ends> {
  const ends = await ROLES[role](kind);
  const { conn, peer } = ends;
  peer.stream.pause();
  await FILLS[place](conn);
  expect(conn.bufferedAmount).toBeGreaterThan(0);
  return ends;
}

describe.each(['TCP', 'TLS', 'HTTP/2'] as const)('C7 over %s', (kind) => {
  describe.each(['client', 'server'] as const)('the close of a %s', (role) => {
    describe.each(cutsOver(kind))('is not clean when %s', (_, cut) => {
      const CASES = (['in our queue', 'in the socket'] as const).flatMap((place) => [
        [place, 'before ours'] as const,
        [place, 'after ours'] as const,
      ]);
      it.each(CASES)('with ours %s, and that of the peer came %s', async (place, order) => {
        const ends = await stuck(role, kind, place);
        const { conn } = ends;
        conn.discardReads().catch(() => {});
        if (order === 'after ours') void conn.close(1000);
        await closedBy(ends);
        // Our close frame is queued from now on, behind bytes that never leave.
        expect(conn.bufferedAmount).toBeGreaterThan(0);
        cut(ends);
        const { code, wasClean, error } = await conn.closed;
        expect({ code, wasClean }).toEqual({ code: 1000, wasClean: false });
        expect(error).toBeInstanceOf(Error);
      });
    });

    it('is not clean when only our close frame left', async () => {
      const { conn, peer } = await ROLES[role](kind);
      peer.startFrames();
      void conn.close(1000);
      expect(await peer.sees(1)).toEqual(['close 1000']);
      peer.end();
      expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
    });

    it.each(['before ours', 'after ours'])(
      'is clean when a peer that sent its close frame %s reads all the same',
      async (order) => {
        const ends = await stuck(role, kind, 'in our queue');
        const { conn, peer } = ends;
        conn.discardReads().catch(() => {});
        if (order === 'after ours') void conn.close(1000);
        await closedBy(ends);
        peer.startFrames();
        peer.stream.resume();
        expect((await peer.sees(2))[1]).toBe('close 1000');
        peer.end();
        expect(await conn.closed).toEqual({ code: 1000, reason: '', wasClean: true });
      },
    );
  });
});
