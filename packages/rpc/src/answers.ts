import type { BackpressureError, ConnLike } from '@ws/conn';
import { RESOLVED } from '@ws/conn/internal';
import type { Carrier } from './carrier.ts';
import { ErrorCode } from './rpc-error.ts';
import { errorText, type Id } from './wire.ts';

/** Characters of refusals that wait for a peer that does not read. */
const MAX_REFUSALS = 1024 * 1024;

/** Sends the answers to the requests of the other end. */
export class Answers {
  readonly #carrier: Carrier;
  readonly #left: () => void;
  /** Characters of refusals that wait for the peer to read. */
  #refusals = 0;
  /** A hub has dropped an answer that it had accepted. */
  readonly #dropped = (error: BackpressureError): void =>
    this.#carrier.reportRarely('unsent', () => error);

  /** @param left - Called when a refusal has waited and has left. */
  constructor(carrier: Carrier, left: () => void) {
    this.#carrier = carrier;
    this.#left = left;
  }

  /** Whether the peer sends requests that are refused, and does not read that. */
  get areUnread(): boolean {
    return this.#refusals >= MAX_REFUSALS;
  }

  /** Refuses a request at once. */
  refuse(connection: ConnLike | undefined, text: string): void {
    const sending = this.send(connection, text);
    if (sending === RESOLVED) return;
    this.#refusals += text.length;
    void sending.then(() => {
      this.#refusals -= text.length;
      this.#left();
    });
  }

  /**
   * Sends an answer, unless the connection has ended. The caller of `id` gets an error instead of an
   * answer for which the connection has no room. The promise never rejects.
   */
  send(connection: ConnLike | undefined, text: string, id?: Id): Promise<void> {
    const carrier = this.#carrier;
    // After a break the caller has its error, and the ids of the next connection are others.
    if (connection !== carrier.connection || connection?.state !== 'open') return RESOLVED;
    const sent = carrier.send(text, this.#dropped);
    if (sent === RESOLVED) return sent;
    return sent.catch(async (error: unknown) => {
      if (connection.state !== 'open') return;
      carrier.reportRarely('unsent', () => error);
      const later =
        id === undefined ? text : errorText(id, ErrorCode.InternalError, 'Internal error');
      // Its caller may have no timeout.
      await carrier.sendSurely(connection, later);
    });
  }
}
