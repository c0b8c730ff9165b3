import type { Duplex } from 'node:stream';
import { TransportError } from '@ws/conn';
import { EarlyBytes } from './early-bytes.ts';
import { isHttpReading } from './responder/http-socket.ts';

/** Grace period in ms for refusing a client that has half-closed. */
const HALF_CLOSED_GRACE_MS = 250;

/** Events that a {@link ClientPresence} reports. */
export interface ClientPresenceEvents {
  /** The client has half-closed: it gets no connection, and may still read a refusal. */
  halfClosed(error: TransportError): void;
  /** The client has disconnected, or its grace period after the half-close is over. */
  disconnected(error: TransportError): void;
}

/** Watches the client of one handshake: its bytes, its FIN and the close of its socket. */
export class ClientPresence {
  /** Responses to earlier requests are pending: a half-close starts no grace period. */
  awaitsEarlierResponses = false;
  readonly #socket: Duplex;
  readonly #events: ClientPresenceEvents;
  readonly #early: EarlyBytes;
  #watching = false;
  #graceTimer: NodeJS.Timeout | undefined;
  #halfClosed: TransportError | undefined;

  /** @param head - Bytes that were read from the socket before. */
  constructor(socket: Duplex, head: Uint8Array, events: ClientPresenceEvents) {
    // Otherwise a TLS socket would end itself at the peer's FIN.
    socket.allowHalfOpen = true;
    this.#socket = socket;
    this.#events = events;
    this.#early = new EarlyBytes(socket, head);
  }

  /** The error of a client that has half-closed. */
  get halfClosed(): TransportError | undefined {
    return this.#halfClosed;
  }

  /**
   * Returns the bytes that the client has sent after its request so far, in order, and forgets
   * them.
   */
  takeEarlyBytes(): Uint8Array {
    return this.#early.take();
  }

  /** Starts to watch, once. */
  watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#socket.on('close', this.#onClose);
    this.#socket.on('end', this.#onEnd);
    if (!isHttpReading(this.#socket)) this.#early.startReading();
  }

  /** Removes every listener and timer of this watch. */
  stop(): void {
    this.#watching = false;
    clearTimeout(this.#graceTimer);
    this.#early.stopReading();
    this.#socket.off('close', this.#onClose);
    this.#socket.off('end', this.#onEnd);
  }

  readonly #onClose = (): void =>
    this.#events.disconnected(this.#halfClosed ?? disconnectError(this.#socket));

  readonly #onEnd = (): void => {
    const error = disconnectError(this.#socket);
    this.#halfClosed = error;
    this.#events.halfClosed(error);
    if (this.awaitsEarlierResponses) return;
    this.#graceTimer = setTimeout(() => this.#events.disconnected(error), HALF_CLOSED_GRACE_MS);
  };
}

/** @throws TransportError when the socket can no longer carry a connection. */
export function assertOpen(socket: Duplex): void {
  if (!socket.writable || socket.readableEnded) throw disconnectError(socket);
}

/** The error for a client that has disconnected. */
export function disconnectError(socket: Duplex): TransportError {
  return new TransportError('the client closed the connection before the end of the handshake', {
    cause: socket.errored ?? undefined,
  });
}
