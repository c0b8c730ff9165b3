import { checked, checkOptionNames, kind } from '@ws/conn/internal';
import type { Backplane } from '../backplane/backplane.ts';
import { type Discover, discoverOf } from './cluster-clients.ts';
import type { RedisClient } from './driver.ts';
import { ServerBackplane } from './server-backplane.ts';

export type { Backplane } from '../backplane/backplane.ts';
export type { Position } from '../position.ts';

export type { RedisClient } from './driver.ts';

/** The options of {@link redisBackplane}. */
export interface RedisBackplaneOptions {
  /**
   * The start of the name of each key and channel, without braces. Channels of Redis belong to no
   * database, so separate applications on one server need different prefixes. Default: `ws:`.
   */
  readonly prefix?: string | undefined;
  /**
   * Whether to use SPUBLISH and SSUBSCRIBE, for a single server in cluster mode with all slots. With the
   * client of a cluster always true. Default: false.
   */
  readonly sharded?: boolean | undefined;
}

/**
 * Connects a hub to Redis or Valkey, version 7 or later. Redis keeps the history of rooms.
 *
 * A lost connection and a failover count as an outage; in a cluster, only for the rooms of their slots.
 * The client's user in Redis needs PUBLISH, SUBSCRIBE and UNSUBSCRIBE on channels that begin with
 * `prefix`; in a cluster SPUBLISH, SSUBSCRIBE, SUNSUBSCRIBE and CLUSTER SLOTS in their place. It needs INFO,
 * because a server that becomes a replica counts as away. For rooms with history, the user also needs EVAL,
 * DEL, HMGET, HSET, HINCRBY, PEXPIRE, XADD and XRANGE on keys that begin with `prefix`.
 *
 * @param client - A client of the package `redis`, `ioredis` or `iovalkey`, for one server or for a
 *   cluster. The hub duplicates it, connects twice to the server or to each primary of the cluster,
 *   and ends the duplicates when it closes. The application owns the client, which need not be
 *   connected.
 * @throws TypeError for another client, or for an invalid option.
 *
 * @example
 * ```ts no-run
 * import { Hub } from '@ws/hub';
 * import { type RedisClient, redisBackplane } from '@ws/hub/redis';
 *
 * // createClient({ url }) of the package redis, or new Redis(url) of ioredis.
 * declare const client: RedisClient;
 * const hub = new Hub({ backplane: redisBackplane(client) });
 * ```
 */
export function redisBackplane(
  client: RedisClient,
  options: RedisBackplaneOptions = {},
): Backplane {
  return checked(() => backplaneOf(client, options), redisBackplane);
}

function backplaneOf(client: RedisClient, options: RedisBackplaneOptions): Backplane {
  // The adapter of socket.io takes two clients.
  if (typeof (options as { duplicate?: unknown } | null)?.duplicate === 'function') {
    throw new TypeError('redisBackplane: expected one client, got two; the hub duplicates it');
  }
  checkOptionNames('redisBackplane', options, ['prefix', 'sharded'], 'ignore');
  const { prefix = 'ws:', sharded } = options;
  if (typeof sharded !== 'boolean' && sharded !== undefined) {
    throw new TypeError(`sharded: expected true or false, got ${kind(sharded)}`);
  }
  if (typeof prefix !== 'string' || /[{}]/.test(prefix)) {
    throw new TypeError(`prefix: expected a string without { and }, got ${JSON.stringify(prefix)}`);
  }
  const discover = discoverOf(client);
  if (discover === undefined) return new ServerBackplane(client, prefix, sharded === true);
  if (sharded === false) {
    throw new TypeError(
      'sharded: false needs the client of one server; a cluster is always sharded',
    );
  }
  return clusterOnDemand(discover, prefix);
}

/** Loads the code for a cluster when the hub starts. Hubs on one server do not load it. */
function clusterOnDemand(discover: Discover, prefix: string): Backplane {
  let loaded: Promise<Required<Backplane>> | undefined;
  const load = (): Promise<Required<Backplane>> => {
    loaded ??= import('./cluster-backplane.ts').then(
      ({ ClusterBackplane }) => new ClusterBackplane(discover, prefix),
    );
    return loaded;
  };
  return {
    start: async (...args) => (await load()).start(...args),
    publish: async (...args) => (await load()).publish(...args),
    subscribe: async (...args) => (await load()).subscribe(...args),
    unsubscribe: async (...args) => (await load()).unsubscribe(...args),
    history: async (...args) => (await load()).history(...args),
    close: async () => (await load()).close(),
  };
}
