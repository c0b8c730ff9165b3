// A page with charts of this very server; every second one broadcast to all who look at it.
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { broadcast, serve } from '@ws/node-server';
import { Metrics, type Sample } from './metrics.ts';

/** How many samples a page that comes later gets at once: five minutes of them. */
const KEPT = 300;
const { PORT = '0', EVERY_MS = '1000' } = process.env;
// setInterval takes what is no number for 1 ms.
if (!/^[1-9]\d{0,8}$/.test(EVERY_MS)) {
  console.error(`EVERY_MS: expected 1 to 999999999, got ${JSON.stringify(EVERY_MS)}`);
  process.exit(1);
}

const uplot = new URL(import.meta.resolve('uplot'));
const files = new Map<string, { readonly type: string; readonly content: Buffer }>([
  ['/', await load('text/html', new URL('page.html', import.meta.url))],
  ['/uplot.js', await load('text/javascript', new URL('uPlot.esm.js', uplot))],
  ['/uplot.css', await load('text/css', new URL('uPlot.min.css', uplot))],
]);

const history: Sample[] = [];
const metrics = new Metrics();

const server = await serve({
  port: Number(PORT),
  host: '127.0.0.1',
  request: page,
  routes: {
    '/metrics': async (conn) => {
      await conn.writeJSON(history);
      await conn.discardReads();
    },
  },
}).catch((error: Error) => {
  // A port that is in use, or none: the reason is enough.
  console.error(String(error));
  process.exit(1);
});
console.log(server.url.replace(/^ws/, 'http'));

const ticking = setInterval(() => {
  const sample = metrics.sample(server.connections.size);
  history.push(sample);
  if (history.length > KEPT) history.shift();
  // One serialization and one frame for all. Who does not keep up misses a sample, and holds up nobody.
  broadcast(server.connections, JSON.stringify([sample]));
}, Number(EVERY_MS));

function page(req: IncomingMessage, res: ServerResponse): void {
  const file = files.get(req.url ?? '');
  if (file === undefined) res.writeHead(404).end('there is / and nothing else\n');
  else res.writeHead(200, { 'Content-Type': `${file.type}; charset=utf-8` }).end(file.content);
}

async function load(type: string, url: URL): Promise<{ type: string; content: Buffer }> {
  return { type, content: await readFile(fileURLToPath(url)) };
}

// `on`, not `once`: Ctrl-C may come twice, from the terminal and from npm.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    clearInterval(ticking);
    metrics.stop();
    void server.close();
  });
}
