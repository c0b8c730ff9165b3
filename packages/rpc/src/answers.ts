import type { ConnLike } from '@ws/conn';
import { RESOLVED } from '@ws/conn/internal';
import type { Carrier, Dropped } from './carrier.ts';
import { ErrorCode } from './rpc-error.ts';
import { errorText, type Id } from './wire.ts';

/** Bound of the refusals that the peer has not read, in characters. */
const MAX_REFUSALS = 1024 * 1024;

/** Sends the answers to the peer's requests. */
export class Answers {
  readonly #carrier: Carrier;
  readonly #onSent: () => void;
  /** Characters of the refusals, and of the answers dropped by a hub, that the peer has not read. */
  #refusals = 0;
  /** The peer must get the answer, because its call may have no timeout. */
  readonly #dropped: Dropped = (error, text) => {
    const carrier = this.#carrier;
    carrier.reportRarely('unsent', () => error);
    this.#countUntil(carrier.sendSurely(carrier.connection, text, this.#dropped), text);
  };

  /** @param onSent - Called when a refusal, or a dropped answer, that had to wait was sent. */
  constructor(carrier: Carrier, onSent: () => void) {
    this.#carrier = carrier;
    this.#onSent = onSent;
  }

  /** Whether these are at their bound, because the peer sends requests but does not read. */
  get isOverfull(): boolean {
    return this.#refusals >= MAX_REFUSALS;
  }

  /** Sends an answer without a handler: a refusal, or the answer to `$/alive`. Both count as refusals. */
  sendAtOnce(connection: ConnLike | undefined, text: string): void {
    const sending = this.send(connection, text);
    if (sending !== RESOLVED) this.#countUntil(sending, text);
  }

  /** @param sent - Never rejects. */
  #countUntil(sent: Promise<unknown>, text: string): void {
    this.#refusals += text.length;
    void sent.then(() => {
      this.#refusals -= text.length;
      this.#onSent();
    });
  }

  /**
   * Sends an answer, unless the connection has ended. If the connection refuses the answer, sends an
   * error for the request `id`; without `id`, sends the answer again. If a hub drops the answer later,
   * sends it again. Never rejects.
   */
  send(connection: ConnLike | undefined, text: string, id?: Id): Promise<void> {
    const carrier = this.#carrier;
    // On a new connection the ids mean other calls. The calls of the old connection were rejected.
    if (connection !== carrier.connection || connection?.state !== 'open') return RESOLVED;
    const sent = carrier.send(text, this.#dropped);
    if (sent === RESOLVED) return sent;
    return sent.catch(async (error: unknown) => {
      if (connection.state !== 'open') return;
      carrier.reportRarely('unsent', () => error);
      const substitute =
        id === undefined ? text : errorText(id, ErrorCode.InternalError, 'Internal error');
      await carrier.sendSurely(connection, substitute);
    });
  }
}
