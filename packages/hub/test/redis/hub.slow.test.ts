import { type Conn, connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { type RedisClient, redisBackplane } from '@ws/hub/redis';
import { lacksDaemon } from '@ws/tests';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { ClusterRelays, clusterClients, TestCluster } from './cluster.ts';
import { atEnd, clients, endAll, Relay, startRedis } from './setup.ts';

const ROOMS = ['kept', 'plain'] as const;

describe.skipIf(lacksDaemon('redis-server'))('hubs over Redis', () => {
  afterEach(endAll);
  let cluster: Promise<TestCluster> | undefined;
  afterAll(async () => (await cluster)?.close());

  describe.each([
    ['redis', false],
    ['ioredis', false],
    ['redis', true],
    ['ioredis', true],
  ])('with the client %s, cluster: %s', (client, clustered) => {
    /** An engine, with a network that fails between it and some of its clients. */
    async function start() {
      if (clustered) {
        const running = await (cluster ??= TestCluster.start());
        const relays = await ClusterRelays.start(running);
        const [near, far] = [{}, { relays }].map((options) => () => {
          return clusterClients[client]!(running.ports, options);
        });
        return { near: near!, far: far!, cut: () => relays.cut(), heal: () => relays.heal() };
      }
      const { port } = await startRedis();
      const relay = await Relay.start(port);
      const [near, far] = [port, relay.port].map((each) => () => clients[client]!({ port: each }));
      return { near: near!, far: far!, cut: () => relay.cut(), heal: () => relay.heal(port) };
    }

    /** A hub and a client that has joined all rooms. */
    async function node(connect: () => RedisClient) {
      const backplane = redisBackplane(connect());
      const hub = new Hub({ backplane, rooms: { kept: { history: true } } });
      atEnd(() => hub.close());
      hub.on('error', () => {});
      const [conn, server] = connPair();
      const session = hub.add(server);
      for (const room of ROOMS) void session.join(room);
      return { hub, conn };
    }

    /** Waits until the messages of `from` arrive in each room. */
    async function joined(from: Hub, to: Conn): Promise<void> {
      const left = new Set<string>(ROOMS);
      const read = (async () => {
        while (left.size > 0) left.delete((await to.readMessage()).text().split(' ')[0]!);
      })();
      await expect
        .poll(async () => {
          for (const room of left) await from.room(room).publish(`${room} hello`);
          await turn();
          return left.size;
        })
        .toBe(0);
      await read;
    }

    it('repair the loss of a network outage from the history, and report the rest', async () => {
      const { near, far, cut, heal } = await start();
      const [a, b] = [await node(near), await node(far)];
      await joined(a.hub, b.conn);
      const gaps = gapsOf(b.hub);
      cut();
      await down(b.hub);
      for (let i = 0; i < 10; i++) await publish(a.hub, i);
      heal();
      await gaps.next('plain');
      for (let i = 10; i < 20; i++) await publish(a.hub, i);
      const texts = await upTo(b.conn, 19);
      expect(numbers(texts, 'kept')).toEqual(Array.from({ length: 20 }, (_, i) => i));
      expect(numbers(texts, 'plain')).toEqual(Array.from({ length: 10 }, (_, i) => i + 10));
      expect(gaps.all).toEqual(['plain']);
    });

    // A primary of a cluster that restarts without its data has a replica.
    it.skipIf(clustered)(
      'report one gap for each room when a server restarts without its data',
      async () => {
        let daemon = await startRedis();
        const relay = await Relay.start(daemon.port);
        const connect = () => clients[client]!({ port: relay.port });
        const [a, b] = [await node(connect), await node(connect)];
        await joined(a.hub, b.conn);
        const gaps = gapsOf(b.hub);
        let next = 0;
        for (let restart = 1; restart <= 3; restart++) {
          for (let i = 0; i < 10; i++) await publish(a.hub, next++);
          await upTo(b.conn, next - 1);
          daemon.process.kill('SIGKILL');
          await down(b.hub);
          await down(a.hub);
          relay.cut();
          daemon = await startRedis();
          relay.heal(daemon.port);
          await gaps.count(2 * restart);
          await up(a.hub);
          const first = next;
          for (let i = 0; i < 10; i++) await publish(a.hub, next++);
          const texts = await upTo(b.conn, next - 1);
          for (const room of ROOMS) {
            expect(numbers(texts, room)).toEqual(Array.from({ length: 10 }, (_, i) => first + i));
          }
        }
        expect(gaps.all.toSorted()).toEqual([...ROOMS, ...ROOMS, ...ROOMS].toSorted());
      },
    );

    it('close while the server is away', async () => {
      const { far, cut } = await start();
      cut();
      const errors: string[] = [];
      const hub = new Hub({ backplane: redisBackplane(far()) });
      hub.on('error', (_, error) => void errors.push(String(error)));
      await expect.poll(() => errors.length).toBe(1);
      expect(hub.stats.backplane).toBe('down');
      await hub.close();
    });
  });
});

async function publish(hub: Hub, number: number): Promise<void> {
  for (const room of ROOMS) await hub.room(room).publish(`${room} ${number}`);
}

/** The texts up to this number in each room. Only the messages of one room have an order. */
async function upTo(conn: Conn, number: number): Promise<string[]> {
  const texts: string[] = [];
  const last = new Set(ROOMS.map((room) => `${room} ${number}`));
  while (last.size > 0) {
    const text = (await conn.readMessage()).text();
    texts.push(text);
    last.delete(text);
  }
  return texts;
}

function numbers(texts: readonly string[], room: string): number[] {
  return texts
    .map((text) => text.split(' '))
    .filter(([name, rest]) => name === room && rest !== 'hello')
    .map(([, number]) => Number(number));
}

/** The rooms of the gaps that a hub reports from now on. */
function gapsOf(hub: Hub) {
  const all: string[] = [];
  hub.on('gap', (room) => void (room !== undefined && all.push(room)));
  return {
    all,
    next: (room: string) => expect.poll(() => all).toContain(room),
    count: (count: number) => expect.poll(() => all.length).toBe(count),
  };
}

const down = (hub: Hub) => expect.poll(() => hub.stats.backplane).toBe('down');
const up = (hub: Hub) => expect.poll(() => hub.stats.backplane).toBe('up');

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
