import { type RedisClient, redisBackplane } from '@ws/hub/redis';
import { lacksDaemon } from '@ws/tests';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { RecordingSink } from './recording-sink.ts';
import {
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

// A tenth of the real times.
vi.mock('../../src/backplane/with-timeout.ts', async (original) => ({
  ...(await original<object>()),
  ANSWER_MS: 400,
  CHECK_MS: 500,
}));

describe.skipIf(lacksDaemon('redis-server'))('redisBackplane', () => {
  afterEach(endAll);
  const server = sharedServer();
  afterAll(() => server.close());

  describe.each(Object.keys(clients))('over %s', (client) => {
    it('connects again when the network is silent, without a publication too', async () => {
      const { port } = await server.empty();
      const relay = await Relay.start(port);
      const { backplane, sink } = await node(client, { port: relay.port });
      await backplane.subscribe('r');
      relay.freeze();
      await sink.report('down');
      relay.cut();
      relay.heal(port);
      await sink.report('up');
      await backplane.publish('r', bytes('1'));
      expect(await sink.messages(1)).toEqual([['r', '1', undefined]]);
    });

    it('B10 is down while its server is a replica, and follows the address to the new primary', async () => {
      const [one, two] = [await startRedis(), await startRedis()];
      const relay = await Relay.start(one.port);
      const [a, b] = [
        await node(client, { port: relay.port }),
        await node(client, { port: two.port }),
      ];
      await a.backplane.subscribe('r');
      await b.backplane.subscribe('r');
      // The old primary lives on, with its connections.
      await adminOf(one.port).replicaof('127.0.0.1', two.port);
      await expect.poll(() => a.sink.reports).toEqual(['down']);
      relay.heal(two.port);
      await a.sink.report('up');
      await a.backplane.publish('r', bytes('1'));
      for (const { sink } of [a, b]) expect((await sink.messages(1))[0]![1]).toBe('1');
      expect(a.sink.reports).toEqual([]);
    });

    it('rejects a publication that a silent network does not answer in time', async () => {
      const daemon = await startRedis();
      const { backplane, sink } = await node(client, { port: daemon.port });
      daemon.process.kill('SIGSTOP');
      await expect(backplane.publish('r', bytes('1'))).rejects.toThrow('not answered for 400 ms');
      expect(sink.reports).toEqual(['down']);
      daemon.process.kill('SIGCONT');
      await sink.report('up');
      await backplane.publish('r', bytes('2'));
    });

    it('keeps its connections when this process is suspended', async () => {
      const { port } = await server.empty();
      const { backplane, sink } = await node(client, { port });
      const published = backplane.publish('r', bytes('1'));
      await new Promise((resolve) => setImmediate(resolve));
      const end = performance.now() + 500;
      while (performance.now() < end);
      await published;
      expect(sink.reports).toEqual([]);
    });

    it('ends the subscriptions of rooms that empty while its connection for commands is away', async () => {
      const { port } = await server.empty();
      const { backplane, sink } = await node(client, { port });
      const channels = Array.from({ length: 5 }, (_, i) => `r${i}`);
      await Promise.all(channels.map((channel) => backplane.subscribe(channel)));
      const admin = adminOf(port);
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await sink.report('down');
      await Promise.all(channels.slice(1).map((channel) => backplane.unsubscribe(channel)));
      await sink.report('up');
      await expect.poll(() => admin.pubsub('CHANNELS')).toEqual(['ws:{r0}']);
    });

    it('restores the other channels when the server refuses one', async () => {
      const { port } = await startRedis();
      const relay = await Relay.start(port);
      const { backplane, sink } = await node(client, { port: relay.port });
      await backplane.subscribe('allowed');
      await backplane.subscribe('refused');
      await adminOf(port).acl('SETUSER', 'default', 'resetchannels', '&ws:{allowed}');
      relay.cut();
      await sink.report('down');
      relay.heal(port);
      await sink.report('refused refused');
      await backplane.publish('allowed', bytes('1'));
      expect(await sink.messages(1)).toEqual([['allowed', '1', undefined]]);
      await adminOf(port).acl('SETUSER', 'default', 'allchannels');
      await backplane.subscribe('refused');
      await backplane.publish('refused', bytes('2'));
      expect(await sink.messages(1)).toEqual([['refused', '2', undefined]]);
    });

    it('connects again after its client has given up', async () => {
      const { port } = await startRedis();
      const relay = await Relay.start(port);
      const once: Record<string, () => RedisClient> = {
        redis: () =>
          createClient({
            socket: { host: '127.0.0.1', port: relay.port, reconnectStrategy: false },
          }),
        ioredis: () =>
          new Redis({ port: relay.port, lazyConnect: true, retryStrategy: () => null }),
      };
      const backplane = redisBackplane(once[client]!());
      const sink = new RecordingSink();
      atEnd(() => backplane.close());
      await backplane.start(sink, 'node');
      await backplane.subscribe('r');
      relay.cut();
      await sink.report('down');
      relay.heal(port);
      await sink.report('up');
      await backplane.publish('r', bytes('1'));
      expect(await sink.messages(1)).toEqual([['r', '1', undefined]]);
    });
  });
});
