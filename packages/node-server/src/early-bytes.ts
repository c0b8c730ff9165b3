import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { GatheredBytes } from './gathered-bytes.ts';

/** Bytes kept for one client. RFC 6455, section 4.1, allows it to send none before the answer. */
const MAX_EARLY_BYTES = 64 * 1024;
/** Milliseconds between probes of a paused socket. */
const PROBE_MS = 100;

/**
 * Keeps the bytes that a client sends before it has its answer. Reading them makes the client's end
 * visible: a FIN arrives after all bytes that were sent before it.
 */
export class EarlyBytes {
  readonly #socket: Duplex;
  readonly #bytes: GatheredBytes;
  #reading = false;
  #probeTimer: NodeJS.Timeout | undefined;

  /** @param head - Bytes that were read from the socket before. */
  constructor(socket: Duplex, head: Uint8Array) {
    this.#socket = socket;
    this.#bytes = new GatheredBytes(head);
  }

  /** Reads the socket until {@link stopReading}. */
  startReading(): void {
    this.#reading = true;
    this.#socket.on('data', this.#onData).resume();
  }

  stopReading(): void {
    clearInterval(this.#probeTimer);
    if (!this.#reading) return;
    this.#reading = false;
    this.#socket.off('data', this.#onData).pause();
  }

  /** Returns all bytes in order, and forgets them. */
  take(): Uint8Array {
    return this.#bytes.take();
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#bytes.append(chunk);
    if (this.#bytes.length < MAX_EARLY_BYTES) return;
    this.#socket.pause();
    // A paused socket emits no 'end', but an empty write fails after a reset. Over TLS it does not:
    // there only the handshake's timeout ends the wait.
    if (this.#socket instanceof Socket) {
      this.#probeTimer ??= setInterval(this.#probeSocket, PROBE_MS);
    }
  };

  readonly #probeSocket = (): void => {
    if (this.#socket.writable) this.#socket.write('');
  };
}
