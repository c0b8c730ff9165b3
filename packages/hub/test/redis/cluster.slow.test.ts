import { lacksDaemon } from '@ws/tests';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterNode, TestCluster } from './cluster.ts';
import { bytes, endAll } from './setup.ts';

const keep = { size: 100, ttl: 60_000 };
const ROOMS = Array.from({ length: 12 }, (_, i) => `room/${i}`);

describe.skipIf(lacksDaemon('redis-server'))('redisBackplane over a cluster', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterAll(() => cluster.close());
  afterEach(endAll);

  // The last test of a client may have left a slot or a server elsewhere.
  afterEach(() => cluster.settled());

  describe.each(['redis', 'ioredis'])('of the client %s', (client) => {
    const node = () => clusterNode(client, cluster);

    it('delivers the messages of all rooms, in order', async () => {
      const [a, b] = [await node(), await node()];
      for (const { backplane } of [a, b]) {
        await Promise.all(ROOMS.map((room) => backplane.subscribe(room)));
      }
      const sent: Promise<unknown>[] = [];
      for (let i = 0; i < 20; i++) {
        for (const room of ROOMS) {
          sent.push(a.backplane.publish(room, bytes(`${i}`), i % 2 === 0 ? keep : undefined));
        }
      }
      await Promise.all(sent);
      for (const { sink } of [a, b]) {
        const received = await sink.messages(20 * ROOMS.length);
        for (const room of ROOMS) {
          const texts = received.filter(([name]) => name === room).map(([, text]) => text);
          expect(texts).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`));
        }
        expect(sink.reports).toEqual([]);
      }
    });

    it('gives a slot that moves a gap, subscribes again within a second, and no other room has one', async () => {
      const [a, b] = [await node(), await node()];
      for (const { backplane } of [a, b]) {
        await Promise.all(ROOMS.map((room) => backplane.subscribe(room)));
      }
      await a.backplane.publish('room/0', bytes('before'), keep);
      const since = (await b.sink.messages(1))[0]![2];
      const slot = await cluster.slotOf('room/0');
      const from = await cluster.ownerOf('room/0');
      const to = (await cluster.primaries()).find((port) => port !== from)!;
      await cluster.moveSlot(slot, to);
      const moved = performance.now();
      await Promise.all([a.sink.report('gap room/0'), b.sink.report('gap room/0')]);
      expect(performance.now() - moved).toBeLessThan(1_000);
      for (const room of ROOMS) await a.backplane.publish(room, bytes('after'), keep);
      const after = (await b.sink.messages(ROOMS.length)).map(([room]) => room);
      expect(after.toSorted()).toEqual(ROOMS.toSorted());
      const { messages } = await b.backplane.history!('room/0', since, 10);
      expect(messages.map((message) => String(message.bytes))).toEqual(['after']);
      for (const { sink } of [a, b]) expect(sink.reports).toEqual([]);
    });

    it('reports a gap of the rooms of a shard when its replica takes over', async () => {
      const { backplane, sink } = await node();
      await Promise.all(ROOMS.map((room) => backplane.subscribe(room)));
      const from = await cluster.ownerOf('room/0');
      const own: string[] = [];
      for (const room of ROOMS) if ((await cluster.ownerOf(room)) === from) own.push(room);
      await cluster.failover(from);
      for (const room of own) await sink.reported(`gap ${room}`);
      expect(sink.reports.toSorted()).toEqual(own.map((room) => `gap ${room}`).toSorted());
      for (const room of ROOMS) await backplane.publish(room, bytes('after'), keep);
      expect(await sink.messages(ROOMS.length)).toHaveLength(ROOMS.length);
    });

    it('reports a gap of the rooms of a shard whose primary dies', async () => {
      const { backplane, sink } = await node();
      await Promise.all(ROOMS.map((room) => backplane.subscribe(room)));
      const from = await cluster.ownerOf('room/0');
      const own: string[] = [];
      for (const room of ROOMS) if ((await cluster.ownerOf(room)) === from) own.push(room);
      const killed = cluster.kill(from);
      await sink.reported('failed');
      const meanwhile = ROOMS.map((room) => backplane.publish(room, bytes('meanwhile'), keep));
      // The server may have had one of them.
      await Promise.allSettled(meanwhile);
      await killed;
      for (const room of own) await sink.reported(`gap ${room}`);
      const gaps = sink.reports.filter((report) => report !== 'failed');
      expect(gaps.toSorted()).toEqual(own.map((room) => `gap ${room}`).toSorted());
      for (const room of ROOMS) await backplane.publish(room, bytes('after'), keep);
      const left = new Set(ROOMS);
      while (left.size > 0) {
        const [[room, text]] = (await sink.messages(1)) as [[string, string, unknown]];
        if (text === 'after') left.delete(room);
      }
      await cluster.refill();
    });
  });
});
