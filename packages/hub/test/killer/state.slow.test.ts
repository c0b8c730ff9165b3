// Rooms with a state over real engines: the engine is killed and cut off, connections break.
// HUB_ENGINES (`cluster` too), HUB_SEEDS and HUB_FAULTS as in killer.slow.test.ts.
import process from 'node:process';
import { type Conn, connPair } from '@ws/conn';
import { serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
import { roomsOf } from '@ws/rpc/rooms';
import { lacksDaemon, nothingLeft, Random, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { TestCluster } from '../redis/cluster.ts';
import { Copy, changed, EMPTY, type Table } from '../serve-rooms/board.ts';
import { backplaneOf } from './backplane-of.ts';
import { FAULTS, strike } from './cluster-killer.ts';
import { ENGINES } from './engines.ts';
import { SEEDS } from './seeds.ts';

const CLIENTS = 20;
const ROOMS = ['board/0', 'board/1'];
const NODES = 2;
const STEPS = Number(process.env['HUB_FAULTS'] ?? 4);
const NAMES = (process.env['HUB_ENGINES'] ?? 'redis,jetstream').split(',');

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const timeout = 60_000 * (2 + STEPS);

interface Place {
  /** The port for a node. */
  port(number: number): Promise<number>;
  fail(random: Random): Promise<void>;
}

const PLACES: Readonly<Record<string, () => Promise<Place>>> = {
  redis: () => killed('redis'),
  jetstream: () => killed('jetstream'),
  cluster: async () => {
    const cluster = await TestCluster.start();
    whenOver(() => cluster.close());
    return {
      port: async (number) => cluster.ports[number]!,
      fail: async (random) => {
        const room = random.pick(ROOMS);
        const owner = await cluster.ownerOf(`room/${room}`);
        await strike(cluster, random.pick(FAULTS), owner, [room], random);
      },
    };
  },
};

async function killed(name: string): Promise<Place> {
  const {
    servers: [server],
  } = await ENGINES[name]![1]();
  return {
    port: async () => (await server!.relay()).port,
    fail: async (random) => {
      await server!.stop();
      await sleep(random.below(1_500));
      await server!.start();
    },
  };
}

describe.each(Object.keys(PLACES))('rooms with a state over %s', { timeout }, (name) => {
  nothingLeft();
  const program = name === 'jetstream' ? 'nats-server' : 'redis-server';

  it.skipIf(!NAMES.includes(name) || lacksDaemon(program)).each(SEEDS)(
    'give each loop the table, whatever happens (seed %i)',
    async (seed) => {
      const random = new Random(seed);
      const place = await PLACES[name]!();
      const tables = new Map<string, Table>(ROOMS.map((room) => [room, EMPTY]));
      const nodes: ReturnType<typeof serveRooms>[] = [];
      for (let number = 0; number < NODES; number++) {
        const port = await place.port(number);
        const backplane = await backplaneOf({ engine: name, port, number }, `state${seed}`);
        const state = async (room: string): Promise<Table> => {
          await sleep(random.below(20));
          return tables.get(room)!;
        };
        const node = serveRooms(
          { 'board/*': { history: { size: 200 }, mayJoin: true, state } },
          { hub: { id: `n${number}`, backplane } },
        );
        node.hub.on('error', () => {});
        nodes.push(node);
      }
      const conns: (Conn | undefined)[] = [];
      const lives: ReconnectingConn[] = [];
      const copies: Copy[] = [];
      for (let i = 0; i < CLIENTS; i++) {
        const live = new ReconnectingConn(
          async () => {
            const [client, conn] = connPair({ report: () => {} });
            conns[i] = client;
            random.pick(nodes).hub.add(conn);
            return client;
          },
          { minDelay: 5, maxDelay: 50 },
        );
        lives.push(live);
        const rooms = roomsOf(live);
        for (const room of ROOMS)
          copies.push(new Copy(rooms.join(room), room, name !== 'jetstream'));
      }
      let pending = 0;
      const write = async (room: string): Promise<void> => {
        const [change, table] = changed(tables.get(room)!, random);
        tables.set(room, table);
        pending++;
        for (;;) {
          const { hub } = random.pick(nodes);
          const isDone = await hub
            .room(room)
            .publishJSON(change)
            .then(
              () => true,
              () => false,
            );
          if (isDone) break;
          await sleep(100);
        }
        pending--;
      };
      const writing = setInterval(() => void write(random.pick(ROOMS)), 10);
      const breaking = setInterval(() => conns[random.below(CLIENTS)]?.terminate(), 100);
      try {
        for (let step = 0; step < STEPS; step++) {
          await sleep(1_500);
          await place.fail(random);
        }
        await sleep(1_500);
        clearInterval(breaking);
        clearInterval(writing);
        await expect.poll(() => pending, { timeout: 60_000, interval: 100 }).toBe(0);
        const faults = (): string[] =>
          copies.flatMap((copy) => copy.differs(tables.get(copy.room)!));
        await expect.poll(faults, { timeout: 60_000, interval: 200 }).toEqual([]);
        console.log(
          `${name}, seed ${seed}: ${[...tables.values()].map(({ n }) => n).join(', ')} changes`,
        );
      } finally {
        clearInterval(breaking);
        clearInterval(writing);
        for (const live of lives) await live.close();
        for (const { hub } of nodes) await hub.close({ timeout: 1_000 });
      }
    },
  );
});
