import { BackplaneError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { HistoryAnswer } from './backplane.ts';
import type { BackplaneLink } from './backplane-link.ts';
import type { Arrival } from './envelope.ts';
import { withTimeout } from './with-timeout.ts';

/** Longest time without an answer of the engine to a read, in ms. */
const ANSWER_MS = 5_000;
const MOST_WAITS = 12;

/** A part of a history. */
export interface Found {
  readonly arrivals: readonly Arrival[];
  /** No message after the position is missing; without a position, no message at all. */
  readonly complete: boolean;
  /** Of the history that the engine has now. */
  readonly epoch?: string;
  /** Offset of its end. */
  readonly last?: number | undefined;
}

/** A part of a history that the engine returns at once. */
export interface Part extends Found {
  readonly epoch: string;
  /** No message is missing before the first one. */
  readonly follows: boolean;
  /** Later messages of the read follow. */
  readonly more: boolean;
}

/** The histories that the engine keeps, with the records of losses. */
export class EngineHistories {
  readonly #link: BackplaneLink;
  /** Number of reads that the engine has answered. */
  #answers = 0;

  constructor(link: BackplaneLink) {
    this.#link = link;
  }

  /** Reads all parts of the first `limit` messages after `since`, or of the last ones without it. */
  async read(channel: string, since: Position | undefined, limit: number): Promise<Found> {
    let part = await this.readPart(channel, since, limit);
    const { epoch, last } = part;
    const arrivals = [...part.arrivals];
    let isWhole = part.follows;
    while (part.more) {
      const read = arrivals.at(-1)!.position!;
      part = await this.readPart(channel, read, limit - arrivals.length);
      if (part.epoch !== epoch) return { arrivals, complete: false, epoch, last };
      isWhole &&= part.follows;
      arrivals.push(...part.arrivals);
    }
    return { arrivals, complete: isWhole && part.complete, epoch, last };
  }

  /** Reads the messages that the engine returns at once. */
  async readPart(channel: string, since: Position | undefined, limit: number): Promise<Part> {
    const found = await this.#whileAnswers(this.#ask(channel, since, limit));
    const { epoch, complete, messages, last } = found;
    const next = since === undefined ? 1 : since.epoch === epoch ? since.offset + 1 : undefined;
    const follows = found.follows ?? (complete || messages[0]?.offset === next);
    const arrivals: Arrival[] = [];
    let previous = follows ? since?.offset : undefined;
    for (const { offset, bytes } of messages) {
      arrivals.push({ envelope: this.#link.decode(bytes), position: { epoch, offset }, previous });
      previous = offset;
    }
    const more = found.more === true && messages.length > 0 && messages.length < limit;
    return { arrivals, epoch, last, follows, complete: complete && !more, more };
  }

  async #ask(channel: string, since: Position | undefined, limit: number): Promise<HistoryAnswer> {
    try {
      const { backplane } = this.#link;
      return await backplane.history!(channel, since, limit, this.#link.keepOf(channel));
    } catch (cause) {
      throw new BackplaneError('the backplane refused a read of the history', { cause });
    }
  }

  /**
   * Settles as a read does, or rejects when the engine has answered no read for {@link ANSWER_MS}, and
   * in any case after {@link MOST_WAITS} times as long.
   */
  async #whileAnswers<T>(read: Promise<T>): Promise<T> {
    for (let waits = 1; ; waits++) {
      const answers = this.#answers;
      try {
        const found = await withTimeout(this.#link.platform, ANSWER_MS, read);
        this.#answers++;
        return found;
      } catch (error) {
        if (answers === this.#answers || waits === MOST_WAITS) throw error;
      }
    }
  }
}
