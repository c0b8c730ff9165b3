import { type RedisClient, redisBackplane } from '@ws/hub/redis';
import { lacksDaemon, Random, selfSigned } from '@ws/tests';
import { Cluster } from 'ioredis';
import { createCluster } from 'redis';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { ClusterRelays, clusterClients, clusterNode, TestCluster } from './cluster.ts';
import { RecordingSink } from './recording-sink.ts';
import {
  type Address,
  adminOf,
  atEnd,
  bytes,
  clients,
  endAll,
  node,
  Relay,
  sharedServer,
  startRedis,
} from './setup.ts';

const keep = { size: 100, ttl: 60_000 };

describe.skipIf(lacksDaemon('redis-server'))('redisBackplane', () => {
  afterEach(endAll);
  const single = sharedServer();
  const cluster = sharedServer({ cluster: true });
  let six: Promise<TestCluster> | undefined;
  afterAll(async () => {
    await (await six)?.close();
    await single.close();
    await cluster.close();
  });

  describe.each([
    ['redis', 'server'],
    ['redis', 'sharded server'],
    ['redis', 'cluster'],
    ['ioredis', 'server'],
    ['ioredis', 'sharded server'],
    ['ioredis', 'cluster'],
  ])('over %s and a %s', (client, kind) => {
    const sharded = kind !== 'server';
    const clustered = kind === 'cluster';

    /** An empty server; of a cluster, the primary that has the channel `r`. */
    async function server(): Promise<Address> {
      if (!clustered) return (sharded ? cluster : single).empty();
      six ??= TestCluster.start();
      await (await six).flush();
      return { port: await (await six).ownerOf('ws:{r}') };
    }

    async function connect(address: Address) {
      return clustered ? clusterNode(client, await six!) : node(client, address, sharded);
    }

    /** A node on an empty server. */
    async function start() {
      const { port } = await server();
      return { port, ...(await connect({ port })) };
    }

    /** A network that fails between the engine and the clients that `far` creates. */
    async function network() {
      const { port } = await server();
      if (!clustered) {
        const relay = await Relay.start(port);
        const far = () => clients[client]!({ port: relay.port });
        return { port, far, cut: () => relay.cut(), heal: () => relay.heal(port) };
      }
      const running = await six!;
      const relays = await ClusterRelays.start(running);
      const far = () => clusterClients[client]!(running.ports, { relays });
      return { port, far, cut: () => relays.cut(), heal: () => relays.heal() };
    }

    function unstarted(app: RedisClient) {
      const backplane = redisBackplane(app, { sharded: sharded || undefined });
      atEnd(() => backplane.close());
      return { backplane, sink: new RecordingSink() };
    }

    it('delivers the messages of all nodes, in order', async () => {
      const { port } = await server();
      const [a, b] = [await connect({ port }), await connect({ port })];
      await a.backplane.subscribe('r');
      await b.backplane.subscribe('r');
      const positions = await Promise.all([
        a.backplane.publish('r', bytes('1'), keep),
        a.backplane.publish('r', bytes('2')),
        a.backplane.publish('r', bytes('3'), keep),
        a.backplane.publish('other', bytes('4')),
      ]);
      const epoch = positions[0]!.epoch;
      const [first, last] = [
        { epoch, offset: 1 },
        { epoch, offset: 2 },
      ];
      expect(positions).toEqual([first, undefined, last, undefined]);
      for (const { sink } of [a, b]) {
        expect(await sink.messages(3)).toEqual([
          ['r', '1', first],
          ['r', '2', undefined],
          ['r', '3', last],
        ]);
        expect(sink.reports).toEqual([]);
      }
      await b.backplane.unsubscribe('r');
      await a.backplane.publish('r', bytes('5'));
      await a.sink.messages(1);
      expect(b.sink.count).toBe(0);
    });

    it('accepts any name and any bytes', async () => {
      const { backplane, sink } = await start();
      const names = ['}', '{a}', '%', '\ud800', '\ud801', '\ufffd', 'a\0b\r\n', '🌍', '__proto__'];
      await Promise.all(names.map((name) => backplane.subscribe(name)));
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      for (const name of names) {
        await backplane.publish(name, all, keep);
        await backplane.publish(name, all);
        const [kept, plain] = await sink.raw(2);
        expect(kept).toEqual([name, all, { epoch: expect.any(String), offset: 1 }]);
        expect(plain).toEqual([name, all, undefined]);
        const { messages, complete } = await backplane.history!(name, undefined, 10);
        expect(messages.map(({ bytes: kept }) => new Uint8Array(kept))).toEqual([all]);
        expect(complete).toBe(true);
      }
    });

    it('returns the messages after a position', async () => {
      const { backplane } = await start();
      const history = async (since: number | undefined, limit: number, ofEpoch = epoch) => {
        const position = since === undefined ? undefined : { epoch: ofEpoch, offset: since };
        const found = await backplane.history!('r', position, limit);
        return [found.messages.map(({ offset }) => offset), found.complete];
      };
      let epoch = 'none';
      expect(await history(undefined, 10)).toEqual([[], true]);
      expect(await history(0, 10)).toEqual([[], false]);
      for (let i = 1; i <= 4; i++) {
        ({ epoch } = (await backplane.publish('r', bytes(`${i}`), keep))!);
      }
      expect(await history(undefined, 10)).toEqual([[1, 2, 3, 4], true]);
      expect(await history(undefined, 3)).toEqual([[2, 3, 4], false]);
      expect(await history(0, 10)).toEqual([[1, 2, 3, 4], true]);
      expect(await history(2, 10)).toEqual([[3, 4], true]);
      expect(await history(2, 1)).toEqual([[3], false]);
      expect(await history(4, 10)).toEqual([[], true]);
      expect(await history(5, 10)).toEqual([[], false]);
      expect(await history(2, 10, 'another epoch')).toEqual([[1, 2, 3, 4], false]);
      // The position of a room that has had no message.
      expect(await history(0, 3, '')).toEqual([[1, 2, 3], false]);
    });

    it('B7 hands out at most `size` messages, although Redis keeps more', async () => {
      const { port, backplane } = await start();
      const bounds = { size: 20, ttl: 60_000 };
      let last!: { epoch: string; offset: number };
      for (let i = 1; i <= 90; i++) last = (await backplane.publish('r', bytes(`${i}`), bounds))!;
      expect(await adminOf(port).xlen('ws:{r}:log')).toBeGreaterThan(20);
      const newest = Array.from({ length: 20 }, (_, i) => i + 71);
      const { epoch } = last;
      const all = [
        undefined,
        { epoch, offset: 0 },
        { epoch, offset: 69 },
        { epoch: '', offset: 0 },
      ];
      for (const since of [...all, { epoch: 'another', offset: 80 }]) {
        const found = await backplane.history!('r', since, 1_000, bounds);
        expect(found.messages.map(({ offset }) => offset)).toEqual(newest);
        expect(found).toMatchObject({ complete: false, follows: false });
      }
      const next = await backplane.history!('r', { epoch, offset: 70 }, 1_000, bounds);
      expect(next).toMatchObject({ complete: true, follows: true });
      expect(next.messages).toHaveLength(20);
      const few = await backplane.history!('r', undefined, 5, bounds);
      expect(few.messages.map(({ offset }) => offset)).toEqual([86, 87, 88, 89, 90]);
    });

    it('bounds the history, and begins a new epoch when it has expired', async () => {
      const { port, backplane } = await start();
      const bounds = { size: 10, ttl: 100_000.5 };
      for (let i = 0; i < 300; i++) await backplane.publish('r', bytes(`${i}`), bounds);
      const { messages } = await backplane.history!('r', undefined, 1_000);
      expect(messages.length).toBeLessThan(300);
      expect(messages.at(-1)!.offset).toBe(300);
      const admin = adminOf(port);
      const keys = await admin.keys('*');
      expect(keys.toSorted()).toEqual(['ws:{r}', 'ws:{r}:log']);
      for (const key of keys) expect(await admin.pttl(key)).toBeGreaterThan(90_000);
      await admin.del('ws:{r}');
      expect(await backplane.publish('r', bytes('new'), bounds)).toMatchObject({ offset: 1 });
      expect((await backplane.history!('r', undefined, 1_000)).messages).toHaveLength(1);
    });

    it('survives a flush of the scripts', async () => {
      const { port, backplane } = await start();
      await backplane.publish('r', bytes('1'), keep);
      await adminOf(port).script('FLUSH');
      expect(await backplane.publish('r', bytes('2'), keep)).toMatchObject({ offset: 2 });
    });

    it('reports a lost network, and receives again before it reports up', async () => {
      const { port, ...relay } = await network();
      const [near, far] = [await connect({ port }), unstarted(relay.far())];
      await far.backplane.start(far.sink, 'node');
      await far.backplane.subscribe('kept');
      await far.backplane.subscribe('left');
      await near.backplane.publish('kept', bytes('1'), keep);
      const last = (await far.sink.messages(1))[0]![2];
      relay.cut();
      await far.sink.report('down');
      await expect(far.backplane.publish('kept', bytes('x'))).rejects.toThrow();
      await far.backplane.unsubscribe('left');
      await far.backplane.subscribe('joined');
      await near.backplane.publish('kept', bytes('2'), keep);
      relay.heal();
      await far.sink.reported('up');
      // Each server of a cluster returns at its time.
      for (const channel of clustered ? ['kept', 'joined'] : []) {
        await far.sink.reported(`gap ${channel}`);
      }
      for (const channel of ['left', 'kept', 'joined']) {
        await near.backplane.publish(channel, bytes('3'), keep);
      }
      // In a cluster, the two are on different servers.
      const received = (await far.sink.messages(2)).map(([channel]) => channel);
      expect(received.toSorted()).toEqual(['joined', 'kept']);
      const { messages, complete } = await far.backplane.history!('kept', last, 10);
      expect(messages.map(({ offset }) => offset)).toEqual([2, 3]);
      expect(complete).toBe(true);
      expect(near.sink.reports).toEqual([]);
    });

    // The end of a connection does not depend on the kind of channel.
    it.runIf(!sharded)('rejects unanswered publications when the server dies', async () => {
      const daemon = await startRedis();
      const { backplane, sink } = await connect({ port: daemon.port });
      daemon.process.kill('SIGSTOP');
      const published = [
        backplane.publish('r', bytes('1')),
        backplane.publish('r', bytes('2'), keep),
      ];
      const settled = Promise.allSettled(published);
      daemon.process.kill('SIGKILL');
      expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      await sink.report('down');
    });

    it('starts as soon as the server runs', async () => {
      const relay = await network();
      relay.cut();
      const { backplane, sink } = unstarted(relay.far());
      await expect(backplane.start(sink, 'node')).rejects.toThrow();
      relay.heal();
      const start = (): Promise<boolean> =>
        backplane.start(sink, 'node').then(
          () => true,
          () => false,
        );
      await expect.poll(start).toBe(true);
      await backplane.subscribe('r');
      await backplane.publish('r', bytes('1'));
      expect(await sink.messages(1)).toEqual([['r', '1', undefined]]);
      expect(sink.reports).toEqual([]);
    });

    it('closes while it is connecting', async () => {
      const relay = await network();
      relay.cut();
      const { backplane, sink } = unstarted(relay.far());
      const started = backplane.start(sink, 'node');
      const rejected = expect(started).rejects.toThrow(clustered ? Error : 'closed');
      await backplane.close();
      await rejected;
    });

    // In a cluster, discoveries connect too.
    it.skipIf(clustered)('subscribes to many channels again over one new connection', async () => {
      const { port, backplane, sink } = await start();
      // More than the package `redis` sends before it is ready.
      const channels = Array.from({ length: 300 }, (_, i) => `${i}/${'x'.repeat(200)}`);
      await Promise.all(channels.map((channel) => backplane.subscribe(channel)));
      const admin = adminOf(port);
      const received = async () => /total_connections_received:(\d+)/.exec(await admin.info())![1];
      const before = Number(await received());
      await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await sink.report('up');
      expect(Number(await received())).toBe(before + 1);
      await Promise.all(channels.map((channel) => backplane.publish(channel, bytes('1'))));
      expect(await sink.messages(channels.length)).toHaveLength(channels.length);
    });

    // A shared server may still have connections of earlier tests, and a cluster connections of
    // discoveries.
    it.runIf(!sharded)(
      'sends all publications before it closes, and ends only its own connections',
      async () => {
        const { port } = await startRedis();
        const other = await connect({ port });
        await other.backplane.subscribe('r');
        const admin = adminOf(port);
        const before = await connections(admin);
        const { backplane } = await connect({ port });
        expect(await connections(admin)).toBe(before + 2);
        const published = Array.from({ length: 100 }, (_, i) =>
          backplane.publish('r', bytes(`${i}`)),
        );
        await backplane.close();
        await Promise.all(published);
        expect(await other.sink.messages(100)).toHaveLength(100);
        await expect.poll(() => connections(admin)).toBe(before);
      },
    );

    // One server has no slots, and cluster.slow.test.ts moves the slots of a cluster.
    it.runIf(kind === 'sharded server')('subscribes again when a slot has moved', async () => {
      const { port, backplane, sink } = await start();
      await backplane.subscribe('r');
      const admin = adminOf(port);
      await admin.call('CLUSTER', 'DELSLOTSRANGE', 0, 16_383);
      await sink.report('refused r');
      await cluster.takeSlots();
      await backplane.subscribe('r');
      await backplane.publish('r', bytes('1'), keep);
      expect(await sink.messages(1)).toMatchObject([['r', '1', { offset: 1 }]]);
    });

    it('returns a large history in parts, and answers other commands between them', async () => {
      const { port, backplane } = await start();
      const other = await connect({ port });
      const kept = { size: 1_000, ttl: 60_000, bytes: 2 ** 30 };
      const large = new Uint8Array(500_000);
      const small = bytes('small');
      for (let i = 0; i < 40; i++) await backplane.publish('r', i % 2 ? large : small, kept);
      const offsets: number[] = [];
      let largest = 0;
      let published = 0;
      for (let since: { epoch: string; offset: number } | undefined; ; ) {
        const reading = backplane.history!('r', since, 40 - offsets.length);
        await other.backplane.publish('elsewhere', small);
        published++;
        const { messages, epoch, more, follows } = await reading;
        expect(follows).toBe(true);
        const size = messages.reduce((sum, message) => sum + message.bytes.length, 0);
        largest = Math.max(largest, size);
        for (const { offset } of messages) offsets.push(offset);
        since = { epoch, offset: offsets.at(-1)! };
        if (more !== true) break;
      }
      expect(offsets).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
      expect(largest).toBeLessThanOrEqual(262_144 + 4 * 500_000);
      expect(published).toBeGreaterThan(5);
    });

    it('keeps at most the bytes of the bound, however large the messages are', async () => {
      const { backplane } = await start();
      const random = new Random(1);
      const bound = 20_000;
      const kept = { size: 100, ttl: 60_000, bytes: bound };
      const sizes: number[] = [];
      for (let i = 0; i < 300; i++) {
        const size = random.once(20) ? 30_000 : random.once(3) ? random.below(3_000) : 500;
        sizes.push(size);
        const { epoch, offset } = (await backplane.publish('r', new Uint8Array(size), kept))!;
        // The last message is always there.
        const last = await backplane.history!('r', { epoch, offset: offset - 1 }, 1);
        expect(last).toMatchObject({ complete: true, messages: [{ offset }] });
        if (i % 10 !== 0) continue;
        const oldest = await backplane.history!('r', { epoch, offset: 0 }, 1);
        const first = oldest.messages[0]!.offset;
        const total = sizes.slice(first - 1).reduce((sum, each) => sum + each, 0);
        // Redis drops whole nodes of a stream, of 4 kB.
        if (first < offset) expect(total).toBeLessThanOrEqual(bound + 4_096);
        const more = sizes.slice(Math.max(first - 2, 0)).reduce((sum, each) => sum + each, 0);
        if (first > 1 && offset - first < 99) expect(more).toBeGreaterThan(bound * (1 - 2 / 32));
      }
    });

    it('reports bytes of another program as a message without a position', async () => {
      const { port, backplane, sink } = await start();
      await backplane.subscribe('r');
      const admin = adminOf(port);
      const publish = sharded ? 'SPUBLISH' : 'PUBLISH';
      for (const text of ['', 'text', 'two words', 'a b c', `${'x'.repeat(100)} 1 m`]) {
        await admin.call(publish, 'ws:{r}', text);
      }
      for (const [, , position] of await sink.raw(5)) expect(position).toBeUndefined();
    });
  });

  describe.each(['redis', 'ioredis'])('over %s', (client) => {
    it('B4 begins a new epoch after a failover to a replica that lags', async () => {
      const [primary, replica] = [await startRedis(), await startRedis()];
      const admin = adminOf(replica.port);
      const link = await Relay.start(primary.port);
      await admin.replicaof('127.0.0.1', link.port);
      await expect.poll(() => admin.info('replication')).toContain('link_status:up');
      const relay = await Relay.start(primary.port);
      const { backplane, sink } = await node(client, { port: relay.port });
      for (const text of ['1', '2']) await backplane.publish('r', bytes(text), keep);
      await expect.poll(() => admin.hget('ws:{r}', 'o')).toBe('2');
      link.cut();
      const lost = (await backplane.publish('r', bytes('lost'), keep))!;
      expect(lost.offset).toBe(3);
      primary.process.kill('SIGKILL');
      await sink.report('down');
      await admin.replicaof('NO', 'ONE');
      relay.heal(replica.port);
      await sink.report('up');
      const next = (await backplane.publish('r', bytes('3'), keep))!;
      expect(next.epoch).not.toBe(lost.epoch);
      expect(next.offset).toBeGreaterThan(1);
      const repaired = await backplane.history!('r', lost, 10);
      expect(repaired.complete).toBe(false);
      expect(repaired.epoch).toBe(next.epoch);
      expect(repaired.messages.map((message) => String(message.bytes))).toEqual(['3']);
      const all = await backplane.history!('r', undefined, 10);
      expect(all.messages.map((message) => String(message.bytes))).toEqual(['1', '2', '3']);
      // B4: a client without a position gets all that is kept, too.
      const fromStart = await backplane.history!('r', { epoch: '', offset: 0 }, 10);
      expect(fromStart.messages).toEqual(all.messages);
      expect(fromStart).toMatchObject({ complete: false, follows: false, epoch: next.epoch });
      // A position of no history: the messages of the present epoch, as for `lost`.
      const foreign = await backplane.history!('r', { epoch: 'none', offset: 0 }, 10);
      expect(foreign.messages).toEqual(repaired.messages);
    });

    it('ends a subscription whose end was under way when the connection was lost', async () => {
      const server = await single.empty();
      const relay = await Relay.start(server.port);
      const { backplane, sink } = await node(client, { port: relay.port });
      await backplane.subscribe('room/r');
      await backplane.subscribe('room/s');
      relay.freeze();
      const ended = ['room/r', 'room/s'].map((channel) => backplane.unsubscribe(channel));
      relay.cut();
      await Promise.all(ended);
      await backplane.subscribe('room/s');
      relay.heal(server.port);
      await sink.report('up');
      expect(await adminOf(server.port).pubsub('CHANNELS')).toEqual(['ws:{room/s}']);
    });

    it('connects with a user, a password and TLS', async () => {
      const { key, cert } = await selfSigned();
      const { port } = await startRedis(
        ['port 0', 'tls-port $port', 'tls-auth-clients no', 'aclfile users.acl', ...TLS_FILES],
        { 'key.pem': key, 'cert.pem': cert, 'users.acl': USERS },
      );
      const address = { port, username: 'hub', password: 'secret', ca: cert };
      const { backplane, sink } = await node(client, address);
      await backplane.subscribe('r');
      await backplane.publish('r', bytes('1'), keep);
      await backplane.publish('r', bytes('2'));
      expect((await sink.messages(2)).map(([, text]) => text)).toEqual(['1', '2']);
      expect((await backplane.history!('r', undefined, 10)).messages).toHaveLength(1);
      expect(sink.reports).toEqual([]);
      await expect(node(client, { ...address, password: 'wrong' })).rejects.toThrow('WRONGPASS');
    });

    it('connects with a user for rooms without history', async () => {
      const { port } = await startRedis(['aclfile users.acl'], { 'users.acl': USERS });
      const { backplane, sink } = await node(client, {
        port,
        username: 'plain',
        password: 'secret',
      });
      await backplane.subscribe('r');
      await backplane.publish('r', bytes('1'));
      expect((await sink.messages(1)).map(([, text]) => text)).toEqual(['1']);
      await backplane.unsubscribe('r');
      await expect(backplane.publish('r', bytes('2'), keep)).rejects.toThrow('NOPERM');
      await backplane.close();
      expect(sink.reports).toEqual([]);
    });
  });

  it.each([
    ['no object', undefined],
    ['no client', {}],
    ['a client of another package', { duplicate() {} }],
  ])('refuses %s as client', (_, client) => {
    expect(() => redisBackplane(client as never)).toThrow(/^client: expected one of/);
  });

  it.each([
    ['redis', createCluster({ rootNodes: [] })],
    ['ioredis', new Cluster(['127.0.0.1:1'], { lazyConnect: true })],
  ])('refuses sharded: false for the client of a cluster of %s', (_, client) => {
    expect(() => redisBackplane(client, { sharded: false })).toThrow(TypeError);
    expect(() => redisBackplane(client, { sharded: false })).toThrow('a cluster is always sharded');
  });

  it('refuses unknown options', () => {
    const client = clients['ioredis']!({ port: 1 });
    expect(() => redisBackplane(client, { perfix: 'x' } as never)).toThrow(/perfix.*prefix/);
    expect(() => redisBackplane(client, { sharded: 'yes' as never })).toThrow(
      'sharded: expected true or false, got string',
    );
  });

  it('refuses a prefix with braces', () => {
    const client = clients['ioredis']!({ port: 1 });
    expect(() => redisBackplane(client, { prefix: '{a}' })).toThrow('prefix: expected a string');
  });
});

const TLS_FILES = ['tls-cert-file cert.pem', 'tls-key-file key.pem', 'tls-ca-cert-file cert.pem'];
/**
 * What the backplane needs, as docs/many-nodes.md says: the second user has no room with history.
 */
const PLAIN = `on >secret resetkeys ~ws:* resetchannels &ws:* -@all +@connection +info \
+publish +subscribe +unsubscribe`;
const USERS = `user default off
user hub ${PLAIN} +eval +del +hmget +hset +hincrby +pexpire +xadd +xrange
user plain ${PLAIN}
`;

async function connections(admin: ReturnType<typeof adminOf>): Promise<number> {
  return String(await admin.client('LIST'))
    .trim()
    .split('\n').length;
}
