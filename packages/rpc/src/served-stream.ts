import type { BackpressureError } from '@ws/conn';
import { Deferred, schedulerOf, type TimerEntry } from '@ws/conn/internal';
import type { Carrier, Dropped } from './carrier.ts';
import type { StreamDefinition } from './definitions.ts';
import type { Request } from './request.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import { check, valueOf } from './schema.ts';
import { StreamWindow, type WindowTotals } from './stream-window.ts';
import { errorText, ITEM_REFUSED, itemText, resultText } from './wire.ts';

/** The reason with which a stream is cancelled when its connection closes. */
export const CLOSING = 'the connection is closing';
/** Ms after a cancel until an iterator that has not ended is reported. */
const SLOW_MS = 10_000;

/** An AsyncIterator, or the reader of a ReadableStream. */
export type ItemSource = Pick<AsyncIterator<unknown>, 'next'> & { return?(): PromiseLike<unknown> };

/** Sends the items of the application's iterator, at the pace of the peer's reader. */
export class ServedStream implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly request: Request;
  readonly window: StreamWindow;
  readonly #carrier: Carrier;
  readonly #iterator: ItemSource;
  /** Resolves when the request is cancelled: to an answer if an item failed, else to undefined. */
  readonly #cancelled = new Deferred<string | undefined>();
  /** The result of the last `next()`. */
  #nextItem: Promise<IteratorResult<unknown>> | undefined;
  /** Whether the iterator was called and has not returned an item. An error then ends it. */
  #awaitsItem = false;
  /** Whether the iterator has ended by itself. */
  #hasEnded = false;
  /** Settles when an item was sent that the connection has refused, or that a hub has dropped. */
  #sending: Promise<void> | undefined;

  constructor(
    { carrier, windowTotals }: { readonly carrier: Carrier; readonly windowTotals: WindowTotals },
    request: Request,
    iterator: ItemSource,
  ) {
    this.request = request;
    this.window = new StreamWindow(windowTotals);
    this.#carrier = carrier;
    this.#iterator = iterator;
    request.onCancel = () => this.#cancelled.resolve(undefined);
  }

  /**
   * Sends the items, then the answer. After a cancel, the answer waits for the end of the iterator, and
   * the stream counts for the option `streams` until then. Otherwise a peer that cancels its requests
   * could start any number of iterators.
   */
  async run(): Promise<void> {
    const answer = await Promise.race([this.#sendItems(), this.#cancelled.promise]);
    this.window.close();
    const sent = answer === undefined ? undefined : this.#answer(answer);
    if (!this.#hasEnded) await this.#endIterator();
    await (sent ?? this.#answer(errorText(this.request.id!, ErrorCode.Cancelled, 'cancelled')));
  }

  /** Sends the answer after the items. */
  async #answer(answer: string): Promise<void> {
    const { connection, id } = this.request;
    while (this.#sending !== undefined) await this.#sending;
    const refusal = await this.#carrier.sendSurely(connection, answer);
    if (refusal !== undefined) await this.#carrier.refused(connection, id!, refusal);
  }

  /** @returns The answer when the iterator has ended; undefined after a cancel. */
  async #sendItems(): Promise<string | undefined> {
    const { request } = this;
    const { item } = request.handler.definition as StreamDefinition;
    try {
      for (;;) {
        // Calls `next` only when an item may be sent. So the iterator is at most one item ahead.
        if (!this.#maySend(1)) await this.#untilItMaySend(1);
        if (request.isCancelled) return undefined;
        this.#awaitsItem = true;
        this.#nextItem = this.#iterator.next();
        const { done, value } = await this.#nextItem;
        this.#awaitsItem = false;
        if (request.isCancelled) return undefined;
        if (done) break;
        const checked = check(item, value);
        const fits = checked instanceof Promise ? await checked : checked;
        const text = itemText(request.id!, valueOf(fits, 'an item of ', request.name));
        if (!this.#maySend(text.length)) await this.#untilItMaySend(text.length);
        if (request.isCancelled) return undefined;
        this.window.add(text.length);
        const sent = this.#carrier.send(text, this.#dropped);
        if (sent !== undefined) {
          await sent.catch((error: BackpressureError) => this.#dropped(error, text));
        }
      }
      this.#hasEnded = true;
      return resultText(request.id!, undefined);
    } catch (error) {
      this.#hasEnded = this.#awaitsItem;
      if (!this.#hasEnded) this.#fail(error);
      else if (!request.isCancelled) return request.errorText(error, this.#carrier);
      else this.#report(error);
      return undefined;
    }
  }

  get #isConnected(): boolean {
    return this.#carrier.isOpen(this.request.connection);
  }

  /** Whether an item of `size` characters may be sent now. */
  #maySend(size: number): boolean {
    const hasRoom = this.#isConnected && this.#sending === undefined && this.window.hasRoom(size);
    return hasRoom && this.#carrier.untilWritable() === undefined;
  }

  /** Waits until an item of `size` characters may be sent, or until the request is cancelled. */
  async #untilItMaySend(size: number): Promise<void> {
    while (!this.request.isCancelled && !this.#maySend(size)) {
      if (!this.#isConnected) this.request.cancel(CLOSING);
      else if (this.#sending !== undefined) await this.#sending;
      else if (!this.window.hasRoom(size)) await this.window.untilTaken();
      else await this.#carrier.untilWritable()?.catch(() => {});
    }
  }

  /**
   * Sends an item when there is room. No later item is sent before. In a hub, only one item can be
   * dropped: while it waits there, no other one may be sent.
   */
  readonly #dropped: Dropped = (_error, text) => {
    const sending = this.#carrier
      .sendSurely(this.request.connection, text, this.#dropped)
      .then((refusal) => {
        if (this.#sending === sending) this.#sending = undefined;
        if (refusal === undefined) return;
        this.#carrier.reportRarely('unsent', () => refusal);
        this.#fail(new RpcError(ErrorCode.Busy, ITEM_REFUSED));
      });
    this.#sending = sending;
  };

  /** Ends the stream because an item does not fit its schema, or was not sent. */
  readonly #fail = (error: unknown): void => {
    if (this.#hasEnded || this.request.isCancelled) return;
    if (!this.#isConnected) return this.request.cancel(CLOSING);
    this.#cancelled.resolve(this.request.errorText(error, this.#carrier));
    this.request.cancel(error);
  };

  /** Ends the iterator. A generator ends at its `yield`; a running one must check its signal. */
  async #endIterator(): Promise<void> {
    const { timers } = schedulerOf(this.#carrier.platform);
    timers.set(this, SLOW_MS);
    try {
      if (this.#iterator.return !== undefined) await this.#iterator.return();
      else await this.#nextItem?.catch(() => {});
    } catch (error) {
      this.#report(error);
    }
    timers.clear(this);
  }

  /** Called by the timer: the iterator has not ended in time. */
  fire(): void {
    const { name } = this.request;
    const what = `the generator of ${name} has not ended ${SLOW_MS / 1000} s after its cancel`;
    this.#carrier.report(new Error(`${what}; end it by its signal`), name);
  }

  #report(error: unknown): void {
    if (error !== this.request.signal.reason) this.request.errorText(error, this.#carrier);
  }
}
