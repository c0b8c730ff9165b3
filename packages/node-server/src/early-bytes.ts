import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

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
  /** Its first `#length` bytes are the client's. Chunks of a byte would cost 200 bytes each. */
  #bytes: Uint8Array;
  #length: number;
  /** Whether this object may write to `#bytes`. */
  #isOwned = false;
  #reading = false;
  #probeTimer: NodeJS.Timeout | undefined;

  /** @param head - Bytes that were read from the socket before. */
  constructor(socket: Duplex, head: Uint8Array) {
    this.#socket = socket;
    this.#bytes = head;
    this.#length = head.length;
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
    const bytes = this.#bytes.subarray(0, this.#length);
    // The connection may change the bytes that it gets.
    const taken = this.#isOwned ? bytes : new Uint8Array(bytes);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    this.#isOwned = false;
    return taken;
  }

  #append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (this.#length === 0) {
      this.#bytes = chunk;
      this.#isOwned = false;
    } else {
      if (!this.#isOwned || length > this.#bytes.length) this.#grow(length);
      this.#bytes.set(chunk, this.#length);
    }
    this.#length = length;
  }

  /** Doubles, so that `needed` bytes take at most twice their size. */
  #grow(needed: number): void {
    // A message may be a view of it, so no other memory may be behind that view.
    const bytes = Buffer.alloc(Math.max(needed, 2 * this.#length));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#isOwned = true;
  }

  readonly #onData = (chunk: Uint8Array): void => {
    this.#append(chunk);
    if (this.#length < MAX_EARLY_BYTES) return;
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
