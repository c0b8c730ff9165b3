import type { ConnLike } from '@ws/conn';
import { Deferred, RESOLVED, schedulerOf, type TimerEntry } from '@ws/conn/internal';
import { ACCEPTED, type Carrier } from './carrier.ts';
import type { StreamDefinition } from './definitions.ts';
import type { Request } from './request.ts';
import { ErrorCode } from './rpc-error.ts';
import { type Checked, check, misfit } from './schema.ts';
import type { StreamWindow } from './stream-window.ts';
import { errorText, type Id, itemParts, resultText, valueText } from './wire.ts';

/** An iterator that has not ended so long after its cancel is reported, in ms. */
const SLOW_MS = 10_000;

/** Why a stream is over before its connection. */
export const CLOSING = 'the connection is closing';

/** Sends the items of an iterator of the application, at the pace of its reader. */
export class ServedStream implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly window: StreamWindow;
  readonly #carrier: Carrier;
  readonly #request: Request;
  readonly #definition: StreamDefinition;
  readonly #iterator: AsyncIterator<unknown>;
  /** Returns the answer to an error of the application, and reports it unless it is for the caller. */
  readonly #answerTo: (error: unknown) => string;
  readonly #before: string;
  readonly #after: string;
  /** The item that the iterator was asked for. */
  #next: Promise<IteratorResult<unknown>> | undefined;
  /** Why this end ends the stream, and the answer. */
  #fault: { readonly error: unknown; readonly answer: string } | undefined;
  /** Whether no more items are sent. */
  #isOver = false;
  readonly #ended = new Deferred<void>();
  /** Gets the error of an item that a hub has dropped. */
  readonly #failed = (error: unknown): void => this.#fail(error);

  constructor(
    carrier: Carrier,
    request: Request,
    definition: StreamDefinition,
    iterator: AsyncIterator<unknown>,
    window: StreamWindow,
    answerTo: (error: unknown) => string,
  ) {
    this.#carrier = carrier;
    this.#request = request;
    this.#definition = definition;
    this.#iterator = iterator;
    this.window = window;
    this.#answerTo = answerTo;
    [this.#before, this.#after] = itemParts(this.#id);
  }

  /** Resolves when the iterator has ended and the answer has left. */
  get done(): Promise<void> {
    return this.#ended.promise;
  }

  get #id(): Id {
    return this.#request.id!;
  }

  /** Whether the stream is open, and has this id on this connection. */
  is(id: unknown, connection: ConnLike | undefined): boolean {
    return !this.#isOver && this.#id === id && this.#request.connection === connection;
  }

  /** Asks the iterator for items until one of both ends the stream. */
  async run(): Promise<void> {
    try {
      for (;;) {
        // Asked only when its item may leave, the iterator is at most one item ahead.
        if (!this.#mayLeave(1)) await this.#untilItMayLeave(1);
        if (this.#isOver) return;
        this.#next = this.#iterator.next();
        const { done, value } = await this.#next;
        this.#next = undefined;
        if (this.#isOver) return;
        if (done) break;
        const checked = check(this.#definition.item, value);
        const text = this.#textOf(checked instanceof Promise ? await checked : checked);
        if (!this.#mayLeave(text.length)) await this.#untilItMayLeave(text.length);
        if (this.#isOver) return;
        this.window.add(text.length);
        const sent = this.#carrier.send(text, this.#failed);
        if (sent !== RESOLVED && sent !== ACCEPTED) await sent;
      }
      void this.#finish(resultText(this.#id, undefined), true);
    } catch (error) {
      const hasEnded = this.#next !== undefined;
      this.#next = undefined;
      if (!hasEnded) this.#fail(error);
      else if (this.#isOver) this.#report(error);
      else void this.#finish(this.#answerTo(error), true);
    }
  }

  #textOf({ value, issues }: Checked): string {
    if (issues === undefined) return `${this.#before}${valueText(value)}${this.#after}`;
    throw misfit(`an item of ${this.#definition.name} does not fit its schema`, issues);
  }

  get #isConnected(): boolean {
    const { connection } = this.#request;
    return connection === this.#carrier.connection && connection?.state === 'open';
  }

  /** Whether an item of `size` characters may leave now. */
  #mayLeave(size: number): boolean {
    return (
      this.window.hasRoom(size) && this.#isConnected && this.#carrier.untilWritable() === undefined
    );
  }

  /** Resolves also when the stream is over. */
  async #untilItMayLeave(size: number): Promise<void> {
    while (!this.#isOver && !this.#mayLeave(size)) {
      if (!this.#isConnected) this.#request.cancel(CLOSING);
      else if (!this.window.hasRoom(size)) await this.window.untilTaken();
      else await this.#carrier.untilWritable()?.catch(() => {});
    }
  }

  /** An item does not fit, or was not sent: the iterator still runs. */
  #fail(error: unknown): void {
    if (this.#isOver) return;
    if (this.#isConnected) this.#fault = { error, answer: this.#answerTo(error) };
    this.#request.cancel(this.#isConnected ? error : CLOSING);
  }

  /** The signal has aborted. */
  cancelled(): void {
    if (!this.#isOver) void this.#finish(this.#fault?.answer, false);
  }

  /**
   * Sends the answer: at once, or to a caller that has cancelled, when the iterator has ended. The
   * stream keeps its place until then. Otherwise a caller that asks and cancels would start iterators
   * without a bound.
   */
  async #finish(answer: string | undefined, hasEnded: boolean): Promise<void> {
    this.#isOver = true;
    this.window.close();
    const sent = answer === undefined ? undefined : this.#send(answer);
    if (!hasEnded) await this.#endIterator();
    await (sent ?? this.#send(errorText(this.#id, ErrorCode.Cancelled, 'cancelled')));
    this.#ended.resolve();
  }

  /** An iterator that waits in a `yield` ends at once. Another one ends when it sees its signal. */
  async #endIterator(): Promise<void> {
    const { timers } = schedulerOf(this.#carrier.platform);
    timers.set(this, SLOW_MS);
    try {
      const next = this.#next;
      if (typeof this.#iterator.return === 'function') await this.#iterator.return();
      else await next?.catch(() => {});
    } catch (error) {
      this.#report(error);
    }
    timers.clear(this);
  }

  /** The iterator has not ended in time. */
  fire(): void {
    const { name } = this.#definition;
    const error = new Error(
      `the generator of ${name} has not ended ${SLOW_MS / 1000} s after its cancel; end it by its signal`,
    );
    this.#carrier.report(error, name);
  }

  async #send(answer: string): Promise<void> {
    const { connection } = this.#request;
    const refusal = await this.#carrier.sendSurely(connection, answer);
    if (refusal === undefined) return;
    this.#carrier.reportRarely('unsent', () => refusal);
    const short = errorText(this.#id, ErrorCode.InternalError, 'Internal error');
    await this.#carrier.sendSurely(connection, short);
  }

  #report(error: unknown): void {
    if (error !== this.#fault?.error) this.#answerTo(error);
  }
}
