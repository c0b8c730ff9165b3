import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type RedisClient, redisBackplane } from '@ws/hub/redis';
import { type Daemon, startDaemon } from '@ws/tests';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { expect } from 'vitest';
import { RecordingSink } from './recording-sink.ts';

/** Ends everything that a test has started, in reverse order. */
const ends: (() => unknown)[] = [];

export function atEnd(end: () => unknown): void {
  ends.push(end);
}

export async function endAll(): Promise<void> {
  while (ends.length > 0) await ends.pop()!();
}

/** A `redis-server` with these lines of configuration, without a disk. */
export async function startRedis(
  lines: readonly string[] = [],
  files: Readonly<Record<string, string>> = {},
): Promise<Daemon> {
  const daemon = await startServer(lines, files);
  atEnd(() => daemon.close());
  return daemon;
}

function startServer(
  lines: readonly string[],
  files: Readonly<Record<string, string>> = {},
): Promise<Daemon> {
  return startDaemon({
    command: 'redis-server',
    args: ({ folder }) => [join(folder, 'redis.conf')],
    files: ({ port, folder }) => {
      const address = [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`];
      const config = [...address, 'save ""', 'repl-diskless-sync-delay 0', ...lines];
      return { ...files, 'redis.conf': config.join('\n').replaceAll('$port', `${port}`) };
    },
  });
}

/**
 * A server that all tests of a file share.
 *
 * @param options - `cluster`: a cluster of one server, for SPUBLISH.
 */
export function sharedServer({ cluster = false } = {}) {
  let started: Promise<readonly [Daemon, Redis]> | undefined;
  const start = async () => {
    // After a change a cluster refuses commands for this time.
    const daemon = await startServer(
      cluster ? ['cluster-enabled yes', 'cluster-node-timeout 500'] : [],
    );
    const admin = new Redis({ host: '127.0.0.1', port: daemon.port, retryStrategy: () => 20 });
    if (cluster) await takeAll(admin);
    return [daemon, admin] as const;
  };
  return {
    /** The server, without data. */
    async empty(): Promise<Daemon> {
      started ??= start();
      const [daemon, admin] = await started;
      await admin.flushall();
      return daemon;
    },
    /** Gives the server of a cluster all slots again. */
    async takeSlots(): Promise<void> {
      await takeAll((await started!)[1]);
    },
    async close(): Promise<void> {
      const [daemon, admin] = (await started) ?? [];
      admin?.disconnect();
      await daemon?.close();
    },
  };
}

/** Makes a server the only one of its cluster. */
async function takeAll(admin: Redis): Promise<void> {
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
  await expect.poll(() => admin.call('CLUSTER', 'INFO')).toContain('cluster_state:ok');
}

/** A TCP relay with a constant port, so that a server can end and start again. */
export class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Port of the server. While it is undefined, connections end at once. */
  #target: number | undefined;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  static async start(target: number): Promise<Relay> {
    const relay = new Relay(target);
    await once(relay.#server.listen(0, '127.0.0.1'), 'listening');
    atEnd(() => relay.#close());
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends all connections, and each new one until {@link heal}. */
  cut(): void {
    this.#target = undefined;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Forwards nothing more on the current connections, which stay open. */
  freeze(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  heal(target: number): void {
    this.#target = target;
  }

  #join(client: Socket): void {
    if (this.#target === undefined) return void client.destroy();
    const server = connect(this.#target, '127.0.0.1');
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  }

  async #close(): Promise<void> {
    this.cut();
    await once(this.#server.close(), 'close');
  }
}

/** The address of a server. */
export interface Address {
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly ca?: string;
}

/** A client of each package. Both reconnect without a delay. */
export const clients: Record<string, (address: Address) => RedisClient> = {
  redis({ port, ca, ...user }) {
    const socket = { host: '127.0.0.1', port, reconnectStrategy: () => 20 };
    return ca === undefined
      ? createClient({ ...user, socket })
      : createClient({ ...user, socket: { ...socket, tls: true, ca, servername: 'localhost' } });
  },
  ioredis({ port, ca, ...user }) {
    const tls = ca === undefined ? {} : { tls: { ca, servername: 'localhost' } };
    const address = { host: '127.0.0.1', port, ...user, ...tls };
    // The application may need these options; the connections of the hub have others.
    const own = { keyPrefix: 'app:', stringNumbers: true };
    return new Redis({ ...address, ...own, lazyConnect: true, retryStrategy: () => 20 });
  },
};

/** A started backplane, with its reports. */
export async function node(client: string, address: Address, sharded = false) {
  const backplane = redisBackplane(clients[client]!(address), { sharded });
  const sink = new RecordingSink();
  atEnd(() => backplane.close());
  await backplane.start(sink, 'node');
  return { backplane, sink };
}

export function adminOf(port: number): Redis {
  const admin = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 20 });
  atEnd(() => admin.disconnect());
  return admin;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
