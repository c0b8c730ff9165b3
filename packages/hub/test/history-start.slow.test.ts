// A room that has had no message has a position on each engine, and a break of the engine tells no gap.

import { setTimeout as sleep } from 'node:timers/promises';
import { connPair } from '@ws/conn';
import { Hub, type HubOptions, type Joined, type Position } from '@ws/hub';
import { redisBackplane } from '@ws/hub/redis';
import { lacksDaemon, nothingLeft } from '@ws/tests';
import { afterEach, describe, expect, it } from 'vitest';
import { natsNode, natsServer } from './nats/setup.ts';
import { adminOf, atEnd, clients, endAll, Relay, startRedis } from './redis/setup.ts';

const options: HubOptions = {
  rooms: { '*': { history: { size: 20, ttl: 60_000 }, delivery: 'through' } },
};
const first = ({ complete }: Joined): string => `complete ${complete}`;

interface Nodes {
  readonly one: Hub;
  readonly two: Hub;
  readonly cut: () => void;
  readonly mend: () => void;
}

async function redisNodes(): Promise<Nodes> {
  const { port } = await startRedis();
  const relay = await Relay.start(port);
  const hubs = [relay.port, port].map((each) => {
    const hub = new Hub({
      ...options,
      backplane: redisBackplane(clients['ioredis']!({ port: each })),
    });
    atEnd(() => hub.close({ timeout: 1 }));
    return hub;
  });
  const [one, two] = hubs as [Hub, Hub];
  for (const hub of hubs) await expect.poll(() => hub.stats.backplane).toBe('up');
  return { one, two, cut: () => relay.cut(), mend: () => relay.heal(port) };
}

async function natsNodes(): Promise<Nodes> {
  const server = await natsServer();
  const [one, two] = [
    await natsNode(server, { ...options, jetstream: true }),
    await natsNode(server, { ...options, jetstream: true }),
  ];
  // The stream has dropped messages of another room.
  for (let i = 0; i < 30; i++) await two.hub.room('busy').publish(`${i}`);
  return {
    one: one.hub,
    two: two.hub,
    cut: () => one.relay.cut(),
    mend: () => one.relay.mend(),
  };
}

async function visit(hub: Hub, since?: Position) {
  const [client, server] = connPair();
  const received: string[] = [];
  client.receive((message) => void received.push(message.text())).catch(() => {});
  hub.on('error', () => {});
  const { position } = await hub.add(server).join('r', { since, first });
  // What the hub has sent is before the pong.
  await client.ping();
  return { client, received, position: position! };
}

describe.each([
  ['Redis', 'redis-server', redisNodes],
  ['JetStream', 'nats-server', natsNodes],
] as const)('a room without messages on %s', (_, command, start) => {
  describe.skipIf(lacksDaemon(command))('with its server', () => {
    nothingLeft();
    afterEach(endAll);

    it('has a position, after which a client misses nothing', async () => {
      const { one, two } = await start();
      const { client, position } = await visit(one);
      expect(position.epoch).not.toBe('');
      client.terminate();
      expect((await visit(two, position)).received).toEqual(['complete true']);
      await two.room('busy').publish('beside');
      for (let i = 0; i < 5; i++) await two.room('r').publish(`${i}`);
      const { received } = await visit(one, position);
      expect(received).toEqual(['complete true', '0', '1', '2', '3', '4']);
      for (let i = 0; i < 300; i++) await two.room('r').publish(`more ${i}`);
      // The first messages are dropped. Redis drops 100 at a time.
      expect((await visit(one, position)).received[0]).toBe('complete false');
    });

    it('has no gap after a break of the engine, and gets what it has missed', async () => {
      const { one, two, cut, mend } = await start();
      const gaps: unknown[] = [];
      one.on('gap', (room) => void gaps.push(room));
      const { received } = await visit(one);
      const [, other] = connPair();
      await one.add(other).join('quiet');
      await sleep(200);
      cut();
      await expect.poll(() => one.stats.backplane, { interval: 5 }).toBe('down');
      await two.room('r').publish('missed');
      mend();
      await expect.poll(() => one.stats.backplane).toBe('up');
      await expect.poll(() => received).toEqual(['complete true', 'missed']);
      expect(gaps.filter((room) => room !== undefined)).toEqual([]);
    });
  });
});

describe.skipIf(lacksDaemon('redis-server'))('the epoch of a room on Redis', () => {
  nothingLeft();
  afterEach(endAll);

  it('has a time to live', async () => {
    const { port } = await startRedis();
    const hub = new Hub({ ...options, backplane: redisBackplane(clients['redis']!({ port })) });
    atEnd(() => hub.close({ timeout: 1 }));
    await visit(hub);
    const admin = adminOf(port);
    const [key] = await admin.keys('*');
    expect(await admin.pttl(key!)).toBeGreaterThan(60_000);
  });
});
