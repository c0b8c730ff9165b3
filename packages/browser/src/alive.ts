import type { BorrowedMessage } from '@ws/conn';
import { onPageWake, onRejection, TimeoutError } from '@ws/conn/parts';
import type { AlivePlan } from './dial-options.ts';
import { dataTypeOf, messageOf, payloadOf } from './payload.ts';
import { nothing, report } from './promises.ts';
import type { PageSocket } from './web-types.ts';

/**
 * A timer that fires this many ms late has waited for the page: an answer may wait for the page
 * too. The events of one wake of a page come within this time.
 */
const LATE = 1_000;

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
  /** Questions since the last message, or the last wake. */
  #questions = 0;
  /** Bytes that waited to be sent at the last look. */
  #unsent = Infinity;

  /** @param lost - Ends the connection. */
  constructor(socket: PageSocket, plan: AlivePlan, lost: (error: TimeoutError) => void) {
    this.#socket = socket;
    this.#plan = plan;
    this.#lost = lost;
    socket.addEventListener('open', () => {
      this.#removeWake = onPageWake(() => this.#wake());
      this.#heardAt = performance.now();
      this.#lookIn(plan.after);
    });
  }

  /** The connection has ended. */
  stop(): void {
    this.#removeWake();
    clearTimeout(this.#timer);
  }

  /** A message has come. Whether readers do not get it. */
  takes(data: unknown): boolean {
    this.#heardAt = performance.now();
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

  #wake(): void {
    const isAsked = this.#questions > 0 && performance.now() - this.#askedAt < LATE;
    this.#questions = 0;
    if (!isAsked) return this.#ask();
    this.#questions = 1;
    this.#lookIn(this.#plan.timeout);
  }

  #ask(): void {
    if (this.#socket.readyState !== 1) return;
    this.#questions++;
    this.#askedAt = performance.now();
    this.#unsent = Infinity;
    this.#lookIn(this.#plan.timeout);
    try {
      const data = this.#plan.ask();
      onRejection(data, report);
      this.#socket.send(payloadOf('alive.ask', dataTypeOf(data), data));
    } catch (error) {
      report(error);
    }
  }

  #look(): void {
    const { after, timeout } = this.#plan;
    const { readyState, bufferedAmount } = this.#socket;
    if (readyState !== 1) return;
    const now = performance.now();
    const silence = now - this.#heardAt;
    if (this.#questions === 0) return silence < after ? this.#lookIn(after - silence) : this.#ask();
    const wait = Math.min(timeout, LATE);
    const isLate = now - this.#due > wait;
    // The timers of a hidden page are always late: by a minute in Chromium.
    if (isLate && (this.#questions < 2 || !globalThis.document?.hidden)) return this.#ask();
    if (this.#socket.isReading === false) {
      // The page does not read the WebSocketStream: an answer may wait in it.
      this.#heardAt = now;
      this.#questions = 0;
      return this.#lookIn(after);
    }
    const leaves = bufferedAmount > 0 && bufferedAmount < this.#unsent;
    this.#unsent = bufferedAmount;
    if (leaves) return this.#lookIn(wait);
    this.#lost(
      new TimeoutError(`no message of the peer within ${timeout} ms of a question (option alive)`, {
        permanent: true,
      }),
    );
  }
}
