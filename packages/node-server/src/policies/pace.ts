import {
  Bucket,
  type BucketPlan,
  checkOptionNames,
  Deferred,
  kind,
  schedulerOf,
  type TimerEntry,
  whole,
} from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { type HandshakeError, tryLater } from '../errors.ts';

/** How many handshakes a server begins: a token bucket, and a queue before it. */
export interface HandshakePace {
  /** Handshakes in a second, 1 or more. */
  readonly perSecond: number;
  /** Handshakes at once after a quiet time. Default: as many as in one second. */
  readonly burst?: number | undefined;
  /**
   * Most ms that a handshake waits for its turn, up to 10,000; 0 for no queue. Later ones get 503.
   * Default: 3,000.
   */
  readonly wait?: number | undefined;
}

/** A checked {@link HandshakePace}. */
export interface PacePlan extends BucketPlan {
  readonly wait: number;
  /** Most handshakes that wait. */
  readonly places: number;
}

const MAX_WAIT_MS = 10_000;
/** No client is asked to wait for longer. */
const MAX_RETRY_MS = 60_000;
/** Ms by which a busy server may begin a handshake after its `wait`. */
const LATE_MS = 100;
/** Handshakes that begin in one turn of the event loop. The next ones follow after other work. */
const TURN = 16;

/**
 * Checks `{ perSecond, burst }`.
 *
 * @param known - The names that the object may have.
 * @throws TypeError or RangeError that names the option.
 */
export function checkBucket(name: string, value: unknown, known: readonly string[]): BucketPlan {
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`${name}: expected { ${known.join(', ')} }, got ${kind(value)}`);
  }
  checkOptionNames(name, value, known, 'ignore');
  const { perSecond, burst = perSecond } = value as HandshakePace;
  const perMs = whole(`${name}.perSecond`, perSecond) / 1_000;
  return { perMs, size: whole(`${name}.burst`, burst) };
}

/**
 * @param workers - Number of processes that share the pace.
 * @param maxHandshakes - Most places of the queue.
 * @throws TypeError or RangeError that names the option.
 */
export function checkPace(value: unknown, workers: number, maxHandshakes: number): PacePlan {
  const bucket = checkBucket('handshakes', value, ['perSecond', 'burst', 'wait']);
  const { wait = 3_000 } = value as HandshakePace;
  if (wait !== 0) whole('handshakes.wait', wait);
  if (wait > MAX_WAIT_MS) {
    throw new RangeError(`handshakes.wait: expected at most ${MAX_WAIT_MS} ms, got ${wait}`);
  }
  const perMs = bucket.perMs / workers;
  const places = Math.min(Math.floor(perMs * wait), maxHandshakes);
  return { perMs, size: Math.max(1, bucket.size / workers), wait, places };
}

/** A place in the queue of a {@link Pace}. */
export class Place {
  readonly since: number;
  readonly group: string | undefined;
  /** Resolves when it is this one's turn; rejects with the error of its refusal. */
  readonly turn: Deferred<void> = new Deferred();

  constructor(since: number, group: string | undefined) {
    this.since = since;
    this.group = group;
  }
}

/** Lets handshakes begin at a pace. Those that come faster wait in their order, or are refused. */
export class Pace implements TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  /** Handshakes refused so far. */
  refused = 0;
  /** Called when a handshake begins to wait. */
  onWait: () => void = () => {};
  /** When a handshake waited last, by `performance.now()`. */
  waitedAt: number = -Infinity;
  readonly #plan: PacePlan;
  readonly #bucket: Bucket;
  readonly #queue = new Set<Place>();
  /** Places of each group. */
  readonly #byGroup = new Map<string, number>();
  /** When the client that was refused last may return, by `performance.now()`. */
  #mark = 0;

  constructor(plan: PacePlan) {
    this.#plan = plan;
    this.#bucket = new Bucket(plan, performance.now());
  }

  /** Handshakes that wait now. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Begins a handshake, or gets it a place in the queue. Who leaves the queue before its turn calls
   * {@link leave}.
   *
   * @param group - At most a tenth of the places go to one group. Undefined for none.
   * @returns The place; undefined when the handshake may begin.
   * @throws HandshakeError 503 without a place.
   */
  enter(group: string | undefined): Place | undefined {
    const now = performance.now();
    this.#bucket.refill(now);
    if (this.#queue.size === 0 && this.#bucket.has(1)) {
      this.#bucket.tokens--;
      return undefined;
    }
    const { places } = this.#plan;
    if (this.#queue.size >= places) throw this.#full(now);
    const others = group === undefined ? 0 : (this.#byGroup.get(group) ?? 0);
    // Does not move the mark: one group alone would send all others away for long.
    if (others >= Math.ceil(places / 10)) throw this.#refusal(this.#untilEnd);
    if (group !== undefined) this.#byGroup.set(group, others + 1);
    const place = new Place(now, group);
    this.#queue.add(place);
    this.waitedAt = now;
    if (this.slot === undefined) this.#schedule();
    this.onWait();
    return place;
  }

  /** Gives a place back. */
  leave(place: Place): void {
    if (!this.#queue.delete(place)) return;
    this.waitedAt = performance.now();
    const { group } = place;
    if (group === undefined) return;
    const others = this.#byGroup.get(group)! - 1;
    if (others > 0) this.#byGroup.set(group, others);
    else this.#byGroup.delete(group);
  }

  /** Ends all waits with `error`. */
  refuseAll(error: Error): void {
    for (const place of this.#queue) {
      this.leave(place);
      place.turn.reject(error);
    }
  }

  fire(): void {
    const now = performance.now();
    this.#bucket.refill(now);
    let begun = 0;
    for (const place of this.#queue) {
      const isLate = now - place.since > this.#plan.wait + LATE_MS;
      if (!isLate && (begun === TURN || !this.#bucket.has(1))) break;
      this.leave(place);
      if (isLate) {
        place.turn.reject(this.#full(now));
        continue;
      }
      begun++;
      this.#bucket.tokens--;
      place.turn.resolve();
    }
    if (this.#queue.size > 0) this.#schedule();
  }

  #schedule(): void {
    const ms = Math.max(1, Math.ceil(this.#bucket.msUntil(1)));
    schedulerOf(nodePlatform).timers.set(this, ms);
  }

  /** Ms until all that wait now have begun. */
  get #untilEnd(): number {
    return Math.max(0, (this.#queue.size - this.#bucket.tokens) / this.#plan.perMs);
  }

  /** The refusal for a client that has no place: it may return after all that were refused before. */
  #full(now: number): HandshakeError {
    const mark = Math.max(this.#mark, now + this.#untilEnd) + 1 / this.#plan.perMs;
    this.#mark = Math.min(mark, now + MAX_RETRY_MS);
    return this.#refusal(this.#mark - now);
  }

  #refusal(ms: number): HandshakeError {
    this.refused++;
    const { perMs, places } = this.#plan;
    const most = `${perMs * 1_000} a second, and ${places} that wait, are the most`;
    const message = `too many handshakes: ${most}; raise perSecond or wait of handshakes`;
    const body = 'too many handshakes\n';
    return tryLater(503, message, { body }, ms * (0.5 + Math.random() / 2));
  }
}
