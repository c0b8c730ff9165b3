// Sends each message back.
import process from 'node:process';
import { serve } from '@ws/node-server';

const server = await serve(
  { port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1' },
  async (conn) => {
    for await (const message of conn) await conn.send(message);
  },
).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
console.log(server.url);
