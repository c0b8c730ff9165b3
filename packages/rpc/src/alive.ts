import type { ConnLike } from '@ws/conn';
import type { Answers } from './answers.ts';
import type { Carrier } from './carrier.ts';
import { isId, resultText, signalText } from './wire.ts';

/**
 * The request with which a page finds out that its connection is dead. A page has no pings. Any message
 * is an answer.
 */
const ALIVE = '$/alive';
/** The question of a page. No call of this end has such an id. */
export const QUESTION: string = JSON.stringify({ jsonrpc: '2.0', id: ALIVE, method: ALIVE });
/** The event that an end sends while it does not read, to a peer that has asked. */
const SIGN_OF_LIFE: string = signalText(ALIVE);
/** Interval of these events, in ms. */
const SIGN_MS = 2_000;

/** Shows the peer that this end lives. */
export class SignsOfLife {
  readonly #carrier: Carrier;
  readonly #answers: Answers;
  /** Whether the peer has asked. It may ask again while this end does not read. */
  #isAsked = false;

  constructor(carrier: Carrier, answers: Answers) {
    this.#carrier = carrier;
    this.#answers = answers;
  }

  /**
   * Answers a question of the peer, before all that waits.
   *
   * @returns Whether the message is one.
   */
  takes(id: unknown, method: unknown, source: ConnLike | undefined): boolean {
    if (method !== ALIVE || !isId(id)) return false;
    this.#isAsked = true;
    this.#answers.refuse(source, resultText(id, null));
    return true;
  }

  /** Sends events while this end does not read. */
  sendWhile(isPaused: () => boolean): void {
    if (!this.#isAsked) return;
    this.#carrier.platform.setTimer(SIGN_MS, () => {
      const carrier = this.#carrier;
      if (!isPaused() || carrier.connection?.state !== 'open') return;
      carrier.send(SIGN_OF_LIFE, () => {}).catch(() => {});
      this.sendWhile(isPaused);
    });
  }
}
