// A node with rooms for clients, in a process that a test kills: `rooms-node.ts <port> <engine> <its port> <number>`.
import process from 'node:process';
import { serveRooms } from '@ws/hub/rooms';
import { serve } from '@ws/node-server';
import { backplaneOf } from './backplane-of.ts';

const [port, engine, enginePort, number] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
];
const target = { engine, port: Number(enginePort), number: Number(number) };
const { hub, handler } = serveRooms(
  { 'room/*': { history: { size: 20_000, bytes: 16 * 2 ** 20 }, mayJoin: true, mayPublish: true } },
  { hub: { backplane: await backplaneOf(target, 'ws') } },
);
hub.on('error', () => {});
await serve({ host: '127.0.0.1', port: Number(port) }, handler);
process.send!('listening');
process.on('disconnect', () => process.exit());
