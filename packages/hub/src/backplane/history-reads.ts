import { Deferred, schedulerOf, TurnCallback } from '@ws/conn/internal';
import { BackplaneError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { HistoryAnswer } from './backplane.ts';
import type { BackplaneLink } from './backplane-link.ts';
import { channelOf } from './channel.ts';
import type { Arrival } from './envelope.ts';
import { Limit } from './limit.ts';
import { setAnswerTimer, silenceText } from './with-timeout.ts';

/** Most reads of the engine at a time. */
const MAX_READS = 32;
/** Longest time in which the engine answers no read, in ms. */
const ANSWER_MS = 5_000;
/** While the engine answers other reads, a read waits at most this many times {@link ANSWER_MS}. */
const MOST_WAITS = 12;

/** The result of a read. */
export interface Found {
  readonly arrivals: readonly Arrival[];
  /** Whether no message after `since` is missing; without `since`, no message of the history. */
  readonly complete: boolean;
  /** Epoch of the history that the engine has now. */
  readonly epoch?: string;
  /** Offset of the end of the history that the engine has now. */
  readonly last?: number | undefined;
}

/** One answer of the engine to a read. */
export interface Part extends Found {
  readonly epoch: string;
  /** Whether no message is missing between `since` and the first of `arrivals`. */
  readonly follows: boolean;
  /** Whether the engine has more messages for this read. */
  readonly more: boolean;
}

/** A read that waits for its answer. */
interface Read {
  readonly since: Position | undefined;
  readonly limit: number;
  readonly answer: Deferred<Found>;
}

/**
 * Reads the histories that the engine keeps, with the records of losses. Bounds the reads at a time,
 * because after an outage or a restart all clients ask at once. Waiting reads of one room become one
 * read of the engine, from the earliest of their positions.
 */
export class HistoryReads {
  readonly #link: BackplaneLink;
  readonly #limit = new Limit(MAX_READS);
  /** The reads that have not begun, by room and epoch. Reads of one key share an answer. */
  readonly #waiting = new Map<string, Read[]>();
  /** Number of reads that the engine has answered. */
  #answers = 0;

  constructor(link: BackplaneLink) {
    this.#link = link;
  }

  /**
   * Reads the first `limit` messages after `since`, or the last `limit` messages without it. If this
   * node is subscribed to the room, later messages arrive by the subscription.
   */
  read(room: string | undefined, since: Position | undefined, limit: number): Promise<Found> {
    const read = { since, limit, answer: new Deferred<Found>() };
    this.#add(room, read);
    return read.answer.promise;
  }

  /**
   * As {@link read}, but resolves to the first answer of the engine, which may lack later messages.
   *
   * @param begins - Called when the read begins, after its wait for the engine and for a place.
   */
  async readPart(
    room: string,
    since: Position | undefined,
    limit: number,
    begins: () => void,
  ): Promise<Part> {
    let part: Part | undefined;
    await this.#whenUp(async () => {
      if (this.#link.isAway) return false;
      begins();
      const channel = channelOf(room);
      await this.#link.untilReadable(channel);
      part = await this.readNow(channel, since, limit);
      return true;
    });
    return part!;
  }

  /**
   * Runs a read when the engine is up and the limit has a place. A read takes no place while it waits
   * for the engine, for at most 5 s in all.
   *
   * @param read - Resolves to false when the engine has gone away before the read began. The read then
   *   waits for the engine again.
   */
  async #whenUp(read: () => Promise<boolean>): Promise<void> {
    const { platform } = this.#link;
    const startedAt = platform.now();
    do {
      await this.#link.untilUp(platform.now() - startedAt);
    } while (!(await this.#limit.run(read)));
  }

  #add(room: string | undefined, read: Read): void {
    const key = JSON.stringify([room, read.since?.epoch]);
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) return void waiting.push(read);
    const reads = [read];
    this.#waiting.set(key, reads);
    void this.#run(key, room, reads);
  }

  async #run(key: string, room: string | undefined, reads: readonly Read[]): Promise<void> {
    try {
      await this.#whenUp(async () => {
        // Other reads of this turn are added to `reads` until the end of the turn.
        const { endOfTurn } = schedulerOf(this.#link.platform);
        await new Promise<void>((resolve) => endOfTurn.add(new TurnCallback(resolve)));
        if (this.#link.isAway) return false;
        this.#waiting.delete(key);
        await this.#answer(room, reads);
        return true;
      });
    } catch (error) {
      this.#waiting.delete(key);
      for (const { answer } of reads) answer.reject(error);
    }
  }

  async #answer(room: string | undefined, reads: readonly Read[]): Promise<void> {
    const earliest = reads.reduce((a, b) => (offsetOf(b) < offsetOf(a) ? b : a));
    const limit = Math.max(...reads.map((read) => read.limit));
    const channel = channelOf(room);
    await this.#link.untilReadable(channel);
    const found = await this.#readAll(channel, earliest.since, limit);
    // After the loss of a history, every read gets the first messages of the next history.
    const isLost = earliest.since !== undefined && found.epoch !== earliest.since.epoch;
    for (const read of reads) {
      const isFromStart = isLost || offsetOf(read) === offsetOf(earliest);
      const part = isFromStart ? limited(found, read) : laterPart(found, read);
      // A second read of the engine answers the reads for which `found` has too little.
      if (part === undefined) this.#add(room, read);
      else read.answer.resolve(part);
    }
  }

  /** Reads parts until all `limit` messages of the read are there. */
  async #readAll(channel: string, since: Position | undefined, limit: number): Promise<Found> {
    let part = await this.readNow(channel, since, limit);
    const { epoch, last } = part;
    const arrivals = [...part.arrivals];
    let isWhole = part.follows;
    while (part.more) {
      const lastRead = arrivals.at(-1)!.position!;
      part = await this.readNow(channel, lastRead, limit - arrivals.length);
      if (part.epoch !== epoch) return { arrivals, complete: false, epoch, last };
      isWhole &&= part.follows;
      arrivals.push(...part.arrivals);
    }
    return { arrivals, complete: isWhole && part.complete, epoch, last };
  }

  /** Reads one part from the engine, without a wait for a place. */
  async readNow(channel: string, since: Position | undefined, limit: number): Promise<Part> {
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
   * Settles as `read` does. Rejects when the engine has answered no read at all for
   * {@link ANSWER_MS}, and in any case after {@link MOST_WAITS} times {@link ANSWER_MS}.
   */
  async #whileAnswers<T>(read: Promise<T>): Promise<T> {
    const late = new Deferred<never>();
    let waits = 0;
    let cancel!: () => void;
    const wait = (): void => {
      const answers = this.#answers;
      cancel = setAnswerTimer(this.#link.platform, ANSWER_MS, () => {
        if (answers !== this.#answers && ++waits < MOST_WAITS) wait();
        else late.reject(new BackplaneError(silenceText(ANSWER_MS)));
      });
    };
    wait();
    try {
      const found = await Promise.race([read, late.promise]);
      this.#answers++;
      return found;
    } finally {
      cancel();
    }
  }
}

function offsetOf({ since }: Read): number {
  return since?.offset ?? 0;
}

/** The answer to a read from the earliest position, where `found` starts. */
function limited(found: Found, { since, limit }: Read): Found {
  const { arrivals } = found;
  if (arrivals.length <= limit) return found;
  const part = since === undefined ? arrivals.slice(-limit) : arrivals.slice(0, limit);
  return { ...found, arrivals: part, complete: false };
}

/** The answer to a read from a later position; undefined if `found` has too little for it. */
function laterPart(found: Found, { since, limit }: Read): Found | undefined {
  const { arrivals, complete } = found;
  const { offset } = since!;
  // All found messages are before the position. A read from this position may find later ones.
  if (offset > (arrivals.at(-1)?.position!.offset ?? 0)) return undefined;
  const start = arrivals.findIndex(({ position }) => position!.offset > offset);
  const later = start < 0 ? [] : arrivals.slice(start);
  const part = { ...found, arrivals: later.slice(0, limit) };
  if (complete) return { ...part, complete: later.length <= limit };
  // The history has dropped messages after the position.
  const isTooOld = start === 0 && later[0]!.position!.offset > offset + 1;
  return isTooOld || later.length > limit ? { ...part, complete: false } : undefined;
}
