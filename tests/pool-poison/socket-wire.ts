import { once } from 'node:events';
import net from 'node:net';
import type { Transport } from '@ws/conn';
import { socketTransport } from '@ws/node-io';
import type { Wire } from './memory-wire.ts';

/** A socket with the test at its other end. */
class SocketWire implements Wire {
  readonly transport: Transport;
  onBytes: (chunk: Uint8Array) => void = () => {};
  readonly #far: net.Socket;

  constructor(near: net.Socket, far: net.Socket) {
    this.transport = socketTransport(near);
    this.#far = far;
    far.on('data', (chunk: Buffer) => this.onBytes(chunk));
    far.on('end', () => far.end());
    far.on('error', () => {});
  }

  get holds(): boolean {
    return this.#far.isPaused();
  }

  set holds(on: boolean) {
    if (on) this.#far.pause();
    else this.#far.resume();
  }

  /** The kernel sends by itself. */
  leave(): void {}

  feed(chunk: Uint8Array): void {
    if (this.#far.writable) this.#far.write(chunk);
  }

  destroy(): void {
    this.#far.resetAndDestroy();
  }
}

/** Loopback sockets of one server. */
export async function socketWires(): Promise<{
  readonly wire: () => Promise<Wire>;
  readonly close: () => Promise<void>;
}> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const all: net.Socket[] = [];
  return {
    async wire() {
      const accepted = once(server, 'connection');
      const far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      const [[near]] = (await Promise.all([accepted, once(far, 'connect')])) as [
        [net.Socket],
        unknown,
      ];
      all.push(near, far);
      return new SocketWire(near, far);
    },
    async close() {
      for (const socket of all) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
