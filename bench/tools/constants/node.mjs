// The node that measure.ts measures: a server with a hub, which answers questions over IPC. It is
// JavaScript, so that its memory contains no TypeScript loader.
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { redisBackplane } from '@ws/hub/redis';
import { serve } from '@ws/node-server';
import { createClient } from 'redis';

const [room, redisPort] = process.argv.slice(2).map(Number);

function backplane() {
  return redisBackplane(createClient({ socket: { host: '127.0.0.1', port: redisPort } }));
}

/** The room whose members all nodes know. */
const SHOWN = 'shown';

const hub = new Hub({
  backplane: redisPort > 0 ? backplane() : undefined,
  rooms: { [SHOWN]: { presence: () => ({ name: 'a name' }) } },
});
let added = 0;
const visitors = [];
hub.on('connect', (session) => {
  if (added === 0) void session.join('one');
  void session.join(`room ${Math.floor(added++ / room)}`);
});
// The clients of measure.ts do not answer pings.
const server = await serve({ port: 0, host: '127.0.0.1', heartbeat: false }, hub.handler);

const answers = {
  cpu() {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  resident: async () => (await collected()).rss,
  heap: async () => (await collected()).heapUsed,
  known: () => hub.room(SHOWN).presence.size,
  /** Sessions without a socket, members of the room that shows them. */
  async show(count) {
    for (let i = 0; i < count; i++) {
      const session = hub.add(connPair()[1]);
      visitors.push(session);
      await session.join(SHOWN);
    }
  },
  /** So many leaves and joins, 100 in a turn: each is a change for the other nodes. */
  async churn(times) {
    for (let done = 0; done < times; done += 200) {
      const some = visitors.slice(0, 100);
      for (const session of some) session.leave(SHOWN);
      await sleep(1);
      await Promise.all(some.map((session) => session.join(SHOWN)));
      await sleep(1);
    }
  },
  stats: () => hub.stats,
  broadcast: (text) => hub.broadcast(text, { local: true }),
  rooms(text) {
    for (let i = 0; i * room < added; i++)
      void hub.room(`room ${i}`).publish(text, { local: true });
  },
  /** Publishes in a room without members. */
  async publish({ text, times }) {
    for (let sent = 0; sent < times; sent += 500) {
      await Promise.all(Array.from({ length: 500 }, () => hub.room('elsewhere').publish(text)));
    }
  },
};

async function collected() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc();
    await sleep(100);
  }
  return process.memoryUsage();
}

async function answer({ name, argument }) {
  process.send({ value: await answers[name](argument) });
}

process.on('message', (question) => void answer(question));
process.on('disconnect', () => process.exit());
process.send({ value: Number(new URL(server.url).port) });
