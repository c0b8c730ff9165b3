import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import webpack from 'webpack';
import DevServer from 'webpack-dev-server';
import { WebSocket } from 'ws';
import { finish, log, next } from '../trace.mjs';

const folder = mkdtempSync(join(tmpdir(), 'ws-webpack-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const entry = join(folder, 'entry.js');
writeFileSync(entry, 'console.log(1);');
const compiler = webpack({
  mode: 'development',
  context: folder,
  entry,
  output: { path: join(folder, 'out') },
  infrastructureLogging: { level: 'none' },
  stats: 'none',
});
const options = { host: '127.0.0.1', port: 0, hot: true, client: { reconnect: false } };
const server = new DevServer(options, compiler);
await server.start();
const { port } = server.server.address();

async function browser(name, origin) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`, { origin });
  const waiting = [];
  ws.on('message', (data) => {
    const { type, data: value } = JSON.parse(String(data));
    log(name, type, type === 'hash' ? 'a hash' : value);
    for (const [wanted, resolve] of waiting) if (type === wanted) resolve();
  });
  ws.on('close', (code) => log(name, 'close', code));
  const type = (wanted) => new Promise((resolve) => waiting.push([wanted, resolve]));
  return { ws, type, closed: next(ws, 'close') };
}

const one = await browser('one', `http://127.0.0.1:${port}`);
await one.type('ok');
const changed = Promise.race([one.type('ok'), one.type('still-ok')]);
server.sendMessage(server.webSocketServer.clients, 'custom', { a: 'ünï → 🚀' });
await one.type('custom');
writeFileSync(entry, `console.log(2, '${'x'.repeat(1000)}');`);
await changed;
const stranger = await browser('stranger', 'http://evil.example');
await stranger.closed;
await server.stop();
await one.closed;
finish();
