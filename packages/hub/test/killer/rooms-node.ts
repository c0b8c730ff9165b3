// A node with rooms for clients, in a process that a test kills. `rooms-node.ts <port> <port of Redis>`.
import process from 'node:process';
import { redisBackplane } from '@ws/hub/redis';
import { serveRooms } from '@ws/hub/rooms';
import { serve } from '@ws/node-server';
import { createClient } from 'redis';

const [port, redis] = process.argv.slice(2).map(Number) as [number, number];
const client = createClient({
  socket: { host: '127.0.0.1', port: redis, reconnectStrategy: () => 20 },
});
const { hub, handler } = serveRooms(
  { 'room/*': { history: { size: 20_000, bytes: 16 * 2 ** 20 }, mayJoin: true, mayPublish: true } },
  { hub: { backplane: redisBackplane(client) } },
);
hub.on('error', () => {});
await serve({ host: '127.0.0.1', port }, handler);
process.send!('listening');
process.on('disconnect', () => process.exit());
