import type { BackplaneLink } from './backplane-link.ts';
import { encodeEnvelope } from './envelope.ts';
import { withTimeout } from './with-timeout.ts';
import { encodeWord, type Word } from './words.ts';

/** Longest wait for the engine's answer, in ms. */
const ANSWER_MS = 5_000;
/** Bound of the words that the engine has not answered. */
const MAX_UNANSWERED = 10_000;
/** The envelope of a word: a digest of a node that starts to count at 0, which shows no loss. */
export const NO_COUNT = {
  counter: 0,
  previousMs: undefined,
  exact: false,
  key: undefined,
  message: undefined,
} as const;

/** Gives the words of this node to the engine. */
export class WordSender {
  readonly #link: BackplaneLink;
  #unanswered = 0;

  constructor(link: BackplaneLink) {
    this.#link = link;
  }

  /**
   * Sends a word to the other nodes, after the earlier words on the channel. Never rejects. Words of an
   * outage are lost. After it the nodes ask each other.
   *
   * @returns Resolves when the engine has the word: to false if it does not take it.
   */
  async say(channel: string, word: Word): Promise<boolean> {
    const { node, platform, backplane, state } = this.#link;
    if (state !== 'up' || this.#unanswered >= MAX_UNANSWERED) return false;
    this.#unanswered++;
    try {
      const bytes = encodeEnvelope({ ...NO_COUNT, node, word: encodeWord(word) });
      await withTimeout(platform, ANSWER_MS, backplane.publish(channel, bytes));
      return true;
    } catch (cause) {
      // A refused beat needs no report. The refusal of a message reports the same cause.
      const isLife = word.word === 'start' || word.word === 'beat' || word.word === 'end';
      if (!isLife && this.#link.state === 'up') this.#link.faults.wordRefused(cause);
      return false;
    } finally {
      this.#unanswered--;
    }
  }
}
