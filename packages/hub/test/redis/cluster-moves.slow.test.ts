import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { redisBackplane } from '@ws/hub/redis';
import { lacksDaemon } from '@ws/tests';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ClusterRelays, clusterClients, clusterNode, TestCluster } from './cluster.ts';
import { RecordingSink } from './recording-sink.ts';
import { atEnd, bytes, endAll } from './setup.ts';

const keep = { size: 100, ttl: 60_000 };

describe.skipIf(lacksDaemon('redis-server'))('redisBackplane while slots move', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start(['enable-debug-command yes']);
  });
  afterAll(() => cluster.close());
  afterEach(endAll);
  afterEach(() => cluster.settled());

  const otherThan = async (port: number): Promise<number> =>
    (await cluster.primaries()).find((each) => each !== port)!;

  describe.each(Object.keys(clusterClients))('of the client %s', (client) => {
    it.each([false, true])(
      'publishes and reads where a new primary gets its first slot (behind a NAT: %s)',
      async (isMapped) => {
        const room = `room/${client} ${isMapped}`;
        const slot = await cluster.slotOf(room);
        const to = await cluster.addPrimary();
        const relays = isMapped ? await ClusterRelays.start(cluster) : undefined;
        const { backplane, sink } = await clusterNode(client, cluster, { relays });
        await backplane.subscribe(room);
        const first = (await backplane.publish(room, bytes('1'), keep))!;
        const from = await cluster.beginMove(slot, to);
        await cluster.moveKeys(slot, from, to);
        const second = await backplane.publish(room, bytes('2'), keep);
        expect(second).toEqual({ epoch: first.epoch, offset: 2 });
        expect(await backplane.history!(room, first, 10)).toMatchObject({ complete: true });
        await cluster.endMove(slot, to);
        await sink.report(`gap ${room}`);
        const third = await backplane.publish(room, bytes('3'), keep);
        expect(third).toEqual({ epoch: first.epoch, offset: 3 });
        expect((await sink.messages(3)).map(([, text]) => text)).toEqual(['1', '2', '3']);
      },
    );

    it('keeps the history of a slot that moves, and tells its members of no gap', async () => {
      const hubs = ['a', 'b'].map((id) => {
        const backplane = redisBackplane(clusterClients[client]!(cluster.ports));
        const rooms = { '*': { history: keep, delivery: 'through' } } as const;
        const hub = new Hub({ id, backplane, rooms });
        atEnd(() => hub.close({ timeout: 1 }));
        return hub;
      });
      const name = `kept by ${client}`;
      const [room, other] = hubs.map((hub) => hub.room(name));
      const gaps: unknown[] = [];
      for (const hub of hubs) hub.on('gap', (each) => void gaps.push(each));
      const [peer, conn] = connPair();
      const received: string[] = [];
      peer.receive((message) => void received.push(message.text())).catch(() => {});
      await hubs[0]!.add(conn).join(name);
      const since = (await room!.publish('1'))!;
      await other!.publish('2');
      const key = `room/${name}`;
      const from = await cluster.ownerOf(`ws:{${key}}`);
      await cluster.moveSlot(await cluster.slotOf(`ws:{${key}}`), await otherThan(from));
      await other!.publish('3');
      await expect.poll(() => received).toEqual(['1', '2', '3']);
      const { messages, complete } = await other!.history({ since });
      expect(messages.map(({ message }) => message.text())).toEqual(['2', '3']);
      expect(complete).toBe(true);
      expect(gaps).toEqual([]);
    });

    it('begins a new epoch when the former primary may have lost messages before the move', async () => {
      const { backplane } = await clusterNode(client, cluster);
      const room = `room/lost by ${client}`;
      const first = (await backplane.publish(room, bytes('1'), keep))!;
      const from = await cluster.ownerOf(`ws:{${room}}`);
      // A new replication id, as after a restart.
      await cluster.admin(from).call('DEBUG', 'CHANGE-REPL-ID');
      await cluster.moveSlot(await cluster.slotOf(`ws:{${room}}`), await otherThan(from));
      const { epoch, complete } = await backplane.history!(room, first, 10);
      expect([epoch === first.epoch, complete]).toEqual([false, false]);
      expect(await backplane.publish(room, bytes('2'), keep)).toEqual({ epoch, offset: 2 });
    });
  });

  it.each(Object.keys(clusterClients))(
    'finds the new primary after a discovery that has failed (%s)',
    async (client) => {
      const app = clusterClients[client]!(cluster.ports);
      let fails = false;
      const failing = new Proxy(app, {
        get(target, key) {
          if (key === 'duplicate' && fails) {
            return () => {
              throw new Error('refused');
            };
          }
          const value: unknown = Reflect.get(target, key);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
      const backplane = redisBackplane(failing);
      const sink = new RecordingSink();
      atEnd(() => backplane.close());
      await backplane.start(sink, 'node');
      await backplane.subscribe('room/r');
      const publisher = await clusterNode(client, cluster);
      fails = true;
      const from = await cluster.ownerOf('ws:{room/r}');
      await cluster.kill(from);
      await sink.report('failed');
      await cluster.settled();
      // By now the backplane has seen the views of all servers.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      fails = false;
      await sink.report('gap room/r');
      await publisher.backplane.publish('room/r', bytes('1'));
      expect((await sink.messages(1))[0]![1]).toBe('1');
      await cluster.refill();
    },
  );
});
