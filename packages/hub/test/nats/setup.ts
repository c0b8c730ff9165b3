import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream as jetstreamClient } from '@nats-io/jetstream';
import {
  type NatsConnection as Connection,
  type ConnectionOptions,
  connect,
} from '@nats-io/transport-node';
import { type Conn, connPair } from '@ws/conn';
import { Hub, type HubOptions, type Session } from '@ws/hub';
import { type NatsConnection, natsBackplane } from '@ws/hub/nats';
import { type Daemon, startDaemon, whenOver } from '@ws/tests';
import { expect } from 'vitest';
import type { JetStreamClient } from '../../src/nats/client.ts';
import { type Relay, startRelay } from './relay.ts';

/** A nats-server that tests can kill and restart. Its clients connect to relays. */
export interface TestServer {
  /** Folder of the streams. It survives a restart. */
  readonly store: string;
  /** A new relay to the server, which the test can cut. */
  relay(): Promise<Relay>;
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
  /** Sends SIGSTOP or SIGCONT to the server. */
  signal(signal: NodeJS.Signals): void;
}

/** User id of the daemons that root starts; see the kit's `startDaemon`. */
const UNPRIVILEGED = 65_534;

/** @param config - Lines of the server's configuration. */
export async function natsServer(config = ''): Promise<TestServer> {
  const store = mkdtempSync(join(tmpdir(), 'ws-nats-'));
  if (process.getuid?.() === 0) chownSync(store, UNPRIVILEGED, UNPRIVILEGED);
  let daemon: Daemon | undefined;
  const relays: Relay[] = [];
  const server: TestServer = {
    store,
    async relay() {
      const relay = await startRelay(() => daemon?.port);
      relays.push(relay);
      return relay;
    },
    async stop(signal = 'SIGKILL') {
      daemon?.process.kill(signal);
      await daemon?.close();
      daemon = undefined;
    },
    signal(signal) {
      daemon?.process.kill(signal);
    },
    async start() {
      daemon = await startDaemon({
        command: 'nats-server',
        args: ({ port }) => ['-c', 'nats.conf', '-a', '127.0.0.1', '-p', String(port)],
        files: () => ({ 'nats.conf': `jetstream { store_dir: "${store}" }\n${config}\n` }),
      });
    },
  };
  await server.start();
  whenOver(async () => {
    await Promise.all(relays.map((relay) => relay.close()));
    await server.stop();
    rmSync(store, { recursive: true, force: true });
  });
  return server;
}

export interface Node {
  readonly hub: Hub;
  readonly connection: Connection;
  readonly relay: Relay;
  /** Rooms with a reported gap. */
  readonly gaps: string[];
  readonly errors: string[];
  /** A new session in rooms that NATS has confirmed. */
  enter(...rooms: string[]): Promise<{ client: Conn; session: Session }>;
}

export interface NodeOptions extends HubOptions {
  readonly jetstream?: boolean;
  readonly connect?: ConnectionOptions;
  /** Returns the connection that the hub gets, for example a proxy of the given one. */
  readonly wrap?: (connection: Connection) => NatsConnection;
  /** Returns the client of JetStream that the hub gets. */
  readonly wrapLog?: (client: JetStreamClient) => JetStreamClient;
}

/** A hub on a NATS connection through a relay. */
export async function natsNode(
  server: TestServer,
  {
    jetstream = false,
    connect: own,
    wrap = (connection) => connection,
    wrapLog = (client) => client,
    ...options
  }: NodeOptions = {},
): Promise<Node> {
  const relay = await server.relay();
  const connection = await connect({
    servers: `127.0.0.1:${relay.port}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    ...own,
  });
  whenOver(() => connection.close());
  const backplane = natsBackplane(wrap(connection), {
    prefix: 'test.hub',
    jetstream: jetstream ? wrapLog(jetstreamClient(connection)) : undefined,
  });
  const hub = new Hub({ ...options, backplane });
  // The clients do not answer the close frames.
  whenOver(() => hub.close({ timeout: 1 }));
  const [gaps, errors]: [string[], string[]] = [[], []];
  hub.on('gap', (room) => void (room !== undefined && gaps.push(room)));
  hub.on('error', (_, error) => {
    errors.push(`${String(error)}: ${String((error as Error).cause)}`);
  });
  await expect.poll(() => hub.stats.backplane).toBe('up');
  return {
    hub,
    connection,
    relay,
    gaps,
    errors,
    async enter(...rooms) {
      const [client, server] = connPair();
      const session = hub.add(server);
      for (const room of rooms) void session.join(room);
      // The hub subscribes some microtasks later.
      await new Promise((resolve) => setImmediate(resolve));
      await connection.flush();
      return { client, session };
    },
  };
}

/** A server, and two nodes on it. */
export async function natsPair(
  options?: NodeOptions,
): Promise<{ server: TestServer; a: Node; b: Node }> {
  const server = await natsServer();
  return { server, a: await natsNode(server, options), b: await natsNode(server, options) };
}

export async function texts(conn: Conn, count: number): Promise<string[]> {
  const read: string[] = [];
  while (read.length < count) read.push((await conn.readMessage()).text());
  return read;
}

/** Resolves when the backplane of the hub is down, or up again. */
export async function becomes({ hub }: Node, state: 'up' | 'down'): Promise<void> {
  await expect.poll(() => hub.stats.backplane, { interval: 5 }).toBe(state);
}

/** Disconnects a node, and waits until its hub reports it. */
export async function cutOff(node: Node): Promise<void> {
  node.relay.cut();
  await becomes(node, 'down');
}

/** Connects a node again, and waits until its hub reports it. */
export async function reconnect(node: Node): Promise<void> {
  node.relay.mend();
  await becomes(node, 'up');
}
