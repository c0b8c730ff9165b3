import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net';
import process from 'node:process';
import { clearTimeout, setTimeout } from 'node:timers';
import { markAsUntransferable } from 'node:worker_threads';
import { simdReadBuffer } from '@ws/codec/internal';

/** Bytes of the buffer where there is no SIMD memory: the most that one read returns. */
const SIZE = 256 * 1024;

/** Bound of the self-test in ms: an overloaded machine takes seconds. */
const TEST_TIMEOUT = 10_000;

/** Receives the bytes of a socket. Its methods must not throw. */
export interface BufferSink {
  /** `buffer[0, end)` was read. The bytes are lent for the call, and may be changed. */
  data(buffer: Uint8Array, end: number): void;
  /**
   * A second read, within the call of `data`, has replaced its bytes: use neither. A write of an empty
   * chunk to a TLS socket can cause one: TLS then passes its decrypted bytes on at once.
   */
  overwritten(): void;
}

/** Whether the sockets of this thread read into one buffer. */
export interface ReadBufferState {
  /** `untested` until the self-test has ended. */
  readonly state: 'on' | 'off' | 'untested';
  /** Why, in words. */
  readonly reason: string;
}

/** The own symbols of a `net.Socket` that its documented option `onread` sets. */
interface Keys {
  /** The buffer that the handle reads into. */
  readonly buffer: symbol;
  /** Called with each read; its result `false` stops reading. */
  readonly callback: symbol;
}

type OnRead = (this: ReadingSocket, end: number, buffer: Uint8Array) => boolean;

/** The parts of a socket that Node does not document. */
type ReadingSocket = Socket & {
  [key: symbol]: unknown;
  [SINK]?: BufferSink | undefined;
  readonly _handle?: Handle | null;
};

interface Handle {
  readonly _parent?: Handle | null;
  useUserBuffer?(buffer: Uint8Array): void;
}

const SINK = Symbol('sink');

/** Undefined until the self-test has passed. */
let keys: Keys | undefined;
/** Created by the self-test. */
let shared: Uint8Array | undefined;
let testing: Promise<void> | undefined;
/** The socket that has lent its bytes now. */
let borrower: ReadingSocket | undefined;
let current: ReadBufferState = { state: 'untested', reason: 'no socket has asked for it yet' };

/**
 * Returns whether the sockets of this thread read into one buffer. Without it, each read of each
 * socket creates a chunk of 64 KiB.
 *
 * A self-test runs when the first server, client or transport of the thread asks for the buffer. It
 * opens two connections on 127.0.0.1. The state is `off` where the test fails, and in Bun and Deno.
 * Sockets that start earlier, and sockets that Node cannot read this way, use `data` events.
 *
 * @example
 * ```ts
 * import { readBufferState } from '@ws/node-io';
 *
 * console.log(readBufferState().state); // untested
 * ```
 */
export function readBufferState(): ReadBufferState {
  return current;
}

/**
 * Whether sockets with the option `readBuffer` read into the buffer, where they can. The default is
 * true on Linux only, where it was measured.
 *
 * @throws TypeError when the option is not a boolean.
 */
export function wantsReadBuffer(readBuffer: boolean | undefined): boolean {
  if (readBuffer !== undefined && typeof readBuffer !== 'boolean') {
    throw new TypeError(`readBuffer: expected true or false, got ${String(readBuffer)}`);
  }
  return readBuffer ?? process.platform === 'linux';
}

/** Runs the self-test of this thread, once. The promise never rejects. */
export function prepareReadBuffer(): Promise<void> {
  testing ??= runTest();
  return testing;
}

/**
 * Reads `socket` into the buffer of the thread. Bytes that wait in the stream come first. While
 * another listener for the socket's bytes exists, the stream gets copies.
 *
 * @returns False, without a change, for a socket that cannot: use `data` events.
 */
export function readInto(socket: Socket, sink: BufferSink): boolean {
  if (keys === undefined) void prepareReadBuffer();
  if (keys === undefined || !canReadInto(socket, keys)) return false;
  attach(socket, keys, sink);
  return true;
}

/** Whether `socket` reads into the buffer now. */
export function readsIntoBuffer(socket: Socket): boolean {
  return keys !== undefined && (socket as ReadingSocket)[keys.callback] === onRead;
}

/**
 * Ends {@link readInto}. The stream gets copies of all later bytes, for `data` events, `pipe` and
 * every other consumer.
 */
export function stopReadInto(socket: Socket): void {
  const reading = socket as ReadingSocket;
  if (reading[SINK] === undefined) return;
  if (readsIntoBuffer(reading)) reading[keys!.callback] = pushCopy;
  reading[SINK] = undefined;
  reading.off('data', onStreamData);
}

async function runTest(): Promise<void> {
  try {
    const unable = unsupported();
    if (unable === undefined) {
      keys = await selfTest();
      current = { state: 'on', reason: 'the self-test has passed' };
    } else current = { state: 'off', reason: unable };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    current = { state: 'off', reason: `the self-test has failed: ${why}` };
  }
}

function unsupported(): string | undefined {
  if (process.versions['bun'] !== undefined) return 'Bun has its own sockets';
  if ('Deno' in globalThis) return 'Deno has its own sockets';
  const { permission } = process as { permission?: { has(scope: string): boolean } };
  // Before Node 25 the permission model has no scope for the network, and allows it.
  const scoped = Number.parseInt(process.versions.node, 10) >= 25;
  if (scoped && permission?.has('net') === false) return 'no permission to use the network';
  return undefined;
}

/**
 * Finds the symbols by value, on a socket that no other library has seen. Their names may change.
 *
 * @throws Error when one is missing.
 */
function findKeys(): Keys {
  const callback = (): boolean => true;
  const buffer = new Uint8Array(1);
  const socket = new Socket({ onread: { buffer, callback } } as object) as ReadingSocket;
  const keyOf = (value: unknown): symbol => {
    const key = Object.getOwnPropertySymbols(socket).find((key) => socket[key] === value);
    if (key === undefined) throw new Error('onread of net.Socket has changed');
    return key;
  };
  return { buffer: keyOf(buffer), callback: keyOf(callback) };
}

/**
 * The handles of sockets hold the bare address, so this memory is never freed or transferred. In the
 * SIMD memory, messages are unmasked while they move out of it.
 */
function createBuffer(): Uint8Array {
  const inSimd = simdReadBuffer();
  if (inSimd !== undefined) return inSimd;
  const bytes = new Uint8Array(SIZE);
  markAsUntransferable(bytes.buffer);
  return bytes;
}

/** Whether a socket may use the buffer: TCP or a pipe at the lowest level, with no other consumer. */
function canReadInto(socket: Socket, { buffer, callback }: Keys): socket is ReadingSocket {
  if (!(socket instanceof Socket) || socket.destroyed || socket.connecting) return false;
  const reading = socket as ReadingSocket;
  if (typeof reading._handle?.useUserBuffer !== 'function') return false;
  // Another user of `onread`, or a second copy of this package.
  if (reading[buffer] !== null && reading[callback] !== pushCopy) return false;
  if (socket.readableEncoding !== null) return false;
  if (socket.listenerCount('data') + socket.listenerCount('readable') > 0) return false;
  // The handle below TLS. TLS over a stream in JavaScript can deliver bytes at any time.
  let lowest = reading._handle;
  while (lowest._parent) lowest = lowest._parent;
  return ['TCP', 'Pipe'].includes(lowest.constructor.name);
}

function attach(socket: ReadingSocket, { buffer, callback }: Keys, sink: BufferSink): void {
  socket[SINK] = sink;
  // A handle that has a buffer keeps it.
  if (socket[buffer] === null) {
    socket[buffer] = shared;
    socket._handle!.useUserBuffer!(shared!);
  }
  socket[callback] = onRead;
  // Bytes that were unshifted or arrived in a pause are in the stream.
  socket.on('data', onStreamData);
}

/** Node calls it for each read, with the socket as `this`. */
const onRead: OnRead = function (end, buffer) {
  // TLS reads on for a while after `pause()`. What comes then follows the bytes in the stream. A
  // listener for 'readable' pauses the stream too.
  if (this.readableLength > 0 || this.isPaused() || hasOtherConsumer(this)) {
    return pushCopy.call(this, end, buffer);
  }
  lend(this, buffer, end);
  return true;
};

/** Whether another listener gets the bytes: beside ours, or in its place. */
function hasOtherConsumer(socket: ReadingSocket): boolean {
  return socket.listenerCount('data') !== 1 || socket.listenerCount('data', onStreamData) === 0;
}

function lend(socket: ReadingSocket, buffer: Uint8Array, end: number): void {
  if (borrower !== undefined) reportOverwritten(borrower);
  borrower = socket;
  try {
    socket[SINK]!.data(buffer, end);
  } finally {
    borrower = undefined;
  }
}

const pushCopy: OnRead = function (end, buffer) {
  if (borrower !== undefined) reportOverwritten(borrower);
  return this.push(Buffer.from(buffer.subarray(0, end)));
};

/** The bytes of this read have replaced those that `socket` was lent. */
function reportOverwritten(socket: ReadingSocket): void {
  borrower = undefined;
  socket[SINK]?.overwritten();
}

function onStreamData(this: ReadingSocket, chunk: Uint8Array): void {
  this[SINK]?.data(chunk, chunk.length);
}

/** Sent by the two ends of the self-test's connection. */
const TEXTS = ['one ', 'two '].map((text) => text.repeat(5000));

/**
 * A connection with both ends here: the bytes of each wait before its first read, and its end
 * follows. Every read must arrive in the shared buffer, for the right socket.
 *
 * The test creates three sockets. V8 takes the first six or so as the model for all later ones: if
 * no socket of a server is among them, each connection takes 96 bytes more.
 *
 * @throws Error when anything else happens, or nothing within {@link TEST_TIMEOUT}.
 */
async function selfTest(): Promise<Keys> {
  const found = findKeys();
  shared ??= createBuffer();
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  const ends: Socket[] = [];
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer for ${TEST_TIMEOUT} ms`)), TEST_TIMEOUT);
  });
  try {
    const received = await Promise.race([exchange(server, ends, found), timeout]);
    if (received.join() !== TEXTS.join()) throw new Error('other bytes arrived');
    return found;
  } finally {
    clearTimeout(timer);
    server.close();
    for (const socket of ends) socket.destroy();
  }
}

/** Opens a connection, sends a text from each end, and returns what arrives in the buffer. */
async function exchange(server: Server, ends: Socket[], found: Keys): Promise<string[]> {
  // `exclusive`: in a cluster another worker would get the connection.
  server.listen({ port: 0, host: '127.0.0.1', exclusive: true });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).pause();
  ends.push(client);
  await once(client, 'connect');
  ends.push(...(await accepted));
  await Promise.all(ends.map((socket, i) => once(socket.end(TEXTS[1 - i]!), 'finish')));
  return Promise.all(ends.map((socket) => readAll(socket, found)));
}

function readAll(socket: Socket, found: Keys): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    socket.on('error', reject).on('close', () => resolve(received));
    if (!canReadInto(socket, found)) return reject(new Error('a socket has no handle'));
    attach(socket, found, {
      data(buffer, end) {
        if (buffer !== shared) reject(new Error('bytes arrived elsewhere'));
        received += Buffer.from(buffer.subarray(0, end)).toString('latin1');
      },
      overwritten: () => reject(new Error('a read ran within another one')),
    });
    socket.resume();
  });
}
