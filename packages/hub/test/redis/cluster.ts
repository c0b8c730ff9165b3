import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type RedisClient, redisBackplane } from '@ws/hub/redis';
import { type Daemon, startDaemon } from '@ws/tests';
import { Cluster, Redis } from 'ioredis';
import { Cluster as ValkeyCluster } from 'iovalkey';
import { createCluster } from 'redis';
import { RecordingSink } from './recording-sink.ts';
import { atEnd, Relay } from './setup.ts';

const PRIMARIES = 3;
const POLL_MS = 20;

interface Member {
  readonly daemon: Daemon;
  readonly admin: Redis;
}

/** A line of CLUSTER NODES. */
interface Line {
  readonly id: string;
  readonly port: number;
  readonly flags: readonly string[];
  /** The id of its primary. */
  readonly primary: string;
  readonly slots: string;
}

/** Three primaries of `redis-server`, each with one replica, on free ports of 127.0.0.1. */
export class TestCluster {
  readonly #members = new Map<number, Member>();
  readonly #lines: readonly string[];
  readonly #files: Readonly<Record<string, string>>;

  private constructor(lines: readonly string[], files: Readonly<Record<string, string>>) {
    this.#lines = lines;
    this.#files = files;
  }

  /** @param lines - Of the configuration. */
  static async start(
    lines: readonly string[] = [],
    files: Readonly<Record<string, string>> = {},
  ): Promise<TestCluster> {
    const cluster = new TestCluster(lines, files);
    try {
      const members = Array.from({ length: 2 * PRIMARIES }, () => cluster.#launch());
      await Promise.all(members);
      const addresses = cluster.ports.map((port) => `127.0.0.1:${port}`);
      const options = ['--cluster-replicas', '1', '--cluster-yes'];
      await promisify(execFile)('redis-cli', ['--cluster', 'create', ...addresses, ...options]);
      await cluster.settled();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  get ports(): number[] {
    return [...this.#members.keys()];
  }

  admin(port: number): Redis {
    return this.#members.get(port)!.admin;
  }

  daemon(port: number): Daemon {
    return this.#members.get(port)!.daemon;
  }

  /** The ports of the primaries, in the order of their slots. */
  async primaries(): Promise<number[]> {
    const slots = await this.#slots();
    const sorted = slots.toSorted(([a], [b]) => a - b);
    return [...new Set(sorted.map(([, , [, port]]) => port))];
  }

  /** The port of the primary that has the slot of a key. */
  async ownerOf(key: string): Promise<number> {
    const slot = await this.slotOf(key);
    const slots = await this.#slots();
    return slots.find(([from, to]) => from <= slot && slot <= to)![2][1];
  }

  async slotOf(key: string): Promise<number> {
    return (await this.#any().call('CLUSTER', 'KEYSLOT', key)) as number;
  }

  /** Gives a slot to another primary, with its keys. */
  async moveSlot(slot: number, to: number): Promise<void> {
    const from = await this.beginMove(slot, to);
    await this.moveKeys(slot, from, to);
    await this.endMove(slot, to);
  }

  /** @returns The primary that has the slot. */
  async beginMove(slot: number, to: number): Promise<number> {
    const lines = await this.#view();
    const slots = await this.#slots();
    const from = slots.find(([first, last]) => first <= slot && slot <= last)![2][1];
    const id = (port: number): string => lines.find((line) => line.port === port)!.id;
    await this.admin(to).call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', id(from));
    await this.admin(from).call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', id(to));
    return from;
  }

  async moveKeys(slot: number, from: number, to: number): Promise<void> {
    for (;;) {
      const keys = (await this.admin(from).call('CLUSTER', 'GETKEYSINSLOT', slot, 10)) as string[];
      if (keys.length === 0) return;
      await this.admin(from).call('MIGRATE', '127.0.0.1', to, '', 0, 5_000, 'KEYS', ...keys);
    }
  }

  async endMove(slot: number, to: number): Promise<void> {
    const lines = await this.#view();
    const { id } = lines.find(({ port }) => port === to)!;
    await this.admin(to).call('CLUSTER', 'SETSLOT', slot, 'NODE', id);
    const others = (await this.primaries()).filter((port) => port !== to);
    for (const port of others) await this.admin(port).call('CLUSTER', 'SETSLOT', slot, 'NODE', id);
  }

  /** The replica of a primary takes over. Resolves to the port of the new primary. */
  async failover(primary: number): Promise<number> {
    const replica = await this.#replicaOf(primary);
    let next = 0;
    await this.#until('a failover', async () => {
      // The other primaries may refuse a vote so soon after the last one.
      if (performance.now() > next) {
        next = performance.now() + 1_000;
        await this.admin(replica).call('CLUSTER', 'FAILOVER');
      }
      return (await this.primaries()).includes(replica);
    });
    await this.settled();
    return replica;
  }

  /** Kills a primary. Resolves when its replica has taken over, which happens at once. */
  async kill(primary: number): Promise<void> {
    const replica = await this.#replicaOf(primary);
    const { daemon, admin } = this.#members.get(primary)!;
    this.#members.delete(primary);
    admin.disconnect();
    daemon.process.kill('SIGKILL');
    await daemon.close();
    await this.admin(replica).call('CLUSTER', 'FAILOVER', 'TAKEOVER');
    await this.#until('a replica takes over', async () => {
      const primaries = await this.primaries();
      return primaries.includes(replica) && !primaries.includes(primary);
    });
  }

  async #replicaOf(primary: number): Promise<number> {
    let port: number | undefined;
    await this.#until('a replica', async () => {
      const lines = await this.#view();
      const { id } = lines.find((line) => line.port === primary)!;
      port = lines.find((line) => line.primary === id && this.#members.has(line.port))?.port;
      return port !== undefined;
    });
    return port!;
  }

  /** Starts a primary without slots. Resolves to its port when all servers know it. */
  async addPrimary(): Promise<number> {
    const port = this.ports[0]!;
    const [, bus] = this.daemon(port).ports;
    const added = await this.#launch();
    await this.admin(added).call('CLUSTER', 'MEET', '127.0.0.1', port, bus!);
    await this.#until('a primary joins', async () => {
      const views = this.ports.map((each) => this.admin(each).call('CLUSTER', 'NODES'));
      return (await Promise.all(views)).every((view) =>
        new RegExp(`:${added}@\\d+ \\S*\\bmaster `).test(String(view)),
      );
    });
    await this.settled();
    return added;
  }

  /** Starts a new server as the replica of each primary that has none. */
  async refill(): Promise<void> {
    for (const line of await this.#view()) {
      if (this.#members.has(line.port)) continue;
      const forget = this.ports.map((port) => this.admin(port).call('CLUSTER', 'FORGET', line.id));
      await Promise.allSettled(forget);
    }
    const lines = await this.#view();
    const alone = lines.filter(
      ({ id, flags }) => flags.includes('master') && !lines.some(({ primary }) => primary === id),
    );
    for (const { id, port } of alone) {
      const added = await this.#launch();
      const [, bus] = this.daemon(port).ports;
      await this.admin(added).call('CLUSTER', 'MEET', '127.0.0.1', port, bus!);
      const replicate = (): Promise<unknown> => this.admin(added).call('CLUSTER', 'REPLICATE', id);
      await this.#until('a replica joins', () =>
        replicate().then(
          () => true,
          () => false,
        ),
      );
    }
    await this.settled();
  }

  /** Resolves when all servers agree, and all replicas are connected. */
  async settled(): Promise<void> {
    await this.#until('all servers agree', async () => {
      const views = new Set<string>();
      for (const port of this.ports) {
        const info = String(await this.admin(port).call('CLUSTER', 'INFO'));
        if (!info.includes('cluster_state:ok')) return false;
        const replication = await this.admin(port).info('replication');
        if (replication.includes('link_status:down')) return false;
        views.add(JSON.stringify(sorted(await this.admin(port).call('CLUSTER', 'SLOTS'))));
      }
      return views.size === 1;
    });
  }

  async flush(): Promise<void> {
    for (const port of await this.primaries()) await this.admin(port).flushall();
  }

  async close(): Promise<void> {
    const members = [...this.#members.values()];
    for (const { admin } of members) admin.disconnect();
    await Promise.all(members.map(({ daemon }) => daemon.close()));
  }

  async #launch(): Promise<number> {
    const daemon = await startDaemon({
      command: 'redis-server',
      // The second port is the port of the bus.
      ports: 2,
      args: ({ folder }) => [`${folder}/redis.conf`],
      files: ({ ports: [port, bus], folder }) => {
        const address = [`port ${port}`, `cluster-port ${bus}`, 'bind 127.0.0.1', `dir ${folder}`];
        const config = ['cluster-enabled yes', 'cluster-node-timeout 2000', 'save ""'];
        const quick = ['repl-diskless-sync-delay 0', 'cluster-replica-validity-factor 0'];
        const lines = [...address, ...config, ...quick, ...this.#lines];
        return { ...this.#files, 'redis.conf': lines.join('\n') };
      },
    });
    const admin = new Redis({ host: '127.0.0.1', port: daemon.port, retryStrategy: () => 50 });
    admin.on('error', () => {});
    this.#members.set(daemon.port, { daemon, admin });
    return daemon.port;
  }

  async #slots(): Promise<[number, number, [string, number]][]> {
    return (await this.#any().call('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
  }

  #any(): Redis {
    return [...this.#members.values()][0]!.admin;
  }

  async #view(): Promise<Line[]> {
    const text = String(await this.#any().call('CLUSTER', 'NODES'));
    return text
      .trim()
      .split('\n')
      .map((line) => {
        const [id, address, flags, primary, , , , , ...slots] = line.split(' ');
        const port = Number(/:(\d+)@/.exec(address!)![1]);
        return { id: id!, port, flags: flags!.split(','), primary: primary!, slots: slots.join() };
      });
  }

  async #until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + 60_000;
    while (!(await isTrue())) {
      if (performance.now() > end) throw new Error(`60 s without: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

/** Servers have different orders of replicas. */
function sorted(slots: unknown): unknown {
  return (slots as unknown[][])
    .map(([from, to, ...nodes]) => [from, to, String((nodes[0] as unknown[])[1])])
    .toSorted((a, b) => Number(a[0]) - Number(b[0]));
}

/** Relays before all servers of a cluster. The clients connect to them instead. */
export class ClusterRelays {
  readonly #relays: ReadonlyMap<number, Relay>;

  private constructor(relays: ReadonlyMap<number, Relay>) {
    this.#relays = relays;
  }

  static async start(cluster: TestCluster): Promise<ClusterRelays> {
    const relays = new Map<number, Relay>();
    for (const port of cluster.ports) relays.set(port, await Relay.start(port));
    return new ClusterRelays(relays);
  }

  /** The port of the relay before a server. */
  of(port: number): number {
    return this.#relays.get(port)!.port;
  }

  cut(): void {
    for (const relay of this.#relays.values()) relay.cut();
  }

  heal(): void {
    for (const [port, relay] of this.#relays) relay.heal(port);
  }
}

interface ClusterOptions {
  readonly user?: { readonly username: string; readonly password: string };
  readonly relays?: ClusterRelays | undefined;
}

type ClusterClient = (ports: readonly number[], options?: ClusterOptions) => RedisClient;

/** A client for a cluster of each package. Both reconnect without a delay. */
export const clusterClients: Record<string, ClusterClient> = {
  redis(ports, { user, relays } = {}) {
    const place = (port: number) => ({ host: '127.0.0.1', port: relays?.of(port) ?? port });
    return createCluster({
      rootNodes: ports.map((port) => ({ socket: place(port) })),
      nodeAddressMap: (address) => place(Number(address.split(':')[1])),
      defaults: { ...user, socket: { reconnectStrategy: () => 20 } },
    });
  },
  ioredis: (ports, options) => new Cluster(...ofIoredis(ports, options)),
  iovalkey: (ports, options) => new ValkeyCluster(...ofIoredis(ports, options)),
};

function ofIoredis(ports: readonly number[], { user, relays }: ClusterOptions = {}) {
  const place = (port: number) => ({ host: '127.0.0.1', port: relays?.of(port) ?? port });
  const redisOptions = { ...user, keyPrefix: 'app:' };
  const natMap = (key: string) => place(Number(key.split(':')[1]));
  return [ports.map(place), { lazyConnect: true, redisOptions, natMap }] as const;
}

/** A started backplane on a cluster, with its reports. */
export async function clusterNode(client: string, cluster: TestCluster, options?: ClusterOptions) {
  const backplane = redisBackplane(clusterClients[client]!(cluster.ports, options));
  const sink = new RecordingSink();
  atEnd(() => backplane.close());
  await backplane.start(sink, 'node');
  return { backplane, sink };
}
