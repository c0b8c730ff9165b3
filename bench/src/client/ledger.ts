import type { Messages } from './messages.ts';

/** How far back an echo is looked for that came once already. */
const REMEMBERED = 256;

/** What is wrong with an echo, or with its absence. */
type Fault =
  | 'wrong content'
  | 'wrong length'
  | 'wrong type'
  | 'double'
  | 'extra'
  | 'out of order'
  | 'missing'
  | 'timeout';

/** What an echo turned out to be. */
export interface Verdict {
  /** The moment its latency counts from; undefined when it answers nothing. */
  readonly since: number | undefined;
  readonly fault: Fault | undefined;
}

const KNOWN: Verdict = { since: undefined, fault: undefined };

/**
 * What one connection has sent and not got back. Echoes are expected in the order of what was sent. One that is ahead of
 * others frees their places: they may still come (`out of order`), and are `missing` if they never do.
 */
export class Ledger {
  readonly #messages: Messages;
  /** What is under way by number, in that order, and the moment that its latency counts from. */
  readonly #open = new Map<number, number>();
  /** What was given up and counted: when it comes after all, nothing is counted twice. */
  readonly #givenUp = new Set<number>();
  readonly #first: number;
  #expected: number;
  #next: number;

  /** @param first - The number of the first message; others begin elsewhere, so that theirs are told apart. */
  constructor(messages: Messages, first: number) {
    this.#messages = messages;
    this.#first = first;
    this.#expected = first;
    this.#next = first;
  }

  /** Messages that an echo is awaited of. */
  get inFlight(): number {
    return this.#next - this.#expected;
  }

  /** The next message to send, borrowed. Its latency counts from `since`. */
  send(since: number): Uint8Array {
    const n = this.#next++;
    this.#open.set(n, since);
    return this.#messages.make(n);
  }

  /** Judges what came. */
  judge(bytes: Uint8Array, text: boolean): Verdict {
    const verdict = this.#find(bytes);
    if (text === this.#messages.text || verdict.fault !== undefined) return verdict;
    return { since: verdict.since, fault: 'wrong type' };
  }

  #find(bytes: Uint8Array): Verdict {
    const messages = this.#messages;
    const expected = this.#expected;
    if (expected < this.#next && messages.is(expected, bytes)) {
      this.#expected++;
      return { since: this.#close(expected), fault: undefined };
    }
    for (let n = expected - 1; n >= Math.max(this.#first, expected - REMEMBERED); n--) {
      if (!messages.is(n, bytes)) continue;
      if (this.#givenUp.delete(n)) return KNOWN;
      if (this.#open.has(n)) return { since: this.#close(n), fault: 'out of order' };
      return { since: undefined, fault: 'double' };
    }
    for (let n = expected + 1; n < this.#next; n++) {
      if (!messages.is(n, bytes)) continue;
      this.#expected = n + 1;
      return { since: this.#close(n), fault: undefined };
    }
    if (this.inFlight === 0) return { since: undefined, fault: 'extra' };
    // Whatever it is, it stands where the next echo was expected; should that come as well, it is no second fault.
    this.#expected++;
    this.#forgive(expected);
    const fault = bytes.length === messages.size ? 'wrong content' : 'wrong length';
    return { since: this.#close(expected), fault };
  }

  #forgive(n: number): void {
    this.#givenUp.add(n);
    this.#givenUp.delete(n - REMEMBERED);
  }

  #close(n: number): number | undefined {
    const since = this.#open.get(n);
    this.#open.delete(n);
    return since;
  }

  /** Gives up what counts from before `moment`: how many were overtaken, and how many simply did not come. */
  giveUp(moment: number): { missing: number; timeout: number } {
    let missing = 0;
    let timeout = 0;
    for (const [n, since] of this.#open) {
      if (since >= moment) break;
      this.#open.delete(n);
      this.#forgive(n);
      if (n < this.#expected) {
        missing++;
      } else {
        this.#expected = n + 1;
        timeout++;
      }
    }
    return { missing, timeout };
  }
}
