import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { listening } from './listening.ts';

/**
 * A way to a port of this machine that can be cut: its connections then break without a close frame,
 * and new ones break at once.
 */
export class Network {
  /** The port that leads to the other one. */
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(server: Server, port: number, target: number) {
    this.#server = server;
    this.port = port;
    server.on('connection', (socket) => this.#connect(socket, target));
  }

  static async to(port: number): Promise<Network> {
    const server = createServer();
    return new Network(server, await listening(server), port);
  }

  #connect(socket: Socket, port: number): void {
    if (this.#isCut) return void socket.destroy();
    const target = connect(port, '127.0.0.1');
    this.#join(socket, target);
    this.#join(target, socket);
  }

  #join(socket: Socket, other: Socket): void {
    this.#sockets.add(socket);
    socket.pipe(other);
    socket.on('error', () => other.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      other.destroy();
    });
  }

  /** Resolves when no connection is left. */
  async cut(): Promise<void> {
    this.#isCut = true;
    const closed = [...this.#sockets].map((socket) => once(socket, 'close'));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  mend(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    await this.cut();
    this.#server.close();
  }
}
