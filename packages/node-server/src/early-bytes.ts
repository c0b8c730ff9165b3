import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What is kept of one client, in bytes; RFC 6455, section 4.1, lets it send nothing yet. */
const MOST = 64 * 1024;
/** How often a socket that is read no more is probed, in ms. */
const PROBE_MS = 100;

/**
 * What a client sends before it has its answer. As long as it is read, an end of the client shows, its FIN too, which
 * stands behind all that it has sent.
 */
export class EarlyBytes {
  readonly #socket: Duplex;
  #chunks: Uint8Array[];
  #length = 0;
  #reading = false;
  #probe: NodeJS.Timeout | undefined;

  /** @param head - What was read of the socket before. */
  constructor(socket: Duplex, head: Uint8Array) {
    this.#socket = socket;
    this.#chunks = head.length > 0 ? [head] : [];
    this.#length = head.length;
  }

  /** Reads the socket until {@link release}. */
  read(): void {
    this.#reading = true;
    this.#socket.on('data', this.#keep).resume();
  }

  release(): void {
    clearInterval(this.#probe);
    if (!this.#reading) return;
    this.#reading = false;
    this.#socket.off('data', this.#keep).pause();
  }

  /** All of it, in order. */
  take(): Uint8Array {
    const chunks = this.#chunks;
    this.#chunks = [];
    return Buffer.concat(chunks);
  }

  readonly #keep = (chunk: Uint8Array): void => {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < MOST) return;
    this.#socket.pause();
    // A paused socket sees nothing, but a write of nothing fails on one that was reset; not over TLS, where the
    // handshake's timeout is all there is.
    if (this.#socket instanceof Socket) this.#probe ??= setInterval(this.#touch, PROBE_MS);
  };

  readonly #touch = (): void => {
    if (this.#socket.writable) this.#socket.write('');
  };
}
