import { createHash } from 'node:crypto';
import { Lateness } from './lateness.ts';
import { Link } from './link.ts';
import { Transcript } from './transcript.ts';
import { Skip, Violation } from './verdicts.ts';

/** One run of a case: its timeouts, its remarks, and the resources to release at the end. */
export class Attempt {
  /** Maximum duration of a single wait, in ms. */
  readonly timeout: number;
  /** False: the target does not echo. Cases that need an echo skip themselves. */
  echoes: boolean = true;
  /** Share of a timeout to wait for something that no MUST asks for. */
  patience: number = 1 / 2;
  /** True: the case passes only when the target still runs after it. A client's command shows it. */
  mustSurvive: boolean = false;
  /** The network to the target. */
  readonly link: Link;
  readonly lateness: Lateness = new Lateness();
  readonly transcript: Transcript = new Transcript();
  /** One sentence for each SHOULD that the target did not follow. */
  readonly remarks: string[] = [];
  readonly #disposals: (() => void)[] = [];
  readonly #seed: string;
  #randoms = 0;
  #progressAt = 0;
  #stepAt = 0;

  /** @param seed - Attempts with the same seed get the same random bytes. */
  constructor(timeout: number, seed = '', link: Link = new Link()) {
    this.link = link;
    this.timeout = timeout;
    this.#seed = seed;
    this.#progressAt = this.#now;
    this.#stepAt = this.#now;
  }

  /** A clock in ms that stops while the timers of this process are late. */
  get #now(): number {
    return performance.now() - this.lateness.total;
  }

  /** Returns the next pseudorandom bytes, at most 32. */
  randomBytes(size: number): Buffer {
    const hash = createHash('sha256').update(`${this.#seed} ${this.#randoms++}`);
    return hash.digest().subarray(0, size);
  }

  /** Records that the target has sent something. */
  progressed(): void {
    this.#progressAt = this.#now;
  }

  /** Time in ms since the target has sent something, without the time in which the machine was late. */
  get stalledFor(): number {
    return this.#now - this.#progressAt;
  }

  /** Records that the suite has sent bytes, or has received a message or a header. */
  stepped(): void {
    this.#stepAt = this.#now;
  }

  /** Time in ms since the last step, or since the start of the case, as {@link stalledFor} counts. */
  get stepTime(): number {
    return this.#now - this.#stepAt;
  }

  /** Waits `ms`, longer on a slow link. */
  rest(ms: number): Promise<void> {
    return new Promise((done) => setTimeout(done, this.withRoundTrips(ms)));
  }

  /** Adds two round trips: one for our bytes and the target's, one for a lost segment. */
  withRoundTrips(ms: number): number {
    return ms + 2 * this.link.roundTrip;
  }

  /** Maximum wait, in ms, for something that no MUST asks for. The case continues without it. */
  get shouldTimeout(): number {
    return this.timeout * this.patience;
  }

  /** Records a SHOULD that the target did not follow. The case continues. */
  nonStrict(remark: string): void {
    if (!this.remarks.includes(remark)) this.remarks.push(remark);
  }

  /** Ends the case, because it does not apply. @throws {@link Skip} */
  skip(reason: string): never {
    throw new Skip(reason);
  }

  /** Ends the case, because the target broke a rule. @throws {@link Violation} */
  fail(message: string): never {
    throw new Violation(message);
  }

  /** Registers a function that runs at the end of the case, whatever its verdict. */
  onDispose(run: () => void): void {
    this.#disposals.push(run);
  }

  /** Runs all registered functions, once. */
  dispose(): void {
    this.lateness.stop();
    for (const run of this.#disposals.splice(0)) run();
  }
}
