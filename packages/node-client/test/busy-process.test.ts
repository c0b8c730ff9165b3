// What a peer sent in time counts, even if this process was too busy to read it in time.
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { dial } from '@ws/node-client';
import { nothingLeft, whenOver } from '@ws/tests';
import { expect, it } from 'vitest';

const TIMEOUT_MS = 100;
const BUSY_MS = 400;
/** An echo in a thread of its own. */
const SERVER = `
  const { parentPort } = require('node:worker_threads');
  const { WebSocketServer } = require('ws');
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  server.on('listening', () => parentPort.postMessage(server.address().port));`;

nothingLeft();

async function connected() {
  const worker = new Worker(SERVER, { eval: true });
  const [port] = await once(worker, 'message');
  whenOver(() => worker.terminate());
  return dial(`ws://127.0.0.1:${port}`);
}

/** Blocks this thread, after what it has written has left. */
async function beBusy(): Promise<void> {
  await setImmediate();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);
}

it('a ping is answered', async () => {
  await using conn = await connected();
  void conn.discardReads();
  const answer = conn.ping(undefined, { timeout: TIMEOUT_MS });
  await beBusy();
  expect(await answer).toBeGreaterThanOrEqual(TIMEOUT_MS);
});

it('a closing handshake is clean', async () => {
  const conn = await connected();
  const end = conn.close(1000, '', { timeout: TIMEOUT_MS });
  await beBusy();
  expect(await end).toMatchObject({ code: 1000, wasClean: true });
});

it('a read with a timeout gets its message', async () => {
  await using conn = await connected();
  void conn.send('hello');
  const message = conn.readMessage({ timeout: TIMEOUT_MS });
  await beBusy();
  expect((await message).text()).toBe('hello');
});
