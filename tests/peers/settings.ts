import type { Conn } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, turn } from '../kit/index.ts';
import { type Connector, SOCKETS } from './connector.ts';
import { pattern } from './pattern.ts';

const KIB = 1024;
const PING = 9;
const PONG = 10;

/** Sends `size` bytes at a time until a write waits, and returns the buffered bytes. */
async function bufferedWhenWaiting(conn: Conn, size: number): Promise<number> {
  for (;;) {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    conn.send(pattern(size, 1)).then(settle, settle);
    for (let turns = 0; turns < 3 && !settled; turns++) await turn();
    if (!settled) return conn.bufferedAmount;
  }
}

/** Settings of a Conn that a server or a dialer must pass on. */
export function settingsSuite(connector: Connector, carriers = SOCKETS): void {
  describe.each(carriers)(`our ${connector.role} over %s`, (_, carrier) => {
    nothingLeft();

    it('makes writes wait at a high-water mark below that of the transport', async () => {
      const { conn, peer } = await connector.raw(carrier, { highWaterMark: 4 * KIB });
      peer.stream.pause();
      const buffered = await bufferedWhenWaiting(conn, 3 * KIB);
      expect(buffered).toBeGreaterThanOrEqual(4 * KIB);
      // TLS queues writes in the socket while it encrypts an earlier one.
      expect(buffered).toBeLessThan(40 * KIB);
    });

    it('makes writes wait at a higher mark, and a ping overtakes them', async () => {
      const { conn, peer } = await connector.raw(carrier, { highWaterMark: 512 * KIB });
      peer.stream.pause();
      const buffered = await bufferedWhenWaiting(conn, 30 * KIB);
      expect(buffered).toBeGreaterThanOrEqual(512 * KIB);
      const pong = conn.ping('first');
      peer.stream.resume();
      await peer.until(() => peer.frames.some(({ opcode }) => opcode === PING));
      await peer.send(PONG, 'first');
      await pong;
      await peer.until(() => conn.bufferedAmount === 0);
      const at = peer.frames.findIndex(({ opcode }) => opcode === PING);
      expect(peer.frames.length - at).toBeGreaterThan(3);
    });

    it('takes write buffers from writeBufferPool and returns them', async () => {
      const buffer = new Uint8Array(8 * KIB);
      const free: Uint8Array[] = [buffer];
      let taken = 0;
      const writeBufferPool = {
        get: () => {
          taken++;
          return free.pop();
        },
        put: (returned: Uint8Array) => void free.push(returned),
      };
      const { conn, peer } = await connector.raw(carrier, { writeBufferPool });
      for (let i = 0; i < 3; i++) {
        await conn.send(pattern(1000, i));
        await peer.frame(i);
      }
      expect(peer.frames.every(({ payload }, i) => payload.equals(pattern(1000, i)))).toBe(true);
      expect(taken).toBe(3);
      expect(free).toEqual([buffer]);
    });
  });
}
