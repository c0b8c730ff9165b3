// `node --import tsx tools/start.ts [CHECKOUT]...`: the start of a server next to `ws`, in fresh processes: how many files and
// bytes it loads, the modules of Node, the time and the CPU of the process until it listens, and its resident memory. The
// second row of each has answered one handshake. Measures the builds of this checkout and of others: run `pnpm build` first.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import process from 'node:process';

/** Processes of each row. */
const PROCESSES = 15;

/** Prints the figures of one start. `OPTIONS` are those of the server. */
const PROGRAM = `
const began = performance.now();
const options = JSON.parse(process.env.OPTIONS);
const opened = NAME === 'ws' ? startWs() : startOurs();
opened.then(async (port) => {
  const listening = performance.now() - began;
  const { user, system } = process.cpuUsage();
  if (process.env.HANDSHAKE === 'yes') await handshake(port);
  const files = Object.keys(require.cache);
  const bytes = files.reduce((sum, file) => sum + require('node:fs').statSync(file).size, 0);
  const modules = process.moduleLoadList.filter((name) => name.startsWith('NativeModule')).length;
  const cpu = (user + system) / 1e3;
  const resident = process.memoryUsage.rss() / 1e6;
  console.log(JSON.stringify([files.length, bytes / 1e3, modules, listening, cpu, resident]));
  process.exit();
});
async function startOurs() {
  const { serve } = require('@ws/node-server');
  const server = await serve({ port: 0, host: '127.0.0.1', ...options }, (conn) =>
    conn.receive((message) => conn.send(message)),
  );
  return new URL(server.url).port;
}
function startWs() {
  const { WebSocketServer } = require('ws');
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options });
  server.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
  return new Promise((done) => server.on('listening', () => done(server.address().port)));
}
function handshake(port) {
  const request = require('node:http').request({
    port,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': 13,
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Extensions': 'permessage-deflate',
    },
  });
  return new Promise((done, failed) => request.on('upgrade', done).on('error', failed).end());
}`;

interface Row {
  readonly name: string;
  /** Its `tests` has both libraries. */
  readonly checkout: string;
  readonly options: object;
}

const HERE = join(import.meta.dirname, '..');
const rows: Row[] = [
  { name: 'ours', checkout: HERE, options: {} },
  { name: 'ours, compression', checkout: HERE, options: { compression: true } },
  { name: 'ours, HTTP/2', checkout: HERE, options: { http2: 'clear' } },
  ...process.argv.slice(2).map((checkout) => ({
    name: `ours in ${checkout}`,
    checkout: resolve(checkout),
    options: {},
  })),
  { name: 'ws', checkout: HERE, options: {} },
  { name: 'ws, compression', checkout: HERE, options: { perMessageDeflate: true } },
];

/** Starts a server once. @returns files, kB, modules of Node, ms, ms of CPU, MB. */
function figuresOf({ name, checkout, options }: Row, handshake: boolean): number[] {
  const program = PROGRAM.replace('NAME', JSON.stringify(name.slice(0, 2)));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', program], {
    cwd: join(checkout, 'tests'),
    env: {
      ...process.env,
      OPTIONS: JSON.stringify(options),
      HANDSHAKE: handshake ? 'yes' : 'no',
    },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${name}: ${stderr}`);
  return JSON.parse(stdout) as number[];
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function print(name: string, cells: readonly string[]): void {
  console.log(name.padEnd(34) + cells.map((cell) => cell.padStart(12)).join(''));
}

const speaksHttp1 = rows.filter(({ options }) => !('http2' in options));
const wanted = [
  ...rows.map((row) => ({ row, handshake: false })),
  ...speaksHttp1.map((row) => ({ row, handshake: true })),
];
const samples = wanted.map((): number[][] => []);
// In turn, so that a busy moment of the machine counts for all.
for (let i = 0; i < PROCESSES; i++) {
  for (const [at, { row, handshake }] of wanted.entries()) {
    samples[at]!.push(figuresOf(row, handshake));
  }
}
print('', ['files', 'kB', 'of Node', 'ms', 'CPU ms', 'MB']);
for (const [at, { row, handshake }] of wanted.entries()) {
  const [files, kB, modules, ms, cpu, MB] = [0, 1, 2, 3, 4, 5].map((figure) =>
    median(samples[at]!.map((sample) => sample[figure]!)),
  );
  print(`${row.name}${handshake ? ', a handshake' : ''}`, [
    String(files),
    kB!.toFixed(0),
    String(modules),
    ms!.toFixed(0),
    cpu!.toFixed(0),
    MB!.toFixed(1),
  ]);
}
