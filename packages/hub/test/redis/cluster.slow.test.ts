import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { redisBackplane } from '@ws/hub/redis';
import { lacksDaemon } from '@ws/tests';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { clusterClients, clusterNode, TestCluster } from './cluster.ts';
import { RecordingSink } from './recording-sink.ts';
import { atEnd, bytes, endAll, startRedis } from './setup.ts';

const keep = { size: 100, ttl: 60_000 };
/** As in docs/many-nodes.md. */
const USER =
  'hub on >secret resetkeys ~ws:* resetchannels &ws:* -@all +@connection +info +cluster|slots +spublish +ssubscribe +sunsubscribe +eval +del +hmget +hset +hincrby +pexpire +xadd +xrange'.split(
    ' ',
  );
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

  /** The slot of a name, its server, and another one. */
  async function placeOf(name: string) {
    const [slot, from] = [await cluster.slotOf(name), await cluster.ownerOf(name)];
    return { slot, from, to: (await cluster.primaries()).find((port) => port !== from)! };
  }

  async function roomsOf(port: number): Promise<string[]> {
    const owners = await Promise.all(ROOMS.map((room) => cluster.ownerOf(room)));
    return ROOMS.filter((_, i) => owners[i] === port);
  }

  describe.each(['redis', 'ioredis', 'iovalkey'])('of the client %s', (client) => {
    const node = () => clusterNode(client, cluster);

    /** A node that has subscribed to all rooms. */
    async function member() {
      const started = await node();
      await Promise.all(ROOMS.map((room) => started.backplane.subscribe(room)));
      return started;
    }

    it('delivers the messages of all rooms, in order', async () => {
      const [a, b] = [await member(), await member()];
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

    it('gives the rooms of a slot that moves a gap, and no other room', async () => {
      const [a, b] = [await member(), await member()];
      await a.backplane.publish('room/0', bytes('before'), keep);
      const since = (await b.sink.messages(1))[0]![2];
      const { slot, to } = await placeOf('room/0');
      await cluster.moveSlot(slot, to);
      await Promise.all([a.sink.report('gap room/0'), b.sink.report('gap room/0')]);
      for (const room of ROOMS) await a.backplane.publish(room, bytes('after'), keep);
      const after = (await b.sink.messages(ROOMS.length)).map(([room]) => room);
      expect(after.toSorted()).toEqual(ROOMS.toSorted());
      const { messages } = await b.backplane.history!('room/0', since, 10);
      expect(messages.map((message) => String(message.bytes))).toEqual(['after']);
      for (const { sink } of [a, b]) expect(sink.reports).toEqual([]);
    });

    it('publishes and reads where a moving slot has its keys, before and after the move', async () => {
      const [a, b] = [await node(), await node()];
      const room = `room/moving/${client}`;
      for (const { backplane } of [a, b]) await backplane.subscribe(room);
      const first = await a.backplane.publish(room, bytes('1'), keep);
      const key = `ws:{${room}}`;
      const { slot, from: owner, to } = await placeOf(key);
      await cluster.beginMove(slot, to);
      // One of the two keys: the server answers TRYAGAIN.
      await cluster.admin(owner).call('MIGRATE', '127.0.0.1', to, key, 0, 5_000);
      const second = a.backplane.publish(room, bytes('2'), keep);
      const third = a.backplane.publish(room, bytes('3'), keep);
      await new Promise((resolve) => setTimeout(resolve, 300));
      // The server answers ASK.
      await cluster.moveKeys(slot, owner, to);
      expect([(await second)!.offset, (await third)!.offset]).toEqual([2, 3]);
      // The subscriptions are still at the owner.
      for (const { sink } of [a, b]) {
        expect((await sink.messages(3)).map(([, text]) => text)).toEqual(['1', '2', '3']);
        expect(sink.reports).toEqual([]);
      }
      const found = await b.backplane.history!(room, undefined, 10);
      expect(found.messages.map((message) => String(message.bytes))).toEqual(['1', '2', '3']);
      expect(first!.offset).toBe(1);
      await cluster.endMove(slot, to);
      for (const { sink } of [a, b]) await sink.report(`gap ${room}`);
      await a.backplane.publish(room, bytes('4'), keep);
      for (const { sink } of [a, b]) expect((await sink.messages(1))[0]![1]).toBe('4');
    });

    it('reports a gap of a room whose slot has left and returned', async () => {
      const { backplane, sink } = await node();
      await backplane.subscribe('room/0');
      await backplane.subscribe('room/1');
      const { slot, from, to } = await placeOf('room/0');
      await cluster.moveSlot(slot, to);
      await cluster.moveSlot(slot, from);
      await sink.report('gap room/0');
      await backplane.publish('room/1', bytes('1'));
      expect((await sink.messages(1))[0]![0]).toBe('room/1');
      // A node that subscribed at the other server misses messages until it sees the return. It
      // reports a second gap then.
      do await backplane.publish('room/0', bytes('1'));
      while (!(await sink.receivesBefore('gap room/0')));
      expect((await sink.messages(1))[0]![0]).toBe('room/0');
    });

    it('needs no more than the commands in docs/many-nodes.md', async () => {
      for (const port of cluster.ports) await cluster.admin(port).call('ACL', 'SETUSER', ...USER);
      const user = { username: 'hub', password: 'secret' };
      const { backplane, sink } = await clusterNode(client, cluster, { user });
      for (const room of ROOMS) {
        await backplane.subscribe(room);
        await backplane.publish(room, bytes('kept'), keep);
        await backplane.publish(room, bytes('plain'));
        expect((await backplane.history!(room, undefined, 10)).messages.length).toBeGreaterThan(0);
      }
      expect(await sink.messages(2 * ROOMS.length)).toHaveLength(2 * ROOMS.length);
      const { slot, to } = await placeOf('room/0');
      await cluster.moveSlot(slot, to);
      await sink.report('gap room/0');
      await backplane.publish('room/0', bytes('after'), keep);
      expect((await sink.messages(1))[0]![1]).toBe('after');
      for (const room of ROOMS) await backplane.unsubscribe(room);
      expect(sink.reports).toEqual([]);
    });

    it('sends no command with keys or channels of two slots, and none to all servers', async () => {
      const lines: string[][] = [];
      for (const port of await cluster.primaries()) {
        const connection = cluster.admin(port).duplicate();
        atEnd(() => connection.disconnect());
        const monitor = await connection.monitor();
        atEnd(() => monitor.disconnect());
        monitor.on('monitor', (_: string, args: string[]) => void lines.push(args));
      }
      const hubs = [1, 2].map(() => {
        const hub = new Hub({
          backplane: redisBackplane(clusterClients[client]!(cluster.ports)),
          rooms: {
            'kept/*': { history: true },
            'ordered/*': { history: true, delivery: 'through' },
          },
        });
        atEnd(() => hub.close());
        return hub;
      });
      for (const hub of hubs) {
        const [peer, conn] = connPair();
        atEnd(() => peer.close());
        const session = hub.add(conn);
        for (const kind of ['plain', 'kept', 'ordered']) {
          await session.join(`${kind}/${client}`);
          await hub.room(`${kind}/${client}`).publish('1');
          if (kind !== 'plain') await hub.room(`${kind}/${client}`).history();
          session.leave(`${kind}/${client}`);
        }
        hub.broadcast('all');
      }
      await Promise.all(hubs.map((hub) => hub.close()));
      const slots = lines.map((args) => args.flatMap((arg) => /^ws:\{.*?\}/.exec(arg) ?? []));
      expect(slots.every((names) => new Set(names).size <= 1)).toBe(true);
      const commands = new Set(lines.map(([command]) => command!.toLowerCase()));
      for (const name of ['spublish', 'ssubscribe', 'eval']) expect(commands).toContain(name);
      for (const name of ['publish', 'subscribe', 'psubscribe']) {
        expect(commands).not.toContain(name);
      }
    });

    it('shows the members of all nodes, and acts on other nodes', async () => {
      const hubs = ['a', 'b'].map((id) => {
        const backplane = redisBackplane(clusterClients[client]!(cluster.ports));
        const hub = new Hub({ id, backplane, rooms: { here: { presence: () => ({ id }) } } });
        atEnd(() => hub.close());
        return hub;
      });
      for (const hub of hubs) await hub.add(connPair()[1]).join('here');
      const counts = (): Promise<unknown> => hubs[0]!.everywhere.count('here');
      const all = { sessions: 2, nodes: 2, silent: [] };
      for (const hub of hubs) await expect.poll(() => hub.room('here').presence.size).toBe(2);
      await expect.poll(counts).toEqual(all);
      const { slot, to } = await placeOf('ws:{all}');
      await cluster.moveSlot(slot, to);
      await expect.poll(counts).toEqual(all);
      expect(await hubs[0]!.everywhere.close({ room: 'here' }, 4401, 'out')).toEqual({
        sessions: 2,
        silent: [],
      });
      await expect.poll(() => hubs[1]!.room('here').presence.size).toBe(0);
    });

    it('reports a gap of broadcasts only when their shard is lost', async () => {
      const hub = new Hub({ backplane: redisBackplane(clusterClients[client]!(cluster.ports)) });
      atEnd(() => hub.close());
      const gaps: (string | undefined)[] = [];
      const errors: string[] = [];
      hub.on('gap', (room) => void gaps.push(room));
      hub.on('error', (_, error) => void errors.push((error as Error).message));
      const owner = await cluster.ownerOf('ws:{all}');
      const [, conn] = connPair();
      const session = hub.add(conn);
      for (let i = 0; i < 40; i++) {
        if ((await cluster.ownerOf(`ws:{room/b${i}}`)) !== owner) await session.join(`b${i}`);
      }
      await expect.poll(() => hub.stats.backplane).toBe('up');
      hub.broadcast('1');
      await cluster.kill(owner);
      await expect.poll(() => gaps).toEqual([undefined]);
      hub.broadcast('2');
      expect(errors).toContain('websocket: a part of the backplane is away');
      expect(hub.stats.backplane).toBe('up');
      await cluster.refill();
      expect(gaps).toEqual([undefined]);
    });

    it('reports a gap of the rooms of a shard when its replica takes over', async () => {
      const { backplane, sink } = await member();
      const from = await cluster.ownerOf('room/0');
      const own = await roomsOf(from);
      await cluster.failover(from);
      for (const room of own) await sink.reported(`gap ${room}`);
      expect(sink.reports.toSorted()).toEqual(own.map((room) => `gap ${room}`).toSorted());
      for (const room of ROOMS) await backplane.publish(room, bytes('after'), keep);
      expect(await sink.messages(ROOMS.length)).toHaveLength(ROOMS.length);
    });

    it('reports a gap of the rooms of a shard whose primary dies', async () => {
      const { backplane, sink } = await member();
      const from = await cluster.ownerOf('room/0');
      const own = await roomsOf(from);
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

    it.each([
      ['not in cluster mode', [], 'cluster support disabled'],
      // iovalkey does not take such a topology.
      ['of a cluster without slots', ['cluster-enabled yes'], /has slots|startup nodes/],
      ['with a password', ['cluster-enabled yes', 'requirepass secret'], 'NOAUTH'],
    ])('says why it cannot start on a server %s, and closes', async (_, lines, why) => {
      const { port } = await startRedis(lines);
      const backplane = redisBackplane(clusterClients[client]!([port]));
      for (let i = 0; i < 2; i++) {
        await expect(backplane.start(new RecordingSink(), 'node')).rejects.toThrow(why);
      }
      await backplane.close();
    });
  });

  // A connection would keep the process.
  it.each(Object.keys(clusterClients))('closes all connections of %s', async (client) => {
    const server = cluster.admin((await cluster.primaries())[0]!);
    const clients = async () =>
      ((await server.call('CLIENT', 'LIST', 'TYPE', 'normal')) as string).match(/^id=\d+/gm)!;
    // Some of earlier tests may still be closing.
    const before = new Set(await clients());
    const added = async () => (await clients()).filter((id) => !before.has(id)).length;
    const { backplane } = await clusterNode(client, cluster);
    await expect.poll(added).toBe(2);
    await backplane.close();
    await expect.poll(added).toBe(0);
  });

  // An interval would keep the process.
  it('leaves no timer after a close that overtakes its start', async () => {
    for (const client of ['redis', 'ioredis', 'iovalkey']) {
      const timers = vi.spyOn(globalThis, 'setInterval');
      const backplane = redisBackplane(clusterClients[client]!(cluster.ports));
      const started = expect(backplane.start(new RecordingSink(), 'node')).rejects.toThrow(
        'closed',
      );
      await backplane.close();
      await started;
      const left = timers.mock.results.map(({ value }) => value as NodeJS.Timeout);
      timers.mockRestore();
      expect(left.filter((timer) => !('_destroyed' in timer && timer._destroyed))).toEqual([]);
    }
  });
});
