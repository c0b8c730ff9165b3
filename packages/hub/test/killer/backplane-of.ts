// The backplane of a process of the killer.
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { Backplane } from '@ws/hub';
import { clusterBackplane } from '@ws/hub/cluster';
import { natsBackplane } from '@ws/hub/nats';
import { redisBackplane } from '@ws/hub/redis';
import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';

/** The target of a process: an engine of `engines.ts` or `cluster`, and its port. */
export interface Target {
  readonly engine: string;
  readonly port: number;
  /** Processes with an even number have the package `redis`, the others `ioredis`. */
  readonly number: number;
}

export async function backplaneOf(target: Target, prefix: string): Promise<Backplane> {
  const { engine, port, number } = target;
  if (engine === 'workers') return clusterBackplane();
  const address = { host: '127.0.0.1', port };
  if (engine === 'redis') {
    return redisBackplane(
      number % 2 === 0
        ? createClient({ socket: { ...address, reconnectStrategy: () => 20 } })
        : new Redis({ ...address, lazyConnect: true, retryStrategy: () => 20 }),
      { prefix },
    );
  }
  if (engine === 'cluster') {
    return redisBackplane(
      number % 2 === 0
        ? createCluster({ rootNodes: [{ socket: address }] })
        : new Cluster([address], { lazyConnect: true }),
    );
  }
  const connection = await connect({
    servers: `127.0.0.1:${port}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    waitOnFirstConnect: true,
    // A node of a cluster stays on the server behind its relay.
    ignoreClusterUpdates: true,
  });
  return natsBackplane(connection, {
    prefix,
    ...(engine === 'jetstream' && { jetstream: jetstream(connection) }),
  });
}
