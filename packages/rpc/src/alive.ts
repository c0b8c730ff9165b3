import type { ConnLike } from '@ws/conn';
import { internalsOf, schedulerOf, type TimerEntry } from '@ws/conn/internal';
import type { Carrier, ReconnectingConnLike } from './carrier.ts';
import { signalText } from './wire.ts';

/** The method and the id of {@link QUESTION}; the name of the event {@link SIGN_OF_LIFE}. */
export const ALIVE = '$/alive';
/**
 * The request with which a page checks its connection: a page cannot send pings. Any message from
 * the peer shows that the connection lives. No call has this id, because calls have numbers.
 */
const QUESTION: string = JSON.stringify({ jsonrpc: '2.0', id: ALIVE, method: ALIVE });
/** The event that a page gets while its messages wait, and so its question too. */
const SIGN_OF_LIFE: string = signalText(ALIVE);
/** Interval of {@link SIGN_OF_LIFE}, in ms. */
const SIGN_MS = 1_900;

/** Shows a page at the other end that this end lives. */
export class SignsOfLife implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly #carrier: Carrier;
  readonly #isPaused: () => boolean;
  /** Set for each message. Later messages may wait for a pause, a rate or slow code. */
  hasTaken = false;
  /** Whether reading has paused since the timer was set. */
  #hasPaused = false;

  /** @param isPaused - Returns whether the link has paused reading. */
  constructor(carrier: Carrier, isPaused: () => boolean) {
    this.#carrier = carrier;
    this.#isPaused = isPaused;
  }

  /** Called when the link pauses reading, perhaps only until the next handler settles. */
  paused(): void {
    this.#hasPaused = true;
  }

  /** Called for a message while no timer is set. */
  setTimer(): void {
    schedulerOf(this.#carrier.platform).timers.set(this, SIGN_MS);
  }

  /** Called by the timer. */
  fire(): void {
    const { connection } = this.#carrier;
    if (connection?.state !== 'open') return;
    const waits =
      this.#hasPaused || this.#isPaused() || internalsOf(connection).inputWaits === true;
    if (waits) this.#send();
    if (waits || this.hasTaken) this.setTimer();
    this.hasTaken = false;
    this.#hasPaused = false;
  }

  /** While messages wait for the peer, these show that this end lives. */
  #send(): void {
    const carrier = this.#carrier;
    if (carrier.untilWritable() !== undefined) return;
    carrier.send(SIGN_OF_LIFE, () => {})?.catch(() => {});
  }
}

/** The questions of a page to its server: how the connection in use answers them. */
export class Questions {
  readonly #ask: ((conn: ConnLike) => void) | undefined;
  /** The connection that has got a request of this end. */
  #conn: ConnLike | undefined;
  /** Whether the server has answered a question with a result: it answers beside running handlers. */
  #areAnsweredAtOnce = false;
  /** Number of requests that this end has given up, and that the server may be handling. */
  #givenUp = 0;

  /** @param isOpen - Returns whether a request of this end waits for its answer. */
  constructor(live: ReconnectingConnLike, isOpen: () => boolean) {
    this.#ask = live['@ws/alive']?.(
      QUESTION,
      (conn) => conn === this.#conn && !this.#areAnsweredAtOnce && (isOpen() || this.#givenUp > 0),
    );
  }

  /** Called before a request is sent. Asks first, so that a later question need not wait. */
  requestLeaves(conn: ConnLike): void {
    if (conn === this.#conn) return;
    this.#conn = conn;
    this.#areAnsweredAtOnce = false;
    this.#givenUp = 0;
    this.#ask?.(conn);
  }

  /** Called when this end has given up a request that was sent on `conn`. */
  gaveUp(conn: ConnLike): void {
    if (conn === this.#conn) this.#givenUp++;
  }

  /** Called for an answer on `conn` for which no call waits. */
  answered(conn: ConnLike | undefined, id: unknown, result: unknown): void {
    if (conn !== this.#conn) return;
    if (id === ALIVE) this.#areAnsweredAtOnce ||= result !== undefined;
    else if (this.#givenUp > 0) this.#givenUp--;
  }
}
