// What an idle connection keeps on the heap, in the process of a server.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { masked, nothingLeft, request, whenOver } from '../kit/index.ts';
import type { Handler } from './idle-server.ts';
import type { LiveObjects } from './live-objects.ts';

const SERVER = fileURLToPath(new URL('idle-server.ts', import.meta.url));
/** Connections before the first reading: they fill the pools, and a busy machine compiles late. */
const FIRST = 300;
const MEASURED = 500;

/** Opens a connection and exchanges one message. */
async function exchange(port: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' });
  whenOver(() => socket.destroy());
  socket.write(request());
  await once(socket, 'data');
  socket.write(masked(2, Buffer.alloc(16)));
  await once(socket, 'data');
}

/**
 * Node's objects of a socket. V8 fits their size to the first six of a process, so it differs from
 * run to run by up to 150 bytes.
 */
const OF_NODE = ['Socket', 'ReadableState', 'WritableState', 'system / PropertyArray'];

/**
 * The objects that each connection adds to the heap of a server, and their bytes. A table of all
 * connections, which doubles from time to time, is not among them.
 */
async function perConnection(
  handler: Handler,
): Promise<{ bytes: number; counts: Record<string, number> }> {
  const child = fork(SERVER, [handler], {
    execArgv: ['--conditions=@ws/source', '--import', 'tsx'],
  });
  whenOver(async () => {
    const exit = once(child, 'exit');
    child.disconnect();
    await exit;
  });
  const [port] = (await once(child, 'message')) as [number];
  const open = async (connections: number): Promise<LiveObjects[]> => {
    for (let i = 0; i < connections; i++) await exchange(port);
    child.send('count');
    return ((await once(child, 'message')) as [LiveObjects[]])[0];
  };
  const before = await open(FIRST);
  let bytes = 0;
  const counts: Record<string, number> = {};
  for (const { name, size, count } of await open(MEASURED)) {
    const earlier = before.find((entry) => entry.name === name && entry.size === size)?.count ?? 0;
    const added = Math.round((count - earlier) / MEASURED);
    counts[name] = (counts[name] ?? 0) + added;
    if (!OF_NODE.includes(name)) bytes += added * size;
  }
  return { bytes, counts };
}

/** Objects that few connections need, or only active ones. */
const NONE = {
  Control: 0,
  Ending: 0,
  ControlHandlers: 0,
  Deferred: 0,
  FrameEncoder: 0,
  Map: 0,
  MessageDecoder: 0,
  ReadAhead: 0,
  Set: 0,
  WriteQueue: 0,
  DrainWaits: 0,
  // A dictionary instead of the fields of an object.
  '(object properties)': 0,
};
/** Objects of code that waits. */
const NO_WAIT = { Generator: 0, Promise: 0, 'system / PromiseReaction': 0 };
const ONE = {
  Conn: 1,
  Connection: 1,
  Inbox: 1,
  Outbox: 1,
  FrameQueue: 1,
  Machine: 1,
  SocketTransport: 1,
};

/** The objects of `expected`, as counted. */
function among(counts: Record<string, number>, expected: object): Record<string, number> {
  return Object.fromEntries(Object.keys(expected).map((name) => [name, counts[name] ?? 0]));
}

describe('an idle connection of a server', { timeout: 300_000 }, () => {
  nothingLeft();
  let bareBytes = 0;

  // `most`: bytes beyond those of a bare upgraded socket. The handler's function takes 100 of them.
  it.each([
    // Measured: 1,256.
    { handler: 'starts', most: 1_262, objects: { ...NONE, ...NO_WAIT, ...ONE, ReceiveCall: 1 } },
    // Measured: 1,256. One object of the upgrader watches the promises of all connections.
    { handler: 'returns', most: 1_262, objects: { ...NONE, ...NO_WAIT, ...ONE, ReceiveCall: 1 } },
    // Measured: 2,296. A suspended function with its promise and its last message.
    { handler: 'loops', most: 2_312, objects: { ...NONE, ...ONE, Generator: 1 } },
  ] as const)('is small after a message (handler: $handler)', async (expected) => {
    bareBytes ||= (await perConnection('bare')).bytes;
    const { bytes, counts } = await perConnection(expected.handler);
    expect(among(counts, expected.objects)).toEqual(expected.objects);
    expect(bytes - bareBytes).toBeLessThanOrEqual(expected.most);
  });
});
