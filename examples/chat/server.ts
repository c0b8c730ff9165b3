// The demo: the chat page on /, the chat on /chat and an echo on /echo, on one port.
import process from 'node:process';
import { redisBackplane } from '@ws/hub/redis';
import { serve, type WsServer } from '@ws/node-server';
import { createClient } from 'redis';
import { createChat } from './chat.ts';
import { page } from './page.ts';

/** Time in ms for the peers to answer our close frame. */
const CLOSE_TIMEOUT_MS = 1_000;

const { PORT = '8080', HOST = '127.0.0.1', REDIS_URL } = process.env;
const chat = createChat(
  REDIS_URL === undefined ? undefined : redisBackplane(createClient({ url: REDIS_URL })),
);

try {
  const server = await serve(
    {
      port: portNumber(PORT),
      host: HOST,
      request: await page(new URL('page.html', import.meta.url)),
      // See `maxRooms` of the chat.
      maxConnections: 1_000,
      maxConnectionsPerAddress: 50,
    },
    {
      '/chat': chat.handler,
      '/echo': (conn) => conn.receive((message) => conn.send(message)),
    },
  );
  endWith(server);
  console.log(`chat at ${server.url.replace(/^ws/, 'http')}/`);
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}

/** SIGINT and SIGTERM close every connection with 1001 and end the process. */
function endWith(server: WsServer): void {
  const timeout = CLOSE_TIMEOUT_MS;
  const end = (): void => {
    // The chat first: the server alone would drop the messages that wait for slow clients.
    const closed = chat.hub.close({ timeout }).then(() => server.close({ timeout }));
    void closed.then(() => process.exit(0));
  };
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
}

function portNumber(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new RangeError(`PORT: expected 0 to 65535, got ${JSON.stringify(text)}`);
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return `port ${PORT} is in use; set PORT to another, or to 0 for any`;
  if (code === 'EACCES') return `port ${PORT} is not allowed; set PORT to one above 1023`;
  return error.message;
}
