// A server that closes, and peers that do not.
import { sharedSlabPool } from '@ws/codec';
import { serve } from '@ws/node-server';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Outcome, survives } from '../../src/hostile/index.ts';
import { type RawSocket, rawSocket, request, turn } from '../../src/index.ts';
import { nothingLeft, whenOver } from '../../src/peers/index.ts';
import { whole } from './asking.ts';

const SOCKETS = 1_000;
/** More of them: half a head, and nothing at all. */
const OTHERS = 20;
const TIMEOUT = 3_000;
const STEP = 10;

describe('a server that shuts down', () => {
  nothingLeft();
  afterEach(() => void vi.useRealTimers());

  it('is done in its time, though 1,000 peers never close', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const server = await serve({ host: '127.0.0.1' }, async (conn) => {
      await conn.receive(() => {});
    });
    whenOver(() => server.close());
    const port = Number(new URL(server.url).port);
    const peers: RawSocket[] = [];
    const open = async (bytes: Uint8Array | undefined): Promise<RawSocket> => {
      const peer = await rawSocket(port);
      whenOver(() => peer.destroy());
      if (bytes !== undefined) peer.socket.write(bytes);
      return peer;
    };
    for (let i = 0; i < SOCKETS; i += 50) {
      const some = await Promise.all(Array.from({ length: 50 }, () => open(request())));
      await Promise.all(some.map(whole));
      peers.push(...some);
    }
    for (let i = 0; i < OTHERS; i++) {
      peers.push(await open(i % 2 === 0 ? undefined : request().subarray(0, 30)));
    }
    while (server.connections.size < SOCKETS) await turn();
    // Made once, for all that is ever sent.
    sharedSlabPool().take(1).release();
    const over = Promise.all(peers.map(({ closed }) => closed));
    const attack = async (): Promise<Outcome> => {
      let end = '';
      void server.close({ timeout: TIMEOUT }).then(() => {
        end = 'ends';
      });
      let ms = 0;
      for (; end === '' && ms < 20_000; ms += STEP) {
        for (let turns = 0; turns < 5; turns++) await turn();
        await vi.advanceTimersByTimeAsync(STEP);
        // All that is due ends now, in as many turns as it takes.
        if (ms >= TIMEOUT) for (let turns = 0; turns < 500 && end === ''; turns++) await turn();
      }
      for (const peer of peers) peer.destroy();
      await over;
      const told = peers.slice(0, SOCKETS).filter(({ received }) => {
        // An unmasked close frame with 1001 behind the head.
        return received.includes(Buffer.of(0x88, 2, 0x03, 0xe9));
      });
      return {
        shutdown: end,
        late: ms - TIMEOUT,
        told: told.length,
        left: server.connections.size,
      };
    };
    const { told } = await survives(105, attack, { rounds: 1 });
    expect(told).toBe(SOCKETS);
  }, 60_000);
});
