// One end of a long message, in its own process. See `StreamAnswers`.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Dialer } from '@ws/node-client';
import { BinaryMessage, type Conn, serve } from '@ws/node-server';
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws';
import { answer } from '../harness/child.ts';
import { makePayloads } from '../load/echo-corpus.ts';
import { isWs } from './contenders.ts';
import { listening } from './echo-servers.ts';
import { maskOfWs } from './masks.ts';
import { readIntoOneBuffer } from './one-buffer.ts';

const CHUNK = 64 * 1024;
const RING = 1024 * 1024;
/** Interval of memory samples, in ms. */
const SAMPLE_INTERVAL_MS = 20;

/**
 * The writers: ours in frames of the default size and of 64 KiB, `ws` by its stream, and plain TCP.
 */
export type StreamName = 'ours' | 'ours, 64 KiB frames' | 'ws' | 'ws, native mask' | 'raw1';

interface ListenRequest {
  readonly name: StreamName;
  readonly bytes: number;
}

interface WriteRequest extends ListenRequest {
  readonly port: number;
}

/** The CPU and memory of one end. */
export interface ResourceUse {
  /** Microseconds, all threads of the process together. */
  readonly cpu: number;
  /** Largest growth of resident memory, in bytes. */
  readonly growth: number;
}

/** The requests that the process answers. */
export type StreamAnswers = {
  /** Waits for one message of `bytes` bytes. Returns the port. */
  listen: (request: ListenRequest) => Promise<number>;
  /** Resolves when the whole message has arrived and every byte is verified. */
  read: (nothing?: undefined) => Promise<ResourceUse>;
  /** Writes the message. */
  write: (request: WriteRequest) => Promise<ResourceUse>;
  mask: (nothing?: undefined) => string;
};

/** The bytes of the stream, repeated. */
const [ring] = makePayloads({ content: 'binary', sizes: [RING], count: 1 }) as [Buffer];

/** Counts and compares the received bytes. */
class Verifier {
  readonly #bytes: number;
  #at = 0;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  readonly done = new Promise<void>((resolve, reject) => {
    this.#resolve = resolve;
    this.#reject = reject;
  });

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  take(chunk: Buffer): void {
    let from = 0;
    while (from < chunk.length) {
      const at = this.#at % RING;
      const length = Math.min(chunk.length - from, RING - at);
      if (chunk.compare(ring, at, at + length, from, from + length) !== 0) {
        this.#reject(new Error(`the stream differs after ${this.#at} bytes`));
        return;
      }
      from += length;
      this.#at += length;
    }
    if (this.#at === this.#bytes) this.#resolve();
    else if (this.#at > this.#bytes)
      this.#reject(new Error(`received more than ${this.#bytes} bytes`));
  }
}

let reading: (() => Promise<ResourceUse>) | undefined;

async function listen({ name, bytes }: ListenRequest): Promise<number> {
  const verifier = new Verifier(bytes);
  const port = await (name === 'raw1'
    ? listenRaw(verifier)
    : isWs(name)
      ? listenWs(verifier)
      : listenOurs(verifier));
  // Samples from here on, so that the memory of the connection counts.
  const measured = measure(() => verifier.done);
  measured.catch(() => {});
  reading = () => measured;
  return port;
}

function read(): Promise<ResourceUse> {
  if (reading === undefined) throw new Error('listen before read');
  return reading();
}

async function listenOurs(verifier: Verifier): Promise<number> {
  const { url } = await serve({ host: '127.0.0.1', readLimit: false }, (conn) =>
    readOurs(conn, verifier),
  );
  return Number(new URL(url).port);
}

async function readOurs(conn: Conn, verifier: Verifier): Promise<void> {
  const reader = await conn.nextReader();
  const into = Buffer.allocUnsafeSlow(CHUNK);
  for (let n = await reader.read(into); n > 0; n = await reader.read(into)) {
    verifier.take(into.subarray(0, n));
  }
}

function listenWs(verifier: Verifier): Promise<number> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  server.on('connection', (socket) => {
    createWebSocketStream(socket)
      .on('data', (chunk: Buffer) => verifier.take(chunk))
      .on('error', () => {});
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => resolve((server.address() as AddressInfo).port));
  });
}

function listenRaw(verifier: Verifier): Promise<number> {
  return listening(
    createServer((socket) => {
      socket.on('error', () => {});
      readIntoOneBuffer(socket, (chunk) => verifier.take(chunk));
    }),
  );
}

function write({ name, port, bytes }: WriteRequest): Promise<ResourceUse> {
  return measure(() => {
    if (name === 'raw1') return writeStream(connect(port, '127.0.0.1'), bytes);
    return isWs(name) ? writeWs(port, bytes) : writeOurs(name, port, bytes);
  });
}

async function writeOurs(name: StreamName, port: number, bytes: number): Promise<void> {
  const dialer = new Dialer(name === 'ours' ? {} : { writeBufferSize: CHUNK });
  const conn = await dialer.dial(`ws://127.0.0.1:${port}`);
  const writer = await conn.nextWriter(BinaryMessage);
  for (let at = 0; at < bytes; at += CHUNK) await writer.write(chunkAt(at, bytes));
  await writer.close();
}

function writeWs(port: number, bytes: number): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
  return writeStream(createWebSocketStream(socket), bytes);
}

async function writeStream(
  stream: Socket | ReturnType<typeof createWebSocketStream>,
  bytes: number,
): Promise<void> {
  for (let at = 0; at < bytes; at += CHUNK) {
    if (!stream.write(chunkAt(at, bytes))) await once(stream, 'drain');
  }
}

function chunkAt(at: number, bytes: number): Buffer {
  const start = at % RING;
  return ring.subarray(start, start + Math.min(CHUNK, bytes - at));
}

async function measure(work: () => Promise<void>): Promise<ResourceUse> {
  const cpu = process.cpuUsage();
  const rss = process.memoryUsage.rss();
  let most = rss;
  const look = (): void => {
    most = Math.max(most, process.memoryUsage.rss());
  };
  const timer = setInterval(look, SAMPLE_INTERVAL_MS);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  look();
  const { user, system } = process.cpuUsage(cpu);
  return { cpu: user + system, growth: most - rss };
}

answer({ listen, read, write, mask: maskOfWs } satisfies StreamAnswers);
