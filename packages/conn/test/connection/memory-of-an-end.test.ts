import type { Role } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import type { Conn } from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const ROLES: readonly Role[] = ['server', 'client'];
const NORMAL = Uint8Array.of(0x03, 0xe8);

/**
 * Ways to end, up to the point where the connection waits for the peer or is closed. `decoder`: what
 * it holds then.
 */
const ENDS: readonly { says: string; decoder?: string; end: (wire: Wired) => void }[] = [
  { says: "waits for the peer's close frame", end: ({ conn }) => void conn.close() },
  { says: 'has answered a close frame', end: ({ feed, frame }) => feed(frame(8, NORMAL)) },
  {
    says: 'has answered a close frame behind which bytes came',
    end: ({ feed, frame }) => feed(frame(8, NORMAL), frame(1, 'ignored').subarray(0, 4)),
  },
  {
    says: 'waits, with a part of a message',
    decoder: 'MessageDecoder',
    end: ({ conn, feed, frame }) => {
      feed(frame(1, 'cut off').subarray(0, 4));
      void conn.close();
    },
  },
  { says: 'has failed', end: ({ feed, frame }) => feed(frame(3), frame(1, 'later')) },
  {
    says: 'is closed',
    end: ({ transport, feed, frame }) => {
      feed(frame(8, NORMAL));
      transport.feedEnd();
    },
  },
  { says: 'is terminated', end: ({ conn }) => conn.terminate() },
];

/** The parts of `conn` that belong to a pool. */
function leased(conn: Conn): object {
  const { input } = conn['@ws/internals'].connection.machine;
  return { decoder: input?.constructor.name };
}

describe.each(ROLES)('a %s that ends', (role) => {
  it.each(ENDS)('holds a decoder only for a part of a message, when it $says', async (way) => {
    const wire = wired(role);
    const { conn, platform, feed, frame } = wire;
    conn.receive((message) => conn.send(message)).catch(() => {});
    feed(frame(1, 'first'));
    await platform.settle();
    way.end(wire);
    await platform.settle();
    expect(leased(conn)).toEqual({ decoder: way.decoder });
    conn.terminate();
    await conn.closed;
    await platform.settle();
    expect(leased(conn)).toEqual({ decoder: undefined });
  });
});
