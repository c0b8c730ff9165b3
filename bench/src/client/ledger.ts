import type { Messages } from './messages.ts';

/** How far back an echo is looked for that came once already, where messages are too short to be told apart for sure. */
const LOOK_BACK = 256;
/** So many that were given up are known by number: more than are ever in flight at once. */
const REMEMBERED = 2 ** 18;

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
  /** The moment its latency counts from; undefined when it is not what was sent, or answers nothing. */
  readonly since: number | undefined;
  readonly fault: Fault | undefined;
}

/** What was given up: the moments that latency would count from. */
export interface GivenUp {
  /** Of those that others overtook. */
  readonly missing: readonly number[];
  /** Of those that simply did not come. */
  readonly timeout: readonly number[];
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
  /** Those before it are too long ago to say more of them than that they were sent. */
  #forgotten: number;
  readonly #first: number;
  #expected: number;
  #next: number;

  /** @param first - The number of the first message; others begin elsewhere, so that theirs are told apart. */
  constructor(messages: Messages, first: number) {
    this.#messages = messages;
    this.#first = first;
    this.#forgotten = first;
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
    return { since: undefined, fault: 'wrong type' };
  }

  #find(bytes: Uint8Array): Verdict {
    const messages = this.#messages;
    const expected = this.#expected;
    if (expected < this.#next && messages.is(expected, bytes)) {
      this.#expected++;
      return { since: this.#close(expected), fault: undefined };
    }
    const read = messages.read(bytes);
    const other = read === undefined ? undefined : this.#other(read, bytes);
    if (other !== undefined) return other;
    if (this.inFlight === 0) return { since: undefined, fault: 'extra' };
    // Whatever it is, it stands where the next echo was expected; should that come as well, it is no second fault.
    this.#expected++;
    this.#open.delete(expected);
    this.#forgive(expected);
    return {
      since: undefined,
      fault: bytes.length === messages.size ? 'wrong content' : 'wrong length',
    };
  }

  /** What it is when it is not the expected one: a message whose number ends with `read`. */
  #other(read: number, bytes: Uint8Array): Verdict | undefined {
    const messages = this.#messages;
    const expected = this.#expected;
    const { period } = messages;
    const late = this.#late(read);
    if (late !== undefined && messages.is(late, bytes)) {
      this.#givenUp.delete(late);
      return KNOWN;
    }
    const before = this.#before(expected, read);
    const [oldest = expected] = this.#open.keys();
    for (let n = before; n >= oldest; n -= period) {
      if (!this.#open.has(n) || !messages.is(n, bytes)) continue;
      return { since: this.#close(n), fault: 'out of order' };
    }
    const back = messages.sure ? this.#forgotten : expected - LOOK_BACK;
    for (let n = before; n >= Math.max(this.#first, back); n -= period) {
      if (messages.is(n, bytes)) return { since: undefined, fault: 'double' };
    }
    for (let n = before + period; n < this.#next; n += period) {
      if (n === expected || !messages.is(n, bytes)) continue;
      this.#expected = n + 1;
      return { since: this.#close(n), fault: undefined };
    }
    const past = this.#before(this.#forgotten, read);
    return past >= this.#first && messages.is(past, bytes) ? KNOWN : undefined;
  }

  /** The first that was given up of those whose number ends with `read`: late echoes are in their order as well. */
  #late(read: number): number | undefined {
    const { period } = this.#messages;
    const last = this.#before(this.#expected, read);
    if (last - period < this.#first) return this.#givenUp.has(last) ? last : undefined;
    for (const n of this.#givenUp) if (n % period === read) return n;
    return undefined;
  }

  /** The last number before `end` that ends with `read`. */
  #before(end: number, read: number): number {
    const { period } = this.#messages;
    return end - 1 - ((((end - 1 - read) % period) + period) % period);
  }

  #forgive(n: number): void {
    this.#givenUp.add(n);
    if (this.#givenUp.size <= REMEMBERED) return;
    const [oldest] = this.#givenUp;
    this.#givenUp.delete(oldest!);
    this.#forgotten = Math.max(this.#forgotten, oldest! + 1);
  }

  #close(n: number): number | undefined {
    const since = this.#open.get(n);
    this.#open.delete(n);
    return since;
  }

  /** Gives up what counts from before `moment`, and tells from when on. */
  giveUp(moment: number): GivenUp {
    const missing: number[] = [];
    const timeout: number[] = [];
    for (const [n, since] of this.#open) {
      if (since >= moment) break;
      this.#open.delete(n);
      this.#forgive(n);
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
