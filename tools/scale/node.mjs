// The node that measure.ts measures: a server with a hub, which answers questions over IPC. It is
// JavaScript, so that its memory contains no TypeScript loader.
import { createRequire } from 'node:module';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hub } from '@ws/hub';
import { redisBackplane } from '@ws/hub/redis';
import { serve } from '@ws/node-server';

const [room, redisPort] = process.argv.slice(2).map(Number);
const require = createRequire(new URL('../../packages/hub/package.json', import.meta.url));

function backplane() {
  const { createClient } = require('redis');
  return redisBackplane(createClient({ socket: { host: '127.0.0.1', port: redisPort } }));
}

const hub = new Hub({ backplane: redisPort > 0 ? backplane() : undefined });
let added = 0;
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
  async resident() {
    for (let i = 0; i < 4; i++) {
      globalThis.gc();
      await sleep(100);
    }
    return process.memoryUsage().rss;
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

async function answer({ name, argument }) {
  process.send({ value: await answers[name](argument) });
}

process.on('message', (question) => void answer(question));
process.on('disconnect', () => process.exit());
process.send({ value: Number(new URL(server.url).port) });
