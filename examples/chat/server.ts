// The demo: the chat page on /, the chat on /chat and an echo on /echo, on one port.
import process from 'node:process';
import { redisBackplane } from '@ws/hub/redis';
import { serve } from '@ws/node-server';
import { createClient } from 'redis';
import { createChat } from './chat.ts';
import { page } from './page.ts';

/** Time in ms for the peers to answer our close frame. */
const CLOSE_TIMEOUT_MS = 1_000;

const { PORT = '8080', HOST = '127.0.0.1', REDIS_URL } = process.env;
const chat = createChat(
  REDIS_URL === undefined ? undefined : redisBackplane(createClient({ url: REDIS_URL })),
);

const server = await serve(
  {
    port: Number(PORT || Number.NaN),
    host: HOST,
    request: await page(new URL('page.html', import.meta.url)),
    // See `maxRooms` of the chat.
    maxConnections: 1_000,
    limits: [{ by: 'address', connections: 50 }],
  },
  {
    '/chat': chat.handler,
    '/echo': (conn) => conn.receive((message) => conn.send(message)),
  },
).catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
console.log(`chat at ${server.url.replace(/^ws/, 'http')}/`);

/** Closes every connection with 1001 and ends the process. */
async function end(): Promise<never> {
  const timeout = CLOSE_TIMEOUT_MS;
  // The chat first: the server alone would drop the messages that wait for slow clients.
  await chat.hub.close({ timeout });
  await server.close({ timeout });
  process.exit(0);
}
process.on('SIGINT', () => void end()).on('SIGTERM', () => void end());
