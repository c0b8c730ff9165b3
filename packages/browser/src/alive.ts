import { type BorrowedMessage, TimeoutError } from '@ws/conn';
import { onRejection } from '@ws/conn/internal';
import { onPageWake } from '@ws/reconnect/internal';
import type { AlivePlan } from './dial-options.ts';
import { dataTypeOf, messageOf, payloadOf } from './payload.ts';
import { nothing, report } from './promises.ts';
import type { PageSocket } from './web-types.ts';

/**
 * A timer that fires this many ms late has waited for the page: an answer may wait for the page
 * too. The events of one wake of a page come within this time.
 */
const LATE = 1_000;
/** The longest time in ms for bytes that the system holds. */
const LONGEST_REST = 60_000;

/** The option `alive`: asks after a silence and after a wake of the page, and waits for a message. */
export class Alive {
  readonly #socket: PageSocket;
  readonly #plan: AlivePlan;
  readonly #lost: (error: TimeoutError) => void;
  #removeWake = nothing;
  #timer: unknown;
  /** When the timer should fire, when the last message came, and when the page asked last. */
  #due = 0;
  #heardAt = 0;
  #askedAt = 0;
  /** When a pending question expires. The connection then counts as lost. */
  #end = 0;
  /** Questions since the last message. */
  #questions = 0;
  /** Milliseconds between two looks at a question. */
  readonly #step: number;
  readonly #sent: () => number;
  /** Bytes that had left the page at the last look, and bytes that waited. */
  #left = 0;
  #unsent = 0;
  #isLost = false;

  /**
   * @param sent - Returns the bytes that the application has sent.
   * @param lost - Ends the connection.
   */
  constructor(
    socket: PageSocket,
    plan: AlivePlan,
    sent: () => number,
    lost: (error: TimeoutError) => void,
  ) {
    this.#socket = socket;
    this.#plan = plan;
    this.#sent = sent;
    this.#lost = lost;
    this.#step = Math.min(plan.timeout, LATE);
    if (socket.readyState === 1) this.#start();
    else socket.addEventListener('open', () => this.#start());
  }

  #start(): void {
    this.#removeWake = onPageWake(() => this.#wake());
    this.#heardAt = performance.now();
    this.#lookIn(this.#plan.after);
  }

  /** Why the peer may have ended the connection: a question has no answer. */
  get note(): string {
    return this.#questions > 0 ? this.#plan.note : '';
  }

  /** The connection has ended. */
  stop(code: number, wasClean: boolean): void {
    this.#removeWake();
    clearTimeout(this.#timer);
    if (this.#isLost) this.#plan.lost?.();
    else if (wasClean && this.#questions > 0) this.#plan.refused?.(code);
  }

  /** A message has come. Returns whether readers do not get it. */
  takes(data: unknown): boolean {
    this.#heardAt = performance.now();
    if (this.#questions > 0) this.#plan.answered?.();
    this.#questions = 0;
    try {
      const isAnswer: unknown = this.#plan.answer?.(messageOf(data) as unknown as BorrowedMessage);
      onRejection(isAnswer, report);
      return isAnswer === true;
    } catch (error) {
      report(error);
      return false;
    }
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#due = performance.now() + ms;
    this.#timer = setTimeout(() => this.#look(), ms);
  }

  /** Whether the timer is so late that the page was not running: an answer may wait for it too. */
  #isLate(now: number): boolean {
    return now - this.#due > this.#step;
  }

  #wake(): void {
    if (this.#socket.readyState !== 1) return;
    const now = performance.now();
    if (this.#questions === 0) return this.#ask();
    if (now >= this.#end && this.#isLate(now)) return this.#look();
    // The first question keeps its end.
    if (now - this.#askedAt >= LATE) this.#send();
  }

  /** Asks, and starts `timeout`. */
  #ask(): void {
    // Without such bytes the question leaves at once.
    this.#unsent = this.#socket.bufferedAmount;
    const isFirst = this.#questions === 0;
    if (!this.#send() && isFirst) return this.#lookIn(this.#plan.after);
    this.#left = this.#bytesLeft;
    this.#end = performance.now() + this.#plan.timeout;
    this.#lookIn(this.#step);
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
    this.#questions++;
    this.#askedAt = performance.now();
    return true;
  }

  /** Bytes that have left the page, without the few bytes of questions. */
  get #bytesLeft(): number {
    return this.#sent() - this.#socket.bufferedAmount;
  }

  #look(): void {
    const { after, timeout } = this.#plan;
    const { readyState, bufferedAmount } = this.#socket;
    if (readyState !== 1) return;
    const now = performance.now();
    const silence = now - this.#heardAt;
    if (this.#questions === 0) return silence < after ? this.#lookIn(after - silence) : this.#ask();
    const left = this.#bytesLeft;
    // Only bytes that waited prove that a peer reads. Others leave at once, even without a peer.
    const isLeaving = this.#unsent > 0 && left > this.#left;
    this.#left = left;
    this.#unsent = bufferedAmount;
    // The system takes some MiB at once. They may need as long as the bytes that waited.
    if (isLeaving) this.#end = now + timeout + Math.min(silence, LONGEST_REST);
    if (now < this.#end) return this.#lookIn(Math.min(this.#end - now, this.#step));
    // The timers of a hidden page are always late: by a minute in Chromium.
    if (this.#isLate(now) && (this.#questions < 2 || !globalThis.document?.hidden))
      return this.#ask();
    this.#isLost = true;
    this.#lost(
      new TimeoutError(`no message of the peer within ${timeout} ms of a question (option alive)`, {
        permanent: true,
      }),
    );
  }
}
