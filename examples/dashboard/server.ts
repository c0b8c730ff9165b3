// A page with charts of this server. Every second, one broadcast reaches all open pages.
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { broadcast, serve } from '@ws/node-server';
import { Metrics, type Sample } from './metrics.ts';

/** How many samples a new page gets at once: five minutes of them. */
const KEPT = 300;
const { PORT = '0', EVERY_MS = '1000' } = process.env;
// setInterval treats an invalid number as 1 ms.
if (!/^[1-9]\d{0,8}$/.test(EVERY_MS)) {
  console.error(`EVERY_MS: expected 1 to 999999999, got ${JSON.stringify(EVERY_MS)}`);
  process.exit(1);
}

const uplot = new URL(import.meta.resolve('uplot'));
const websocket = new URL(import.meta.resolve('@ws/browser/standalone'));
const files = new Map<string, { readonly type: string; readonly content: Buffer }>([
  ['/', await load('text/html', new URL('page.html', import.meta.url))],
  ['/uplot.js', await load('text/javascript', new URL('uPlot.esm.js', uplot))],
  ['/websocket.js', await load('text/javascript', websocket)],
  ['/uplot.css', await load('text/css', new URL('uPlot.min.css', uplot))],
]);

const history: Sample[] = [];
const metrics = new Metrics();

const server = await serve(
  {
    port: Number(PORT),
    host: '127.0.0.1',
    request: page,
  },
  {
    '/metrics': async (conn) => {
      await conn.writeJSON(history);
      await conn.discardReads();
    },
  },
).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

const ticking = setInterval(() => {
  const sample = metrics.sample(server.connections.size);
  history.push(sample);
  if (history.length > KEPT) history.shift();
  // Encodes one frame for all. A slow page misses samples and does not delay the others.
  broadcast(server.connections, JSON.stringify([sample]));
}, Number(EVERY_MS));

function page(req: IncomingMessage, res: ServerResponse): void {
  const file = files.get(req.url ?? '');
  if (file === undefined) res.writeHead(404).end('not found: open /\n');
  else res.writeHead(200, { 'Content-Type': `${file.type}; charset=utf-8` }).end(file.content);
}

async function load(type: string, url: URL): Promise<{ type: string; content: Buffer }> {
  return { type, content: await readFile(fileURLToPath(url)) };
}

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    clearInterval(ticking);
    metrics.stop();
    void server.close();
  });
}
console.log(server.url.replace(/^ws/, 'http'));
