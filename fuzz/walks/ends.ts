import { on, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Transport, TransportSink } from '@ws/conn';
import type { Far, Walk } from './walk.ts';

/** Starts a walk over a transport in memory, which takes nothing while it is blocked. */
export function startInMemory(walk: Walk): void {
  const transport = new MemoryTransport(walk);
  walk.start(transport, {
    write: (bytes) => transport.arrive(bytes),
    end: () => transport.peerEnds(),
    break: () => transport.destroy(),
    block: () => transport.block(true),
    drain: () => transport.block(false),
  });
}

class MemoryTransport implements Transport {
  bufferedAmount = 0;
  readonly #walk: Walk;
  #sink: TransportSink | undefined;
  #blocked = false;
  #owesDrain = false;
  #ended = false;
  #peerEnded = false;
  #destroyed = false;

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    if (!this.#destroyed) this.#walk.arrived(chunk.slice());
    release?.();
    this.#owesDrain ||= this.#blocked;
    return !this.#blocked;
  }

  pause(): void {}

  resume(): void {}

  end(): void {
    if (this.#ended || this.#destroyed) return;
    this.#ended = true;
    this.#walk.saw('FIN');
    if (this.#peerEnded) this.destroy();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#walk.saw('destroyed');
    setImmediate(() => {
      this.#walk.active++;
      this.#sink!.close();
    });
  }

  arrive(bytes: Uint8Array): void {
    if (!this.#destroyed && !this.#peerEnded) this.#sink!.data(bytes.slice(), bytes.length);
  }

  peerEnds(): void {
    if (this.#destroyed || this.#peerEnded) return;
    this.#peerEnded = true;
    this.#sink!.end();
    if (this.#ended) this.destroy();
  }

  block(blocked: boolean): void {
    this.#blocked = blocked;
    if (blocked || !this.#owesDrain) return;
    this.#owesDrain = false;
    this.#sink!.drain();
  }
}

/** Pairs of sockets over the loopback interface. */
export class SocketPairs {
  readonly #server: Server = createServer({ allowHalfOpen: true });

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1', 1024);
    await once(this.#server, 'listening');
  }

  close(): void {
    this.#server.close();
  }

  /** Starts a walk over a new pair. */
  async start(walk: Walk): Promise<void> {
    const { port } = this.#server.address() as AddressInfo;
    const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const own = await this.#accepted(peer);
    for (const socket of [peer, own]) {
      socket.on('error', () => {});
      socket.on('close', () => walk.active++);
    }
    peer.on('data', (bytes) => walk.arrived(bytes));
    peer.on('end', () => walk.saw('FIN'));
    const far: Far = {
      write: (bytes) => void (peer.writable && peer.write(bytes)),
      end: () => void peer.end(),
      break: () => {
        peer.destroy();
        own.destroy();
      },
    };
    walk.start(walk.build.socketTransport(own), far);
  }

  /** The other end of `peer`. A program that dials the port of an ended server may come before it. */
  async #accepted(peer: Socket): Promise<Socket> {
    const connections = on(this.#server, 'connection') as AsyncIterable<[Socket]>;
    await once(peer, 'connect');
    for await (const [own] of connections) {
      if (own.remotePort === peer.localPort) return own;
      own.destroy();
    }
    throw new Error('the server has ended');
  }
}
