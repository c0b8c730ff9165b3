// `pnpm long bounds`: what other clients of a server see, and its memory, while 1,000 clients do not
// read (maxTotalBufferedAmount), and while one client floods it (rate). Uses the built packages.
//   node tools/bounds.mjs
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { dial } from '@ws/node-client';
import { route, serve } from '@ws/node-server';

const MIB = 2 ** 20;
const BOUND = 1024 * MIB;
const CLIENTS = 1_000;
const ASKED = 15 * MIB;
/** Below 32 KiB, so that each write is a copy. */
const WRITE = 16 * 1024;
/** Messages of a second that the option allows; the flood has ten times as many. */
const RATE = 1_000;
/** Between two clients that ask. */
const ASK_MS = 20;
const WINDOW_MS = 2_000;
const WINDOWS = 7;
const HANDSHAKE = [
  'Host: 127.0.0.1',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');
/** A masked binary message of one byte. */
const MESSAGE = Buffer.of(0x82, 0x81, 0, 0, 0, 0, 1);

if (process.send === undefined) await measure();
else await runServer();

async function runServer() {
  const data = Buffer.alloc(WRITE, 'x');
  let handlers = 0;
  let writes = 0;
  const server = await serve(
    { host: '127.0.0.1', heartbeat: false, maxTotalBufferedAmount: BOUND, report() {} },
    {
      '/ask': (conn) =>
        conn.receive(() => {
          const before = process.cpuUsage();
          for (let i = 0; i < ASKED / WRITE; i++) conn.send(data).catch(() => {});
          const { user, system } = process.cpuUsage(before);
          handlers += user + system;
          writes += ASKED / WRITE;
        }),
      '/echo': (conn) => conn.receive((message) => conn.send(message)),
      '/flood': route({ rate: { messages: RATE } }, (conn) => conn.receive(() => {})),
    },
  );
  process.on('message', () => {
    const conns = [...server.connections];
    process.send({
      resident: process.memoryUsage.rss(),
      buffered: conns.reduce((sum, conn) => sum + conn.bufferedAmount, 0),
      write: handlers / Math.max(writes, 1),
    });
  });
  process.once('disconnect', () => process.exit());
  process.send(Number(new URL(server.url).port));
}

async function measure() {
  // The second server has clients that ask for nothing.
  await withServer((server) => withServer((other) => compare(server, other)));
  await withServer(async (server) => {
    const flood = await rawClient(server.port, '/flood');
    const burst = Buffer.concat(Array.from({ length: RATE / 10 }, () => MESSAGE));
    const send = () => {
      // What the client queues is no concern of the server.
      if (flood.writableLength < MIB) flood.write(burst);
    };
    const before = await server.ask();
    const found = { p99s: [], others: [] };
    for (let i = 0; i < WINDOWS; i++) {
      found.others.push(await p99Of(server));
      const timer = setInterval(send, 10);
      found.p99s.push(await p99Of(server));
      clearInterval(timer);
    }
    const growth = (await server.ask()).resident - before.resident;
    console.log(`a flood at ten times its rate of ${RATE} messages a second`);
    console.log(`  growth of the process   ${(growth / MIB).toFixed(1)} MiB`);
    report('meanwhile', found);
  });
}

async function compare(server, other) {
  const clients = await rawClients(server.port);
  await rawClients(other.port);
  const before = await server.ask();
  const asking = { p99s: [], others: [] };
  while (clients.length > 0) {
    const asked = clients.splice(0, WINDOW_MS / ASK_MS);
    const [p99] = await Promise.all([p99Of(server), asks(asked)]);
    asking.p99s.push(p99);
    asking.others.push(await p99Of(other));
  }
  const later = { p99s: [], others: [] };
  for (let i = 0; i < WINDOWS; i++) {
    later.p99s.push(await p99Of(server));
    later.others.push(await p99Of(other));
  }
  const { resident, buffered, write } = await server.ask();
  const growth = resident - before.resident;
  console.log(`${CLIENTS} clients that do not read, bound ${BOUND / MIB} MiB`);
  console.log(`  bytes that wait         ${(buffered / BOUND).toFixed(2)} of the bound`);
  console.log(`  growth of the process   ${(growth / BOUND).toFixed(2)} of the bound`);
  console.log(`  CPU of a write          ${write.toFixed(1)} µs, most are refused`);
  report('while they ask', asking);
  report('after that', later);
}

async function asks(clients) {
  for (const client of clients) {
    client.write(MESSAGE);
    await sleep(ASK_MS);
  }
}

function report(name, { p99s, others }) {
  const [p99, other] = [median(p99s), median(others)];
  console.log(
    `  p99 of another client   ${p99.toFixed(2)} ms ${name}, ${other.toFixed(2)} without: ${(p99 / other).toFixed(2)}`,
  );
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

async function withServer(use) {
  const child = fork(import.meta.filename ?? process.argv[1]);
  const [port] = await once(child, 'message');
  const ask = async () => {
    child.send('ask');
    return (await once(child, 'message'))[0];
  };
  const echo = await dial(`ws://127.0.0.1:${port}/echo`);
  const server = { port, ask, echo };
  await p99Of(server);
  await use(server);
  echo.terminate();
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function rawClient(port, path) {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  socket.write(`GET ${path} HTTP/1.1\r\n${HANDSHAKE}`);
  await once(socket, 'data');
  return socket;
}

/** Clients that do not read. */
async function rawClients(port) {
  const clients = [];
  for (let i = 0; i < CLIENTS; i++) clients.push((await rawClient(port, '/ask')).pause());
  return clients;
}

/** The 99th percentile in ms of the echoes of one window of time. */
async function p99Of({ echo }) {
  const times = [];
  for (const start = performance.now(); performance.now() - start < WINDOW_MS; ) {
    const sentAt = performance.now();
    await echo.send('0123456789abcdef');
    await echo.readMessage();
    times.push(performance.now() - sentAt);
    await sleep(1);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length * 0.99)];
}
