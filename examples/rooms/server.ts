// The path of the URL, up to 128 characters of it, is the name of a room. Each message of a client goes to
// the others in its room.
import type { IncomingMessage } from 'node:http';
import process from 'node:process';
import { Hub, type Session } from '@ws/hub';
import { serve } from '@ws/node-server';

const hub = new Hub({ rate: { messages: 50 } });
const roomOf = (session: Session): string =>
  (session.request as IncomingMessage).url!.split('?')[0]!.slice(0, 128);
hub.on('connect', (session) => session.join(roomOf(session)));
hub.on('message', (from, message) => hub.room(roomOf(from)).publish(message, { except: from }));
const port = Number(process.env['PORT'] ?? 8080);
const server = await serve({ port, host: '127.0.0.1' }, hub.handler);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => void server.close());
console.log(server.url);
