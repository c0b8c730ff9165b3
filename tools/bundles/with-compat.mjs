// The program with `@ws/compat`, which is CommonJS for every bundler.
import assert from 'node:assert/strict';
import process from 'node:process';
import { WebSocket } from '@ws/compat';
import { serve } from '@ws/node-server';

async function main() {
  await import('./program.mjs');
  const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) =>
    conn.receive((message) => conn.send(message)),
  );
  const ws = new WebSocket(server.url);
  const answer = new Promise((resolve, reject) => {
    ws.on('error', reject)
      .on('open', () => ws.send('hello'))
      .on('message', resolve);
  });
  assert.equal(String(await answer), 'hello');
  ws.close();
  await server.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
