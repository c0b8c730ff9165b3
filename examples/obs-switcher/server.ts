// A page that switches the scenes of OBS. The page itself connects to OBS: this server only sends the
// page, and never gets the password.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const { PORT = '0' } = process.env;
const obs = new URL(import.meta.resolve('@ws/obs/standalone'));
const files = new Map<string, { readonly type: string; readonly content: Buffer }>([
  ['/', await load('text/html', new URL('page.html', import.meta.url))],
  ['/obs.js', await load('text/javascript', obs)],
]);

const server = createServer((req, res) => {
  const file = files.get(req.url ?? '');
  if (file === undefined) res.writeHead(404).end('not found: open /\n');
  else res.writeHead(200, { 'Content-Type': `${file.type}; charset=utf-8` }).end(file.content);
});

async function load(type: string, url: URL): Promise<{ type: string; content: Buffer }> {
  return { type, content: await readFile(fileURLToPath(url)) };
}

try {
  server.listen(Number(PORT), '127.0.0.1');
  await once(server, 'listening');
} catch (error) {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
}
// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
