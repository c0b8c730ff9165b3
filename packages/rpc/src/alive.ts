import type { ConnLike } from '@ws/conn';
import type { Answers } from './answers.ts';
import type { Carrier } from './carrier.ts';
import { isId, resultText, signalText } from './wire.ts';

/** The method and the id of {@link QUESTION}; the name of the event {@link SIGN_OF_LIFE}. */
const ALIVE = '$/alive';
/**
 * The request with which a page checks its connection: a page cannot send pings. Any message from
 * the peer shows that the connection lives. No call has this id, because calls have numbers.
 */
export const QUESTION: string = JSON.stringify({ jsonrpc: '2.0', id: ALIVE, method: ALIVE });
/** The event that a page gets while this end has paused reading, and so answers no question. */
const SIGN_OF_LIFE: string = signalText(ALIVE);
/** Interval of {@link SIGN_OF_LIFE}, in ms. */
const SIGN_MS = 2_000;

/** Shows a page at the other end that this end lives. */
export class SignsOfLife {
  readonly #carrier: Carrier;
  readonly #answers: Answers;
  /** Whether the peer has sent a question, so that it is a page that checks its connection. */
  #hasAsked = false;

  constructor(carrier: Carrier, answers: Answers) {
    this.#carrier = carrier;
    this.#answers = answers;
  }

  /**
   * Answers a question of the peer, before the answers to earlier requests.
   *
   * @returns Whether the message is such a question.
   */
  answer(id: unknown, method: unknown, connection: ConnLike | undefined): boolean {
    if (method !== ALIVE || !isId(id)) return false;
    this.#hasAsked = true;
    this.#answers.sendAtOnce(connection, resultText(id, null));
    return true;
  }

  /** Sends {@link SIGN_OF_LIFE} while reading is paused. */
  sendWhile(isPaused: () => boolean): void {
    if (!this.#hasAsked) return;
    this.#carrier.platform.setTimer(SIGN_MS, () => {
      const carrier = this.#carrier;
      if (!isPaused() || carrier.connection?.state !== 'open') return;
      carrier.send(SIGN_OF_LIFE, () => {}).catch(() => {});
      this.sendWhile(isPaused);
    });
  }
}
