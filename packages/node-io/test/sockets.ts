import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Transport, TransportSink } from '@ws/conn';
import { selfSigned } from '@ws/tests';

/** Two ends of one connection. `dispose` closes both. */
export interface Pair {
  readonly ours: net.Socket | Duplex;
  readonly peer: net.Socket | Duplex;
  /** The peer's TCP end, which can send a RST. */
  readonly peerTcp?: net.Socket;
  readonly dispose: () => Promise<void>;
}

export async function tcpPair(): Promise<Pair> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const { port } = server.address() as net.AddressInfo;
  const peer = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [[ours]] = (await Promise.all([accepted, once(peer, 'connect')])) as [
    [net.Socket],
    unknown,
  ];
  return { ours, peer, peerTcp: peer, dispose: () => endAll(server, ours, peer) };
}

export async function tlsPair(): Promise<Pair> {
  const server = tls.createServer(await selfSigned());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'secureConnection');
  const { port } = server.address() as net.AddressInfo;
  const peerTcp = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const peer = tls.connect({ socket: peerTcp, rejectUnauthorized: false });
  peer.allowHalfOpen = true;
  const [[ours]] = (await Promise.all([accepted, once(peer, 'secureConnect')])) as [
    [tls.TLSSocket],
    unknown,
  ];
  return { ours, peer, peerTcp, dispose: () => endAll(server, ours, peer) };
}

async function endAll(server: net.Server, ...sockets: net.Socket[]): Promise<void> {
  for (const socket of sockets) {
    socket.on('error', () => {});
    socket.destroy();
  }
  server.close();
  await once(server, 'close');
}

/**
 * One end of a stream in memory. It passes the written chunk itself to the other end, as Node's own
 * pair does.
 */
class HalfPipe extends Duplex {
  other!: HalfPipe;
  #taken: (() => void) | undefined;

  override _read(): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (chunk.length === 0) return process.nextTick(done);
    this.other.#taken = done;
    this.other.push(chunk);
  }

  override _final(done: () => void): void {
    this.other.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    setImmediate(() => this.other.destroy());
    done(error);
  }
}

/** Two Duplex streams joined in memory, as a tunnel or another library provides them. */
export function duplexPair(): Promise<Pair> {
  const ours = new HalfPipe();
  const peer = new HalfPipe();
  ours.other = peer;
  peer.other = ours;
  const dispose = async (): Promise<void> => {
    for (const stream of [ours, peer]) stream.on('error', () => {}).destroy();
    for (const stream of [ours, peer]) if (!stream.closed) await once(stream, 'close');
  };
  return Promise.resolve({ ours, peer, dispose });
}

/** A sink that records its calls, and lets a test wait for them. */
export class Recorder implements TransportSink {
  readonly calls: string[] = [];
  readonly chunks: Uint8Array[] = [];
  bytes = 0;
  error: Error | undefined;
  onData: ((chunk: Uint8Array) => void) | undefined;
  onDrain: (() => void) | undefined;
  #waiters: { until: () => boolean; resolve: () => void }[] = [];

  data(chunk: Uint8Array, end: number = chunk.length): void {
    const copy = Uint8Array.from(chunk.subarray(0, end));
    this.chunks.push(copy);
    this.bytes += end;
    this.#note('data');
    this.onData?.(copy);
  }

  drain(): void {
    this.#note('drain');
    this.onDrain?.();
  }

  end(): void {
    this.#note('end');
  }

  close(error?: Error): void {
    this.error = error;
    this.#note('close');
  }

  count(call: string): number {
    return this.calls.filter((c) => c === call).length;
  }

  /** Resolves when `call` has happened or `until` is true. */
  async seen(until: string | (() => boolean)): Promise<void> {
    const holds = typeof until === 'string' ? () => this.calls.includes(until) : until;
    if (holds()) return;
    await new Promise<void>((resolve) => this.#waiters.push({ until: holds, resolve }));
  }

  text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  #note(call: string): void {
    this.calls.push(call);
    for (const w of this.#waiters.filter((w) => w.until())) {
      w.resolve();
      this.#waiters.splice(this.#waiters.indexOf(w), 1);
    }
  }
}

/** Starts `transport` with a new {@link Recorder}. */
export function record(transport: Transport): Recorder {
  const sink = new Recorder();
  transport.start(sink);
  return sink;
}

/** All bytes that a socket reads until its end. Its writing side stays open. */
export async function readAll(socket: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(chunks);
}
