import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A client that knows only bytes, for what no well-behaved client sends. */
export class RawSocket {
  /** For `setNoDelay`, `pause` and the like. */
  readonly socket: Socket;
  /** Resolves when the connection is over, whoever ended it and however. */
  readonly closed: Promise<void>;
  /** The socket's error, a reset for example. */
  error: Error | undefined;
  /** The peer sent a FIN. */
  ended = false;
  readonly #chunks: Buffer[] = [];
  readonly #waiting = new Set<() => void>();
  #over = false;

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#over = true;
        resolve();
        this.#wake();
      });
    });
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#wake();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#wake();
    });
  }

  /** All bytes received so far. */
  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Sends bytes, or a string's characters as bytes; resolves when the kernel has them, or the connection is over. */
  async send(data: Uint8Array | string): Promise<void> {
    if (this.#over) return;
    await new Promise<void>((resolve) => {
      this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data, () =>
        resolve(),
      );
    });
  }

  /**
   * Waits until `found` holds for all that was received, or that contains a text, and gives all of it.
   *
   * @throws Error when the peer ends before; it says what came instead.
   */
  async until(found: string | ((received: Buffer) => boolean)): Promise<Buffer> {
    const holds =
      typeof found === 'string' ? (all: Buffer) => all.includes(found, 0, 'latin1') : found;
    while (!holds(this.received)) {
      if (this.ended || this.#over) {
        throw new Error(`the peer ended after ${JSON.stringify(this.received.toString('latin1'))}`);
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
    return this.received;
  }

  /** Waits for the peer's FIN or the end of the connection, and gives all that was received. */
  async untilEnd(): Promise<Buffer> {
    while (!this.ended && !this.#over) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
    return this.received;
  }

  /** Sends a FIN; the other half stays open. */
  end(): void {
    this.socket.end();
  }

  /** Sends a RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Drops the connection. */
  destroy(): void {
    this.socket.destroy();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}

/** Connects to a port of 127.0.0.1. A FIN of the peer leaves our half open. */
export async function rawSocket(port: number): Promise<RawSocket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  await once(socket, 'connect');
  return new RawSocket(socket);
}
