import type { RedisClient } from './driver.ts';

/** The slots of a cluster, and clients for its primaries. */
export interface Topology {
  /** By slot: the address of its primary, `host:port`. Undefined for a slot without a primary. */
  readonly owners: readonly (string | undefined)[];
  /** Clients of the primaries, by address. They do not connect: the backplane duplicates them. */
  readonly clients: ReadonlyMap<string, RedisClient>;
  /**
   * Describes a server that is not in `clients` yet: slots are moving to it.
   *
   * @param name - The address of the server in an answer of another server.
   * @param model - A client of another server, to duplicate.
   */
  readonly locate: (name: string, model: RedisClient) => NamedServer;
}

/** A server that another server has named. */
interface NamedServer {
  /** The address for this hub. The application may map addresses. */
  readonly address: string;
  /** Creates a client for the server. */
  readonly duplicate: () => RedisClient;
}

/**
 * Reads the topology over a duplicate of the application's client, with the same users and TLS.
 *
 * @param from - A client for the server to ask. Default: a server that the application names.
 */
export type Discover = (from: RedisClient | undefined) => Promise<Topology>;

/** A node of the package `redis`, and a client of one server. */
interface NodeRedisNode {
  readonly address: string;
  client?: NodeRedisClient | undefined;
}

type NodeRedisClient = RedisClient & {
  readonly options: { readonly socket?: object };
  once(event: 'connect' | 'error', listener: () => void): unknown;
  destroy(): void;
};

/** The part of `createCluster` of the package `redis` that this package uses. */
interface NodeRedisCluster {
  readonly slots: readonly ({ readonly master: NodeRedisNode } | undefined)[];
  on(event: 'error', listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  destroy(): void;
  nodeClient(node: NodeRedisNode): Promise<unknown>;
  duplicate(overrides: object): NodeRedisCluster;
  readonly _options?: {
    readonly rootNodes?: readonly { readonly socket?: object }[];
    readonly nodeAddressMap?:
      | Readonly<Record<string, object>>
      | ((address: string) => object | undefined);
  };
}

/** The part of `Cluster` of the package `ioredis` that this package uses. */
interface IoRedisCluster {
  /** By slot, the primary and its replicas. */
  readonly slots: readonly (readonly string[] | undefined)[];
  on(event: string, listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
  nodes(): readonly IoRedisNode[];
  duplicate(startupNodes: object[], overrides: object): IoRedisCluster;
  /** Applies the option `natMap`. */
  natMapper(address: string): { readonly host: string; readonly port: number };
}

interface IoRedisNode extends RedisClient {
  readonly options: { readonly host?: string; readonly port?: number };
}

/** Longest time for an answer to a discovery, in ms. */
const DISCOVER_MS = 2_000;

/** Returns the function that reads the topology by a client of a cluster; undefined for other clients. */
export function discoverOf(client: RedisClient): Discover | undefined {
  const { isCluster, nodes, nodeByAddress, nodeClient, duplicate, destroy } = Object(
    client,
  ) as Partial<Record<string, unknown>>;
  if (typeof duplicate !== 'function') return undefined;
  if (isCluster === true && typeof nodes === 'function') {
    return (from) => readIoRedis(client as unknown as IoRedisCluster, from as IoRedisNode);
  }
  // Version 4 has no `destroy`.
  const isOfNodeRedis = typeof nodeClient === 'function' && typeof destroy === 'function';
  if (nodeByAddress !== undefined && isOfNodeRedis) {
    return (from) => readNodeRedis(client as unknown as NodeRedisCluster, from);
  }
  return undefined;
}

async function readNodeRedis(
  app: NodeRedisCluster,
  from: RedisClient | undefined,
): Promise<Topology> {
  const socket = (from as NodeRedisClient | undefined)?.options.socket;
  const nodesToAsk = socket ? [{ socket }] : app._options?.rootNodes;
  // Without a timeout, a silent server would keep the discovery and its socket forever.
  const rootNodes = nodesToAsk?.map((node) => {
    return { ...node, socket: { ...node.socket, socketTimeout: DISCOVER_MS } };
  });
  const cluster = app.duplicate({
    minimizeConnections: true,
    useReplicas: false,
    ...(rootNodes && { rootNodes }),
  });
  let failure: unknown;
  cluster.on('error', (error) => {
    failure = error;
  });
  try {
    await cluster.connect().catch((error: unknown) => {
      throw failure ?? error;
    });
    const clients = new Map<string, RedisClient>();
    const owners = Array.from(cluster.slots, (slot) => slot?.master.address);
    for (const node of new Set(cluster.slots.map((slot) => slot?.master))) {
      if (node === undefined) continue;
      // Creates `node.client`, which connects.
      cluster.nodeClient(node).catch(() => {});
      const created = node.client!;
      clients.set(node.address, created.duplicate() as RedisClient);
      // `cluster.destroy` must not destroy a client that connects: the socket would stay open.
      node.client = undefined;
      for (const event of ['connect', 'error'] as const) {
        created.once(event, () => ignoreErrors(() => created.destroy()));
      }
    }
    const locate: Topology['locate'] = (name, model) => nodeRedisServer(app, name, model);
    return { owners, clients, locate };
  } finally {
    ignoreErrors(() => cluster.destroy());
  }
}

function nodeRedisServer(
  { _options: { nodeAddressMap } = {} }: NodeRedisCluster,
  address: string,
  model: RedisClient,
): NamedServer {
  const mapped =
    typeof nodeAddressMap === 'function' ? nodeAddressMap(address) : nodeAddressMap?.[address];
  const [, host, port] = /^(.*):(\d+)$/.exec(address) ?? [];
  const { options } = model as NodeRedisClient;
  const socket = { ...options.socket, ...(mapped ?? { host, port: Number(port) }) };
  return { address, duplicate: () => model.duplicate({ socket }) as RedisClient };
}

async function readIoRedis(app: IoRedisCluster, from: IoRedisNode | undefined): Promise<Topology> {
  const { host, port } = from?.options ?? {};
  const cluster = app.duplicate(from === undefined ? [] : [{ host, port }], {
    lazyConnect: true,
    enableReadyCheck: false,
    clusterRetryStrategy: null,
    shardedSubscribers: false,
    slotsRefreshInterval: 0,
    slotsRefreshTimeout: DISCOVER_MS,
  });
  let failure: unknown;
  cluster.on('error', () => {});
  cluster.on('node error', (error) => {
    failure = error;
  });
  try {
    // The error of `connect` does not have the cause. The event `node error` has it.
    await cluster.connect().catch((error: unknown) => {
      throw failure ?? error;
    });
    const owners = Array.from(cluster.slots, (nodes) => nodes?.[0]);
    const primaries = new Set(owners);
    const clients = new Map<string, RedisClient>();
    for (const node of cluster.nodes()) {
      const address = `${node.options.host}:${node.options.port}`;
      if (!primaries.has(address)) continue;
      // The nodes of a cluster do not reconnect by themselves.
      const overrides = { retryStrategy, readOnly: false, lazyConnect: true };
      clients.set(address, node.duplicate(overrides) as RedisClient);
    }
    const locate: Topology['locate'] = (name, model) => {
      const { host, port } = app.natMapper(name);
      const address = `${host}:${port}`;
      return { address, duplicate: () => model.duplicate({ host, port }) as RedisClient };
    };
    return { owners, clients, locate };
  } finally {
    ignoreErrors(() => cluster.disconnect());
  }
}

function retryStrategy(attempts: number): number {
  return Math.min(attempts * 50, 2_000);
}

/** Calls `close` of a client, which may throw when the client has not connected. */
function ignoreErrors(close: () => void): void {
  try {
    close();
  } catch {}
}
