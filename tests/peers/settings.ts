import type { Conn } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { turn } from '../fake-host.ts';
import { nothingLeft } from './leftovers.ts';
import { pattern } from './pattern.ts';
import { OVER, type Stage } from './stage.ts';

const KIB = 1024;
const CONTINUATION = 0;
const BINARY = 2;
const PING = 9;
const PONG = 10;

/** Sends `size` bytes at a time until a write has to wait, and says what is buffered then. */
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

/** Settings of a Conn that its maker has to pass on. */
export function settingsSuite(stage: Stage): void {
  describe.each(OVER)(`our ${stage.role} over %s`, (_, secure) => {
    nothingLeft();

    it('lets writes wait at a high-water mark that is lower than the transport’s own', async () => {
      const { conn, peer } = await stage.raw(secure, { highWaterMark: 4 * KIB });
      peer.stream.pause();
      const buffered = await bufferedWhenWaiting(conn, 3 * KIB);
      expect(buffered).toBeGreaterThanOrEqual(4 * KIB);
      // What is written while TLS is at work on a write before is in the socket's queue already.
      expect(buffered).toBeLessThan(40 * KIB);
      conn.terminate();
      peer.destroy();
      await conn.closed;
    });

    it('lets them wait at a higher one too, with a ping passing what waits', async () => {
      const { conn, peer } = await stage.raw(secure, { highWaterMark: 512 * KIB });
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
      conn.terminate();
      peer.destroy();
      await conn.closed;
    });

    it('writes a stream in fragments of writeBufferSize', async () => {
      const { conn, peer } = await stage.raw(secure, { writeBufferSize: 1000 });
      const writer = await conn.nextWriter(BINARY);
      await writer.write(pattern(2500, 1));
      await writer.close();
      await peer.frame(2);
      expect(peer.frames.map(({ opcode, payload }) => [opcode, payload.length])).toEqual([
        [BINARY, 1000],
        [CONTINUATION, 1000],
        [CONTINUATION, 500],
      ]);
      conn.terminate();
      peer.destroy();
      await conn.closed;
    });

    it('takes its write buffers from writeBufferPool and gives them back', async () => {
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
      const { conn, peer } = await stage.raw(secure, { writeBufferPool });
      for (let i = 0; i < 3; i++) {
        await conn.send(pattern(1000, i));
        await peer.frame(i);
      }
      expect(peer.frames.every(({ payload }, i) => payload.equals(pattern(1000, i)))).toBe(true);
      expect(taken).toBe(3);
      expect(free).toEqual([buffer]);
      conn.terminate();
      peer.destroy();
      await conn.closed;
    });

    it('takes a readBufferSize, though a socket reads into memory of its own', async () => {
      const { conn, peer } = await stage.raw(secure, { readBufferSize: 16 });
      await peer.send(BINARY, pattern(5000, 3));
      expect(Buffer.from((await conn.readMessage()).data).equals(pattern(5000, 3))).toBe(true);
      conn.terminate();
      peer.destroy();
      await conn.closed;
    });
  });
}
