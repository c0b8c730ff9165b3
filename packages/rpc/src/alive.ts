import type { ConnLike } from '@ws/conn';
import type { Answers } from './answers.ts';
import type { Carrier } from './carrier.ts';
import { isId, resultText, signalText } from './wire.ts';

/**
 * The request with which a page finds out that its connection is dead, because a page cannot send
 * pings. Any message shows that the connection lives.
 */
const ALIVE = '$/alive';
/** The request of a page. No call has this id: calls have numbers. */
export const QUESTION: string = JSON.stringify({ jsonrpc: '2.0', id: ALIVE, method: ALIVE });
/** The event that an end sends to such a page while reading is paused. */
const SIGN_OF_LIFE: string = signalText(ALIVE);
/** Interval of this event, in ms. */
const SIGN_MS = 2_000;

/** Shows a page at the other end that this end lives. */
export class SignsOfLife {
  readonly #carrier: Carrier;
  readonly #answers: Answers;
  /** Whether the peer has asked. It may ask again during a pause, when this end reads no question. */
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
  takes(id: unknown, method: unknown, connection: ConnLike | undefined): boolean {
    if (method !== ALIVE || !isId(id)) return false;
    this.#hasAsked = true;
    this.#answers.refuse(connection, resultText(id, null));
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
