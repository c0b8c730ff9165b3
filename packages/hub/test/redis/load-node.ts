// A node of cluster-figures.long.test.ts: a process with a hub, which publishes or restores rooms.
import process from 'node:process';
import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { type RedisClient, redisBackplane } from '@ws/hub/redis';
import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';

type Clients = Record<string, (port: number) => RedisClient>;

const host = '127.0.0.1';
const serverClients: Clients = {
  redis: (port) => createClient({ socket: { host, port, reconnectStrategy: () => 20 } }),
  ioredis: (port) => new Redis({ host, port, lazyConnect: true }),
};
const clusterClients: Clients = {
  redis: (port) => createCluster({ rootNodes: [{ socket: { host, port } }] }),
  ioredis: (port) => new Cluster([{ host, port }], { lazyConnect: true }),
};
/** Bound of the publications that the engine has not answered. */
const UNANSWERED = 300;
const ROOMS = 60;

const [engine, port, history, client] = process.argv.slice(2) as [string, string, string, string];
const clients = engine === 'cluster' ? clusterClients : serverClients;
const hub = new Hub({
  backplane: redisBackplane(clients[client]!(Number(port))),
  rooms: { 'r*': { history: history === 'true' } },
  // The member reads in the same process.
  maxRooms: false,
  maxRoomsPerSession: false,
  maxQueuedMessages: 1_000_000,
  maxQueuedBytes: 2 ** 30,
});
hub.on('error', (_, error) => console.error(error));
const [peer, conn] = connPair();
const session = hub.add(conn);
void (async () => {
  for (;;) await peer.readMessage();
})();
const cpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function publish(ms: number): Promise<number> {
  const end = performance.now() + ms;
  let published = 0;
  const worker = async (first: number): Promise<void> => {
    for (let i = first; performance.now() < end; i++) {
      await hub.room(`r${i % ROOMS}`).publish('x'.repeat(100));
      published++;
    }
  };
  await Promise.all(Array.from({ length: UNANSWERED }, (_, i) => worker(i)));
  return published;
}

interface Command {
  readonly join?: number;
  readonly publish?: number;
  readonly restore?: number;
}

/** Resolves after the gaps of so many rooms. */
async function restored(rooms: number): Promise<object> {
  const left = new Set(Array.from({ length: rooms }, (_, i) => `r${i}`));
  const before = cpu();
  const began = performance.now();
  await new Promise<void>((resolve) => {
    hub.on('gap', (room) => {
      if (room !== undefined && left.delete(room) && left.size === 0) resolve();
    });
  });
  return { cpu: cpu() - before, ms: performance.now() - began };
}

async function run(command: Command): Promise<void> {
  if (command.join !== undefined) {
    // Before, a room is joined without the engine.
    while (hub.stats.backplane !== 'up') await new Promise((resolve) => setTimeout(resolve, 20));
    await Promise.all(Array.from({ length: command.join }, (_, i) => session.join(`r${i}`)));
    process.send!({});
  } else if (command.publish !== undefined) {
    const before = cpu();
    const published = await publish(command.publish);
    process.send!({ published, cpu: cpu() - before });
  } else if (command.restore !== undefined) {
    process.send!(await restored(command.restore));
  }
}

process.on('message', (command: Command) => void run(command));
process.on('disconnect', () => process.exit());
process.send!({});
