// A message that arrived in time counts, even if the busy process reads it later.
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { dial } from '@ws/node-client';
import { nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';

const TIMEOUT_MS = 100;
const BUSY_MS = 600;
/** An echo server for another thread. */
const SERVER = `
  const { parentPort } = require('node:worker_threads');
  const { WebSocketServer } = require('ws');
  const verifyClient = (_, answer) => {
    parentPort.postMessage('asked');
    setTimeout(answer, 50, true);
  };
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', verifyClient });
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  server.on('listening', () => parentPort.postMessage(server.address().port));`;

async function start() {
  const worker = new Worker(SERVER, { eval: true });
  const [port] = await once(worker, 'message');
  whenOver(() => worker.terminate());
  return { url: `ws://127.0.0.1:${port}`, asked: once(worker, 'message') };
}

async function connected() {
  return dial((await start()).url);
}

/** Blocks this thread after its writes have left. */
async function beBusy(): Promise<void> {
  await setImmediate();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);
}

describe('a busy process', () => {
  nothingLeft();

  it('opens a connection', async () => {
    const { url, asked } = await start();
    const opened = dial(url, { handshakeTimeout: 4 * TIMEOUT_MS });
    await asked;
    await beBusy();
    await using conn = await opened;
    expect(conn.state).toBe('open');
  });

  it('sees the pong of its ping', async () => {
    await using conn = await connected();
    void conn.discardReads();
    const answer = conn.ping(undefined, { timeout: TIMEOUT_MS });
    await beBusy();
    expect(await answer).toBeGreaterThanOrEqual(TIMEOUT_MS);
  });

  it('closes cleanly', async () => {
    const conn = await connected();
    const end = conn.close(1000, '', { timeout: TIMEOUT_MS });
    await beBusy();
    expect(await end).toMatchObject({ code: 1000, wasClean: true });
  });

  it('reads a message with a timeout', async () => {
    await using conn = await connected();
    void conn.send('hello');
    const message = conn.readMessage({ timeout: TIMEOUT_MS });
    await beBusy();
    expect((await message).text()).toBe('hello');
  });
});
