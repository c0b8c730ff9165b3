import { connPair } from '@ws/conn';
import type { Position } from '@ws/hub';
import { lacksDaemon, nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { natsNode, natsServer } from './setup.ts';

const CLIENTS = 3_000;
const ROOMS = 100;
/** Messages of each room. */
const MESSAGES = 200;
const TEXT = 'x'.repeat(100);

interface Welcome {
  readonly count: number;
  readonly complete: boolean;
}

const nameOf = (client: number): string => `r${client % ROOMS}`;

const percentile = (sorted: readonly number[], share: number): number =>
  Math.round(sorted[Math.ceil(sorted.length * share) - 1]!);

const options = { jetstream: true, rooms: { '*': { history: { size: 1_000 } } } };

describe.skipIf(lacksDaemon('nats-server'))('a storm of reconnects over JetStream', () => {
  nothingLeft();

  it.each([
    ['without a position', false],
    ['with a position of each client', true],
  ])(
    `serves ${CLIENTS} clients %s, while publications go through`,
    { timeout: 300_000 },
    async (_, hasPosition) => {
      const nats = await natsServer();
      const [a, b] = [await natsNode(nats, options), await natsNode(nats, options)];
      const positions: Position[][] = [];
      for (let i = 0; i < MESSAGES; i++) {
        const rooms = Array.from({ length: ROOMS }, (_, room) => b.hub.room(nameOf(room)));
        const published = await Promise.all(rooms.map((room) => room.publish(TEXT)));
        positions.push(published as Position[]);
      }
      const failures: unknown[] = [];
      a.hub.on('message', async (session, message) => {
        const { room: name, since } = message.json() as { room: string; since?: Position };
        const { room } = await session.join(name);
        try {
          const read = await room.history({ since, limit: since === undefined ? 20 : undefined });
          const welcome: Welcome = { count: read.messages.length, complete: read.complete };
          session.send(JSON.stringify(welcome));
        } catch (error) {
          failures.push(error);
        }
      });

      const start = performance.now();
      let storming = true;
      const publications: number[] = [];
      const publishing = (async () => {
        while (storming) {
          const began = performance.now();
          await Promise.all([a, b].map(({ hub }) => hub.room('live').publish(TEXT)));
          publications.push(performance.now() - began);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      })();
      const served: number[] = [];
      const conns = await Promise.all(
        Array.from({ length: CLIENTS }, async (_, client) => {
          // In memory: the accept queue of a listening socket is not under test.
          const [conn, server] = connPair();
          a.hub.add(server);
          // The clients of a room were away for different times.
          const missed = 1 + (client % (MESSAGES - 1));
          const since = positions[MESSAGES - 1 - missed]![client % ROOMS];
          await conn.writeJSON({ room: nameOf(client), ...(hasPosition && { since }) });
          const { count, complete } = await conn.readJSON<Welcome>();
          expect([count, complete]).toEqual(hasPosition ? [missed, true] : [20, false]);
          served.push(performance.now() - start);
          return conn;
        }),
      );
      storming = false;
      await publishing;
      for (const conn of conns) conn.terminate();

      served.sort((x, y) => x - y);
      publications.sort((x, y) => x - y);
      console.log(
        `${CLIENTS} clients ${hasPosition ? 'with' : 'without'} a position: half served after ` +
          `${percentile(served, 0.5)} ms, all after ${percentile(served, 1)} ms; ` +
          `${2 * publications.length} publications took ${percentile(publications, 0.5)} ms, ` +
          `at most ${percentile(publications, 1)} ms`,
      );
      expect(failures).toEqual([]);
      for (const { hub, errors, gaps } of [a, b]) {
        expect([hub.stats.backplane, errors, gaps]).toEqual(['up', [], []]);
      }
    },
  );
});
