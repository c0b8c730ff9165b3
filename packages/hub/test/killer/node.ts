// A node of the killer: a process with a server, a hub and a publisher. It reports to its parent.
import process from 'node:process';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type Backplane, Hub } from '@ws/hub';
import { natsBackplane } from '@ws/hub/nats';
import { redisBackplane } from '@ws/hub/redis';
import { serve } from '@ws/node-server';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { type FromNode, PUBLISH_MS, ROOMS, type ToNode } from './protocol.ts';

const [engine, port, run] = process.argv.slice(2) as [string, string, string];

async function backplane(): Promise<Backplane> {
  if (engine === 'redis') {
    const address = { host: '127.0.0.1', port: Number(port) };
    // Half of the processes use each client.
    return redisBackplane(
      Number(run.at(-1)) % 2 === 0
        ? createClient({ socket: { ...address, reconnectStrategy: () => 20 } })
        : new Redis({ ...address, lazyConnect: true, retryStrategy: () => 20 }),
    );
  }
  const connection = await connect({
    servers: `127.0.0.1:${port}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  return natsBackplane(connection, { jetstream: jetstream(connection) });
}

function report(event: FromNode): void {
  process.send!(event);
}

const hub = new Hub({
  id: run,
  backplane: await backplane(),
  rooms: ROOMS,
  maxQueuedMessages: 10_000,
});
hub.on('error', () => {});
hub.on('gap', (room) => {
  if (room === undefined) return;
  report({ type: 'gap', room });
  // The members get it in the order of the room: it says where the hole may be.
  void hub.room(room).publish(`${room} gap`, { local: true });
});
hub.on('connect', (session) => {
  const [, query] = (session.request as { url: string }).url.split('?');
  for (const room of query!.split(',')) session.join(room);
});
hub.on('message', (session, message) => {
  const [action, room] = [message.text()[0], message.text().slice(1)];
  if (action === '-') {
    session.leave(room);
    session.send(`${room} left`);
  } else {
    session.send(`${room} joined`);
    session.join(room);
  }
});
const server = await serve({ host: '127.0.0.1', port: 0 }, hub.handler);

let state = 'down';
setInterval(() => {
  if (hub.stats.backplane === state) return;
  state = hub.stats.backplane;
  report({ type: 'state', state });
}, 10);

let publisher: NodeJS.Timeout | undefined;
const numbers = new Map<string, number>();

/** Publishes the next number of each room in turn. */
function publishAll(): void {
  const names = Object.keys(ROOMS);
  let turn = 0;
  publisher = setInterval(() => {
    const room = names[turn++ % names.length]!;
    const number = (numbers.get(room) ?? 0) + 1;
    numbers.set(room, number);
    hub
      .room(room)
      .publish(`${room} ${run} ${number}`)
      .then(
        (position) => report({ type: 'accepted', room, number, position }),
        () => {},
      );
  }, PUBLISH_MS);
}

process.on('message', (command: ToNode) => {
  if (command === 'publish') publishAll();
  else clearInterval(publisher);
});
process.on('disconnect', () => process.exit());
report({ type: 'listening', port: Number(new URL(server.url).port) });
