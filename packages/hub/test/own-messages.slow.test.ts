import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { Backplane } from '@ws/hub';
import { natsBackplane } from '@ws/hub/nats';
import { redisBackplane } from '@ws/hub/redis';
import { lacksDaemon, nothingLeft, whenOver } from '@ws/tests';
import { afterEach, describe, expect, it } from 'vitest';
import { natsServer } from './nats/setup.ts';
import { ownMessagesUnderWay } from './own-messages.ts';
import { clusterClients, TestCluster } from './redis/cluster.ts';
import { clients, endAll, startRedis } from './redis/setup.ts';

/** Starts an engine, and creates backplanes on it. */
const ENGINES: readonly (readonly [string, string, () => Promise<() => Promise<Backplane>>])[] = [
  [
    'Redis',
    'redis-server',
    async () => {
      const { port } = await startRedis();
      return async () => redisBackplane(clients['redis']!({ port }));
    },
  ],
  [
    'a cluster of Redis',
    'redis-server',
    async () => {
      const cluster = await TestCluster.start();
      whenOver(() => cluster.close());
      return async () => redisBackplane(clusterClients['ioredis']!(cluster.ports));
    },
  ],
  [
    'JetStream',
    'nats-server',
    async () => {
      const server = await natsServer();
      return async () => {
        const { port } = await server.relay();
        const connection = await connect({ servers: `127.0.0.1:${port}` });
        whenOver(() => connection.close());
        return natsBackplane(connection, { jetstream: jetstream(connection) });
      };
    },
  ],
];

describe.each(ENGINES)('on %s', (_, daemon, startEngine) => {
  nothingLeft();
  afterEach(endAll);

  it.skipIf(lacksDaemon(daemon))(
    'a node whose first members join while the engine stores its messages gives them to a member that resumes',
    async () => {
      const start = await startEngine();
      const backplanes = [await start(), await start()];
      const { resumed, joined } = await ownMessagesUnderWay(() => backplanes.pop()!);
      expect(resumed).toEqual(['other', '1', '2', '3', 'after', 'end']);
      // It has joined after the publication.
      expect(joined).toEqual(['other', 'after', 'end']);
    },
  );
});
