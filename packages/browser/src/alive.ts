import { type BorrowedMessage, TimeoutError } from '@ws/conn';
import { onRejection } from '@ws/conn/internal';
import { onPageWake } from '@ws/reconnect/internal';
import type { AlivePlan } from './dial-options.ts';
import { dataTypeOf, messageOf, payloadOf } from './payload.ts';
import { nothing, report } from './promises.ts';
import type { PageSocket } from './web-types.ts';

/**
 * If a timer fires this many ms late, the page was not running, and an answer may not have been
 * read. The events of one wake of a page come within this time.
 */
const LATE_MS = 1_000;
/** The longest extra time in ms for bytes that are in buffers of the system. */
const MAX_SYSTEM_MS = 60_000;
/** The longest time in ms that a question waits for the answers to earlier requests. */
const MAX_WAIT_MS = 300_000;
/** Close codes that refuse no message: a normal end, a restart, too much load, an ended login. */
const OTHER_CODES: readonly number[] = [1000, 1001, 1005, 1012, 1013, 4401];

/** As {@link AlivePlan}, for one connection. */
type ConnPlan = Omit<AlivePlan, 'waits'> & { readonly waits: () => boolean };

/** The option `alive`: asks after a silence or a wake of the page, and waits for a message. */
export class Alive {
  readonly #socket: PageSocket;
  readonly #plan: ConnPlan;
  readonly #onLost: (error: TimeoutError) => void;
  #removeWake = nothing;
  #timer: unknown;
  /** Times in ms: when the timer is due, when the last message came, when the last question was sent. */
  #due = 0;
  #lastMessageAt = 0;
  #askedAt = 0;
  /** When the pending question expires, in ms. The connection then counts as lost. */
  #deadline = 0;
  /** Number of questions since the last message, without the first one of {@link askFirst}. */
  #questions = 0;
  /** Whether a question was sent since the last message, and whether a message has come after one. */
  #isAsked = false;
  #wasAnswered = false;
  /** When the question that is due no longer waits for other answers, in ms; 0 while none waits. */
  #waitsUntil = 0;
  /** Interval in ms of the checks while a question is pending. */
  readonly #interval: number;
  readonly #bytesSent: () => number;
  /** At the last check: bytes that had left the page, and bytes that waited. */
  #left = 0;
  #unsent = 0;
  #isLost = false;
  #isAsleep = false;
  /** Whether no message has come since {@link wake}. */
  #hasWoken = false;

  /**
   * @param sent - Returns the bytes that the application has sent.
   * @param lost - Ends the connection.
   */
  constructor(
    socket: PageSocket,
    plan: ConnPlan,
    sent: () => number,
    lost: (error: TimeoutError) => void,
  ) {
    this.#socket = socket;
    this.#plan = plan;
    this.#bytesSent = sent;
    this.#onLost = lost;
    this.#interval = Math.min(plan.timeout, LATE_MS);
    this.#removeWake = onPageWake(() => {
      if (!this.#isAsleep) this.#pageWoke();
    });
    this.#lastMessageAt = performance.now();
    this.#checkIn(plan.after);
  }

  /** Why the peer may have ended the connection with `code`, if that may refuse a question; else empty. */
  noteOf(code: number): string {
    return this.#mayRefuse(code) ? this.#plan.note : '';
  }

  /** A close may only cross a question: a peer that has answered one refuses none. */
  #mayRefuse(code: number): boolean {
    return this.#isAsked && !this.#wasAnswered && !OTHER_CODES.includes(code);
  }

  /** Sends a question that has no deadline: its answer shows how the peer answers. */
  askFirst(): void {
    if (this.#socket.readyState === 1) this.#send();
  }

  /** Asks no question until {@link wake}. A pending question no longer counts. */
  sleep(): void {
    this.#isAsleep = true;
    this.#questions = this.#waitsUntil = 0;
    clearTimeout(this.#timer);
  }

  /** Asks now: the app was in the background, and timers may not have run. */
  wake(): void {
    this.#isAsleep = false;
    this.#hasWoken = true;
    this.#pageWoke();
  }

  /** Called when the connection has ended. */
  stop(code: number, wasClean: boolean): void {
    this.#removeWake();
    clearTimeout(this.#timer);
    // A connection that has died in the background had no long message on the way.
    if (this.#isLost && this.#hasWoken) return;
    if (this.#isLost) this.#plan.lost?.();
    else this.#plan.closed?.(wasClean && this.#mayRefuse(code) ? code : undefined);
  }

  /** Called when a message has arrived. Returns whether it is an answer, which readers do not get. */
  onMessage(data: unknown): boolean {
    this.#lastMessageAt = performance.now();
    if (this.#questions > 0) this.#plan.answered?.();
    this.#questions = 0;
    this.#wasAnswered ||= this.#isAsked;
    this.#isAsked = this.#hasWoken = false;
    if (this.#waitsUntil > 0) this.#checkIn(this.#plan.after);
    this.#waitsUntil = 0;
    try {
      const isAnswer: unknown = this.#plan.answer?.(messageOf(data) as unknown as BorrowedMessage);
      onRejection(isAnswer, report);
      return isAnswer === true;
    } catch (error) {
      report(error);
      return false;
    }
  }

  #checkIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#due = performance.now() + ms;
    this.#timer = setTimeout(() => this.#check(), ms);
  }

  /** Whether the timer is so late that the page was not running. An answer may not have been read. */
  #isLate(now: number): boolean {
    return now - this.#due > this.#interval;
  }

  #pageWoke(): void {
    if (this.#socket.readyState !== 1) return;
    const now = performance.now();
    if (this.#waitsUntil > 0) return this.#check();
    if (this.#questions === 0) return this.#fallsDue(now);
    if (now >= this.#deadline && this.#isLate(now)) return this.#check();
    // A second question does not move the deadline of the first.
    if (now - this.#askedAt >= LATE_MS && this.#send()) this.#questions++;
  }

  /** A question is due. A peer that answers in order answers it after the requests that it has. */
  #fallsDue(now: number): void {
    if (!this.#plan.waits()) return this.#ask();
    this.#waitsUntil = now + MAX_WAIT_MS;
    this.#checkIn(MAX_WAIT_MS);
  }

  /** Sends a question, and starts the option `timeout`. */
  #ask(): void {
    this.#waitsUntil = 0;
    // If no bytes wait, the question leaves the page at once.
    this.#unsent = this.#socket.bufferedAmount;
    const isFirst = this.#questions === 0;
    if (this.#send()) this.#questions++;
    else if (isFirst) return this.#checkIn(this.#plan.after);
    this.#left = this.#bytesLeft;
    this.#deadline = performance.now() + this.#plan.timeout;
    this.#checkIn(this.#interval);
  }

  /** Sends a question. Returns whether it was sent. */
  #send(): boolean {
    try {
      const data = this.#plan.ask();
      onRejection(data, report);
      this.#socket.send(payloadOf('alive.ask', dataTypeOf(data), data));
    } catch (error) {
      report(error);
      return false;
    }
    this.#isAsked = true;
    this.#askedAt = performance.now();
    return true;
  }

  /** Bytes of the application that have left the page. Ignores the few bytes of questions. */
  get #bytesLeft(): number {
    return this.#bytesSent() - this.#socket.bufferedAmount;
  }

  #check(): void {
    const { after, timeout } = this.#plan;
    const { readyState, bufferedAmount } = this.#socket;
    if (readyState !== 1) return;
    const now = performance.now();
    const silence = now - this.#lastMessageAt;
    if (this.#waitsUntil > 0) {
      return now < this.#waitsUntil ? this.#checkIn(this.#waitsUntil - now) : this.#ask();
    }
    if (this.#questions === 0)
      return silence < after ? this.#checkIn(after - silence) : this.#fallsDue(now);
    const left = this.#bytesLeft;
    // Only a fall of waiting bytes proves that the peer reads. Other bytes leave even without a peer.
    const isLeaving = this.#unsent > 0 && left > this.#left;
    this.#left = left;
    this.#unsent = bufferedAmount;
    // The system buffers some MiB. These may need as long as the silence so far.
    if (isLeaving) this.#deadline = now + timeout + Math.min(silence, MAX_SYSTEM_MS);
    if (now < this.#deadline) return this.#checkIn(Math.min(this.#deadline - now, this.#interval));
    // In a hidden page timers are always late, by a minute in Chromium. So it asks only once more.
    if (this.#isLate(now) && (this.#questions < 2 || !globalThis.document?.hidden))
      return this.#ask();
    this.#isLost = true;
    this.#onLost(
      new TimeoutError(`no message of the peer within ${timeout} ms of a question (option alive)`, {
        permanent: true,
      }),
    );
  }
}
