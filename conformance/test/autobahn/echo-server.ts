// An echo server for the fuzzing client of the Autobahn suite, with optional compression.
import process from 'node:process';
import { serve } from '@ws/node-server';

const port = Number(process.argv[2] ?? 9001);
const options = { port, compression: 'takeover', readLimit: 64 * 2 ** 20 } as const;
const server = await serve({ ...options, host: '127.0.0.1' }, (conn) =>
  conn.receive((message) => conn.writeMessage(message.type, message.data)),
);
console.log(server.url);
