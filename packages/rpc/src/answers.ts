import { BackpressureError, type ConnLike } from '@ws/conn';
import { RESOLVED } from '@ws/conn/internal';
import { ACCEPTED, type Carrier, type Dropped } from './carrier.ts';
import { ErrorCode } from './rpc-error.ts';
import { errorText, type Id } from './wire.ts';

/** Bounds of the answers that wait to be written while a handler may start: number and characters. */
const MAX_WAITING = 64;
const MAX_WAITING_SIZE = 1024 * 1024;
/** Bound of the replies that wait to be written, in characters. */
const MAX_REPLIES = 1024 * 1024;

/** Sends the answers to the peer's requests. */
export class Answers {
  readonly #carrier: Carrier;
  readonly #onWritten: () => void;
  /** Number of the answers that wait to be written, and their characters. */
  #waiting = 0;
  #size = 0;
  /** Characters of the replies that wait to be written. */
  #replies = 0;
  /** The peer must get the answer, because its call may have no timeout. */
  readonly #dropped: Dropped = (error, text) => {
    const carrier = this.#carrier;
    carrier.reportRarely('unsent', () => error);
    this.#countUntil(carrier.sendSurely(carrier.connection, text, this.#dropped), text);
  };

  /** @param onWritten - Called when an answer that had to wait was written. */
  constructor(carrier: Carrier, onWritten: () => void) {
    this.#carrier = carrier;
    this.#onWritten = onWritten;
  }

  /** Whether so many answers wait for the peer that no further handler may start. */
  get isBehind(): boolean {
    return this.#waiting > MAX_WAITING || this.#size > MAX_WAITING_SIZE;
  }

  /**
   * Sends a reply: an answer without a handler, for example a refusal. A peer that makes this end
   * reply, but does not read, loses its connection.
   */
  reply(connection: ConnLike | undefined, text: string): void {
    const written = this.#send(connection, text);
    if (written === undefined) return;
    this.#replies += text.length;
    void written.then(() => (this.#replies -= text.length));
    if (this.#replies <= MAX_REPLIES) return;
    const what = `${this.#replies} characters of refusals wait, and the peer does not read them`;
    const carrier = this.#carrier;
    carrier.reportRarely(
      'overload',
      () => new BackpressureError(`the connection ends with 1013: ${what}`),
    );
    carrier.overloaded();
  }

  /**
   * Sends the answer of a handler, unless the connection has ended. If the connection refuses the
   * answer, sends an error for the request `id`. If a hub drops the answer later, sends it again.
   */
  send(connection: ConnLike | undefined, text: string, id: Id): void {
    const written = this.#send(connection, text, id);
    if (written !== undefined) this.#countUntil(written, text);
  }

  /** @param written - Never rejects. */
  #countUntil(written: Promise<unknown>, text: string): void {
    this.#waiting++;
    this.#size += text.length;
    void written.then(() => {
      this.#waiting--;
      this.#size -= text.length;
      this.#onWritten();
    });
  }

  /** @returns Undefined if no message waits after this one; else a promise that never rejects. */
  #send(connection: ConnLike | undefined, text: string, id?: Id): Promise<unknown> | undefined {
    const carrier = this.#carrier;
    // On a new connection the ids mean other calls. The calls of the old connection were rejected.
    if (connection !== carrier.connection || connection?.state !== 'open') return undefined;
    const sent = carrier.send(text, this.#dropped);
    if (sent === RESOLVED) return undefined;
    if (sent === ACCEPTED) return carrier.untilWritable(connection)?.catch(() => {});
    return sent.catch((error: unknown) => {
      if (connection.state !== 'open') return undefined;
      carrier.reportRarely('unsent', () => error);
      const substitute =
        id === undefined ? text : errorText(id, ErrorCode.InternalError, 'Internal error');
      return carrier.sendSurely(connection, substitute);
    });
  }
}
