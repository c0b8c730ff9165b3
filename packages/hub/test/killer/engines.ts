import { type Daemon, type DaemonOptions, startDaemon, whenOver } from '@ws/tests';
import { type Relay, startRelay } from '../nats/relay.ts';
import { natsServer } from '../nats/setup.ts';
import type { Launch } from './fleet.ts';
import type { Kind } from './protocol.ts';
import { workers } from './workers.ts';

/** A server of an engine. Nodes connect to it through relays. */
interface Server {
  relay(): Promise<Relay>;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Sends SIGSTOP or SIGCONT. */
  signal(signal: NodeJS.Signals): void;
}

/** An engine that the killer kills and starts again. */
export interface Engine {
  readonly name: string;
  /** Node `i` connects to server `i % servers.length`. */
  readonly servers: readonly Server[];
  /** The connection between two servers. */
  readonly route: Relay | undefined;
  /** Kinds of rooms in which all nodes receive the messages in the same order. */
  readonly ordered: readonly Kind[];
  /** Starts a node, if the engine does so itself. All nodes end with the engine then. */
  readonly launch?: Launch;
}

/** The programs and the start of each engine. */
export const ENGINES: Readonly<Record<string, readonly [string, () => Promise<Engine>]>> = {
  redis: ['redis-server', redis],
  nats: ['nats-server', nats],
  jetstream: ['nats-server', jetstream],
  workers: ['node', workers],
};

/** A `redis-server` without a disk: after a kill it starts empty. */
async function redis(): Promise<Engine> {
  const server = await startServer({
    command: 'redis-server',
    args: ({ port }) => ['--port', String(port), '--bind', '127.0.0.1', '--save', ''],
  });
  const ordered: Kind[] = ['through', 'ordered'];
  return { name: 'redis', servers: [server], route: undefined, ordered };
}

/** A `nats-server` with streams on disk. */
async function jetstream(): Promise<Engine> {
  const servers = [await natsServer()];
  return { name: 'jetstream', servers, route: undefined, ordered: ['ordered'] };
}

/** Two `nats-server` with a relay between them. */
async function nats(): Promise<Engine> {
  const first = await startServer(clustered('a', () => ''));
  const route = await first.relay(1);
  const routes = (): string => `routes: ["nats://127.0.0.1:${route.port}"]`;
  const second = await startServer(clustered('b', routes));
  return { name: 'nats', servers: [first, second], route, ordered: [] };
}

/** @param routes - The line of the configuration that names the other server. */
function clustered(name: string, routes: () => string): DaemonOptions {
  return {
    command: 'nats-server',
    ports: 2,
    args: ({ port }) => ['-c', 'nats.conf', '-a', '127.0.0.1', '-p', String(port)],
    files: ({ ports: [, port] }) => ({
      'nats.conf': `server_name: ${name}\ncluster {
        name: hub, listen: "127.0.0.1:${port}", no_advertise: true, connect_retries: 1000000
        ${routes()}
      }\n`,
    }),
  };
}

interface PortServer extends Server {
  /** @param port - Index of the port. Default: 0. */
  relay(port?: number): Promise<Relay>;
}

async function startServer(options: DaemonOptions): Promise<PortServer> {
  let daemon: Daemon | undefined;
  const relays: Relay[] = [];
  const server: PortServer = {
    async relay(port = 0) {
      const relay = await startRelay(() => daemon?.ports[port]);
      relays.push(relay);
      return relay;
    },
    async stop() {
      daemon?.process.kill('SIGKILL');
      await daemon?.close();
      daemon = undefined;
    },
    async start() {
      daemon = await startDaemon(options);
    },
    signal(signal) {
      daemon?.process.kill(signal);
    },
  };
  await server.start();
  whenOver(async () => {
    await Promise.all(relays.map((relay) => relay.close()));
    await server.stop();
  });
  return server;
}
