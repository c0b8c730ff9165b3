import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Bytes kept for one client. RFC 6455, section 4.1, allows it to send none before the answer. */
export const MAX_EARLY_BYTES: number = 64 * 1024;
/** Milliseconds between probes of a paused socket. */
const PROBE_MS = 100;

/**
 * Keeps the bytes that a client sends before it has its answer. Reading them makes the client's end
 * visible: a FIN arrives after all bytes that were sent before it.
 */
export class EarlyBytes {
  readonly #socket: Duplex;
  readonly #bytes: GatheredBytes;
  readonly #onFull: () => boolean;
  #reading = false;
  #probeTimer: NodeJS.Timeout | undefined;

  /**
   * @param head - Bytes that were read from the socket before.
   * @param onFull - Called when the client has sent more than is kept. Returns whether to drop more
   *   bytes; otherwise the socket is paused.
   */
  constructor(socket: Duplex, head: Uint8Array, onFull: () => boolean) {
    this.#socket = socket;
    this.#bytes = new GatheredBytes(head);
    this.#onFull = onFull;
  }

  /** Whether the client has sent more than is kept. */
  get isFull(): boolean {
    return this.#bytes.length > MAX_EARLY_BYTES;
  }

  /** Reads the socket until {@link stopReading}. */
  startReading(): void {
    this.#reading = true;
    this.#socket.on('data', this.#onData).resume();
  }

  stopReading(): void {
    clearInterval(this.#probeTimer);
    this.#probeTimer = undefined;
    if (!this.#reading) return;
    this.#reading = false;
    this.#socket.off('data', this.#onData).pause();
  }

  /** Returns all bytes in order, and forgets them. */
  take(): Uint8Array {
    return this.#bytes.take();
  }

  readonly #onData = (chunk: Uint8Array): void => {
    if (this.isFull && this.#onFull()) return;
    this.#bytes.append(chunk);
    if (!this.isFull || this.#onFull()) return;
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

/** Bytes of several chunks as one. Chunks of a byte would cost 200 bytes each. */
export class GatheredBytes {
  /** Its first `length` bytes are gathered. */
  #bytes: Uint8Array;
  #length: number;
  /** Whether this object may write to `#bytes`. */
  #isOwned = false;

  /** @param first - Referenced, not changed. */
  constructor(first: Uint8Array) {
    this.#bytes = first;
    this.#length = first.length;
  }

  get length(): number {
    return this.#length;
  }

  /** Adds a chunk. The first one is referenced. */
  append(chunk: Uint8Array): void {
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

  /** Returns all bytes in order, and forgets them. The caller owns the memory. */
  take(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#length);
    const taken = this.#isOwned ? bytes : new Uint8Array(bytes);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    this.#isOwned = false;
    return taken;
  }

  /** Doubles, so that `needed` bytes take at most twice their size. */
  #grow(needed: number): void {
    // A message may be a view of it, so no other memory may be behind that view.
    const bytes = Buffer.alloc(Math.max(needed, 2 * this.#length));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#isOwned = true;
  }
}
