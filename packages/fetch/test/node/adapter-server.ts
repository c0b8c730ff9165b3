import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CrosswsAdapter, type CrosswsOptions, crosswsAdapter } from '@ws/fetch/node';
import { onTestFinished } from 'vitest';

/** Serves by an adapter, as the entry of Nitro does, until the test ends. */
export async function serveByAdapter(
  options: CrosswsOptions,
): Promise<{ url: string; adapter: CrosswsAdapter }> {
  const adapter = crosswsAdapter(options);
  const server = createServer((_req, res) => res.end('a page'));
  server.on('upgrade', (req, socket, head) => void adapter.handleUpgrade(req, socket, head));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    await adapter.close();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, adapter };
}
