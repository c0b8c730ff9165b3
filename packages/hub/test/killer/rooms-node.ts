// A node with rooms for clients, in a process that a test kills: `rooms-node.ts <engine> <its port> <number>`.
import process from 'node:process';
import { serveRooms } from '@ws/hub/rooms';
import { serve } from '@ws/node-server';
import { backplaneOf } from './backplane-of.ts';

const [engine, enginePort, number] = process.argv.slice(2) as [string, string, string];
const target = { engine, port: Number(enginePort), number: Number(number) };
const { hub, handler } = serveRooms(
  { 'room/*': { history: { size: 20_000, bytes: 16 * 2 ** 20 }, mayJoin: true, mayPublish: true } },
  { hub: { backplane: await backplaneOf(target, 'ws') } },
);
hub.on('error', () => {});
// Not the port of the other workers of `node:cluster`.
const { url } = await serve({ host: '127.0.0.1', listen: { exclusive: true } }, handler);
process.send!(url);
process.on('disconnect', () => process.exit());
