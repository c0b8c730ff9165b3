// A node of cluster-figures.long.test.ts: a process with a hub, which publishes.
import process from 'node:process';
import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { redisBackplane } from '@ws/hub/redis';
import { createClient, createCluster } from 'redis';

/** Bound of the publications that the engine has not answered. */
const UNANSWERED = 300;
const ROOMS = 60;

const [engine, port, history] = process.argv.slice(2) as [string, string, string];
const socket = { host: '127.0.0.1', port: Number(port), reconnectStrategy: () => 20 };
const client =
  engine === 'cluster' ? createCluster({ rootNodes: [{ socket }] }) : createClient({ socket });
const hub = new Hub({
  backplane: redisBackplane(client),
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
}

async function run(command: Command): Promise<void> {
  if (command.join !== undefined) {
    await Promise.all(Array.from({ length: command.join }, (_, i) => session.join(`r${i}`)));
    process.send!({});
  } else if (command.publish !== undefined) {
    const before = cpu();
    const published = await publish(command.publish);
    process.send!({ published, cpu: cpu() - before });
  }
}

process.on('message', (command: Command) => void run(command));
process.on('disconnect', () => process.exit());
process.send!({});
