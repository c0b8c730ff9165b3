// What `tools/check/bundles.ts` packs: a server and a client that talk to each other, with the parts that a bundler may
// break. It prints `ok`.
import assert from 'node:assert/strict';
import process from 'node:process';
import { Hub } from '@ws/hub';
import { Dialer, ReconnectingConn } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { serveRaw } from '@ws/node-server/raw';
import { createProxy } from '@ws/proxy';

async function main() {
  const hub = new Hub();
  hub.on('message', (session, message) => session.send(message.data));
  const compression = { threshold: 0 };
  const server = await serve({ port: 0, host: '127.0.0.1', compression }, hub.handler);
  const conn = await new Dialer({ compression }).dial(server.url);
  assert.match(conn.extensions, /permessage-deflate/);
  // Large enough for the WebAssembly that masks.
  const bytes = new Uint8Array(300_000).fill(7);
  await conn.send(bytes);
  assert.deepEqual(Uint8Array.from((await conn.readMessage()).data), bytes);
  await conn.close();

  await hub.close();
  await server.close();

  const raw = await serveRaw({ port: 0, host: '127.0.0.1' }, async (conn) => {
    for await (const message of conn) await conn.send(`ack ${message.text()}`);
  });
  const live = new ReconnectingConn(raw.url, {
    resend: { id: String, acknowledged: (message) => message.text().slice(4), hide: true },
  });
  await live.send('1');
  await live.reconnect();
  await live.send('2');
  assert.deepEqual(await live.close(), { unsent: [] });
  await createProxy(raw.url).close();
  await raw.close();
  console.log('ok');
}

// Not at the top: a program in CommonJS cannot wait there.
main().catch((error) => {
  console.error(error);
  process.exit(1);
});
