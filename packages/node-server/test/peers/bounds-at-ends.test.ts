// The bounds of reading hold when a connection ends whose reader is behind.
import { nothingLeft, openStream, StreamPeer, selfSigned, turn } from '@ws/tests';
import { HTTP2, type RawPeer, rawClient, SOCKETS, upgradeRequest, whenOver } from '@ws/tests/peers';
import { describe, expect, it } from 'vitest';
import { type Conn, serve } from '../../src/index.ts';

/** Empty messages: each is charged with 320 bytes of the read-ahead, 64 KiB. */
const EMPTY = Buffer.of(0x81, 0x80, 1, 2, 3, 4);
const COUNT = 11_000;
const MOST_HELD = Math.floor(65_536 / 320) + 1;
/** Frames of one connection that are parsed in a turn. */
const FRAMES_PER_TURN = 1_000;

interface Subject {
  readonly server: Awaited<ReturnType<typeof serve>>;
  readonly conn: Conn;
  readonly peer: RawPeer;
}

const ENDS: Readonly<Record<string, (subject: Subject) => unknown>> = {
  'a reset': ({ peer }) => peer.reset(),
  'a FIN, and a reset': async ({ peer }) => {
    peer.end();
    await turn();
    peer.reset();
  },
  'our close, and a reset': async ({ conn, peer }) => {
    void conn.close(1001);
    await turn();
    peer.reset();
  },
  'a timeout': ({ conn }) => conn.close(1001, '', { timeout: 20 }),
  'the close of the server': ({ server }) => server.close({ timeout: 20 }),
};

describe.each([...SOCKETS, ...HTTP2])('a server over %s', (_, { secure, http2 }) => {
  nothingLeft();

  async function subject(handler: (conn: Conn) => unknown): Promise<Subject> {
    const { key, cert } = await selfSigned();
    let accepted: (conn: Conn) => void;
    const accepting = new Promise<Conn>((resolve) => (accepted = resolve));
    const server = await serve(
      {
        host: '127.0.0.1',
        tls: secure ? { key, cert } : undefined,
        http2: http2 && !secure ? 'clear' : http2,
        // A paused socket reports no reset: a ping finds it.
        heartbeat: { interval: 20, timeout: 60_000 },
        closeTimeout: 200,
        report: () => {},
      },
      async (conn) => {
        accepted(conn);
        await handler(conn);
      },
    );
    whenOver(() => server.close({ timeout: 1 }));
    let peer: RawPeer;
    if (http2) peer = new StreamPeer(await openStream(server.url));
    else {
      peer = await rawClient(Number(new URL(server.url).port), secure);
      await peer.write(upgradeRequest());
      await peer.head();
    }
    const conn = await accepting;
    whenOver(() => conn.terminate());
    return { server, conn, peer };
  }

  /** The peer sends all messages. Resolves when the connection reads no more. */
  async function fill({ conn, peer }: Subject): Promise<void> {
    void peer.write(Buffer.concat(Array.from({ length: COUNT }, () => EMPTY)));
    while (conn.stats.messagesIn < MOST_HELD) await turn();
    for (let i = 0; i < 20; i++) await turn();
  }

  const arrived = ({ stats }: Conn): number => Math.floor(stats.bytesIn / EMPTY.length);

  const held = ({ stats }: Conn, read: number): number =>
    stats.messagesIn - stats.messagesDropped - read;

  it.each(Object.keys(ENDS))('reads no further ahead of a busy handler after %s', async (end) => {
    let read = 0;
    let go = (): void => {};
    let received: Promise<unknown> = Promise.resolve();
    const busy = new Promise<void>((resolve) => (go = resolve));
    const target = await subject((conn) => {
      received = conn.receive(() => (++read === 1 ? busy : undefined));
      return received;
    });
    const { conn } = target;
    await fill(target);
    expect(held(conn, read)).toBeLessThanOrEqual(MOST_HELD);
    void ENDS[end]!(target);
    await conn.closed;
    for (let i = 0; i < 5; i++) await turn();
    expect([read, conn.state]).toEqual([1, 'closed']);
    expect(held(conn, read)).toBeLessThanOrEqual(MOST_HELD);
    go();
    let ended = false;
    void received.catch(() => {}).finally(() => (ended = true));
    let most = 0;
    for (let before = read; !ended; before = read) {
      await turn();
      most = Math.max(most, read - before);
    }
    expect(most).toBeLessThanOrEqual(FRAMES_PER_TURN + MOST_HELD);
    if (end === 'the close of the server') return;
    expect(read + conn.stats.messagesDropped).toBe(arrived(conn));
  });

  it.each(Object.keys(ENDS))('drops and counts what no code reads, after %s', async (end) => {
    const target = await subject(() => {});
    const { conn } = target;
    await fill(target);
    expect(held(conn, 0)).toBeLessThanOrEqual(MOST_HELD);
    void ENDS[end]!(target);
    await conn.closed;
    await turn();
    expect(held(conn, 0)).toBeLessThanOrEqual(MOST_HELD);
    const left = held(conn, 0);
    expect(left + conn.stats.messagesDropped).toBe(arrived(conn));
    for (let i = 0; i < left; i++) await conn.readMessage();
    await expect(conn.readMessage()).rejects.toThrow();
  });
});
