import type { Messages } from './messages.ts';

/**
 * Number of earlier messages that are searched for a duplicate, where messages are too short to be
 * unique.
 */
const LOOK_BACK = 256;
/** Maximum number of given-up messages that are remembered. It exceeds the maximum in flight. */
const MAX_GIVEN_UP = 2 ** 18;

/** A fault of an echo, or a missing echo. */
type Fault =
  | 'wrong content'
  | 'wrong length'
  | 'wrong type'
  | 'double'
  | 'extra'
  | 'out of order'
  | 'missing'
  | 'timeout';

/** The judgement of an echo. */
export interface Verdict {
  /** The start of its latency; undefined when the echo is wrong or answers no message. */
  readonly since: number | undefined;
  readonly fault: Fault | undefined;
}

/** Messages that were given up: the start of the latency of each. */
export interface GivenUp {
  /** Messages that a later echo overtook. */
  readonly missing: readonly number[];
  /** Messages without an echo in time. */
  readonly timeout: readonly number[];
}

const ALREADY_COUNTED: Verdict = { since: undefined, fault: undefined };

/**
 * The messages that one connection sent and has not received back. Echoes are expected in the order
 * of sending. An early echo frees the places of the messages before it: these may still come (`out
 * of order`), or count as `missing`.
 */
export class Ledger {
  readonly #messages: Messages;
  /** Messages in flight by number, in order, with the start of their latency. */
  readonly #open = new Map<number, number>();
  /** Given-up messages, which are already counted. A late echo of one is not counted again. */
  readonly #givenUp = new Set<number>();
  /** Given-up messages before this number are no longer remembered. */
  #forgotten: number;
  readonly #first: number;
  #expected: number;
  #next: number;

  /**
   * @param first - Number of the first message. Each connection starts elsewhere, so that an echo
   *   on the wrong connection is detected.
   */
  constructor(messages: Messages, first: number) {
    this.#messages = messages;
    this.#first = first;
    this.#forgotten = first;
    this.#expected = first;
    this.#next = first;
  }

  /** Number of messages without an echo. */
  get inFlight(): number {
    return this.#next - this.#expected;
  }

  /** The next message to send, borrowed. Its latency starts at `since`. */
  send(since: number): Uint8Array {
    const n = this.#next++;
    this.#open.set(n, since);
    return this.#messages.make(n);
  }

  /** Judges an echo. */
  judge(bytes: Uint8Array, text: boolean): Verdict {
    const verdict = this.#find(bytes);
    if (text === this.#messages.text || verdict.fault !== undefined) return verdict;
    return { since: undefined, fault: 'wrong type' };
  }

  #find(bytes: Uint8Array): Verdict {
    const messages = this.#messages;
    const expected = this.#expected;
    if (expected < this.#next && messages.matches(expected, bytes)) {
      this.#expected++;
      return { since: this.#close(expected), fault: undefined };
    }
    const low = messages.numberOf(bytes);
    const other = low === undefined ? undefined : this.#other(low, bytes);
    if (other !== undefined) return other;
    if (this.inFlight === 0) return { since: undefined, fault: 'extra' };
    // A wrong echo takes the place of the expected one. A late echo of that message is no second
    // fault.
    this.#expected++;
    this.#open.delete(expected);
    this.#remember(expected);
    return {
      since: undefined,
      fault: bytes.length === messages.size ? 'wrong content' : 'wrong length',
    };
  }

  /** Judges an echo that is not the expected one, by the low digits `low` of its number. */
  #other(low: number, bytes: Uint8Array): Verdict | undefined {
    const messages = this.#messages;
    const expected = this.#expected;
    const { period } = messages;
    const late = this.#late(low);
    if (late !== undefined && messages.matches(late, bytes)) {
      this.#givenUp.delete(late);
      return ALREADY_COUNTED;
    }
    const before = this.#before(expected, low);
    const [oldest = expected] = this.#open.keys();
    for (let n = before; n >= oldest; n -= period) {
      if (!this.#open.has(n) || !messages.matches(n, bytes)) continue;
      return { since: this.#close(n), fault: 'out of order' };
    }
    const back = messages.unique ? this.#forgotten : expected - LOOK_BACK;
    for (let n = before; n >= Math.max(this.#first, back); n -= period) {
      if (messages.matches(n, bytes)) return { since: undefined, fault: 'double' };
    }
    for (let n = before + period; n < this.#next; n += period) {
      if (n === expected || !messages.matches(n, bytes)) continue;
      this.#expected = n + 1;
      return { since: this.#close(n), fault: undefined };
    }
    const past = this.#before(this.#forgotten, low);
    return past >= this.#first && messages.matches(past, bytes) ? ALREADY_COUNTED : undefined;
  }

  /** The first given-up number with the low digits `low`. Late echoes come in order too. */
  #late(low: number): number | undefined {
    const { period } = this.#messages;
    const last = this.#before(this.#expected, low);
    if (last - period < this.#first) return this.#givenUp.has(last) ? last : undefined;
    for (const n of this.#givenUp) if (n % period === low) return n;
    return undefined;
  }

  /** The last number before `end` with the low digits `low`. */
  #before(end: number, low: number): number {
    const { period } = this.#messages;
    return end - 1 - ((((end - 1 - low) % period) + period) % period);
  }

  #remember(n: number): void {
    this.#givenUp.add(n);
    if (this.#givenUp.size <= MAX_GIVEN_UP) return;
    const [oldest] = this.#givenUp;
    this.#givenUp.delete(oldest!);
    this.#forgotten = Math.max(this.#forgotten, oldest! + 1);
  }

  #close(n: number): number | undefined {
    const since = this.#open.get(n);
    this.#open.delete(n);
    return since;
  }

  /** Gives up every message whose latency started before `moment`. */
  giveUp(moment: number): GivenUp {
    const missing: number[] = [];
    const timeout: number[] = [];
    for (const [n, since] of this.#open) {
      if (since >= moment) break;
      this.#open.delete(n);
      this.#remember(n);
      if (n < this.#expected) {
        missing.push(since);
      } else {
        this.#expected = n + 1;
        timeout.push(since);
      }
    }
    return { missing, timeout };
  }
}
