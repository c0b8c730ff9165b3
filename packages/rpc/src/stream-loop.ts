import { BackpressureError, TimeoutError } from '@ws/conn';
import {
  addAbortListener,
  CallPromise,
  Deferred,
  Fifo,
  removeAbortListener,
  type TimerEntry,
} from '@ws/conn/internal';
import type { Call, CallOptions, Calls, TakeItems } from './calls.ts';
import type { StreamDefinition } from './definitions.ts';
import { after, checkArrived } from './schema.ts';
import { REPORT_ITEMS, REPORT_SIZE } from './stream-window.ts';

/** Bounds of the items that wait for `next()`: their number, and their characters. */
const MAX_ITEMS = 1_024;
const MAX_SIZE = 4 * 1024 * 1024;

/** An item that fits its schema, and its share of the characters of its message. */
type Item = readonly [value: unknown, size: number];

/** The end of a loop: its error, if there is one. */
type End = readonly [error?: unknown];

type Result = IteratorResult<unknown, undefined>;

/** The loop of a caller over the items of a stream. */
export class StreamLoop implements AsyncIterableIterator<unknown, undefined>, TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly #definition: StreamDefinition;
  readonly #options: CallOptions;
  /** The items. A generator answers overlapping calls of `next()` in order, and throws an error once. */
  readonly #results: AsyncGenerator<Item, undefined>;
  #calls: Calls | undefined;
  /** The request of the stream; undefined before the first `next()`. */
  #call: Call | undefined;
  #items = new Fifo<Item>();
  /** Number of the arrived items that no `next()` has taken, and their characters. */
  #count = 0;
  #size = 0;
  /** A promise while an asynchronous schema checks an item. Later items wait for it. */
  #checking: void | Promise<void> = undefined;
  /** How the loop ends after its items; undefined while it is open. */
  #end: End | undefined;
  /** The promise of a reader that waits. Resolves when there is an item, or the end. */
  #readable: Deferred<void> | undefined;
  /** Number of the items taken since the last report to the peer, and their characters. */
  #taken = 0;
  #takenSize = 0;
  #isReporting = false;
  readonly #aborted = (): void => this.#leave(this.#call!.signal!.reason);

  /** @param calls - Throws when no contract reads the connection. */
  constructor(
    calls: () => Calls,
    definition: StreamDefinition,
    input: unknown,
    options: CallOptions = {},
  ) {
    this.#definition = definition;
    this.#options = options;
    this.#results = this.#read(calls, input);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The first call sends the request. */
  next(): Promise<Result> {
    const result = new CallPromise<Result>();
    this.#results.next().then(
      ({ done, value }) =>
        result.resolve(done ? { done, value } : { done: false, value: value[0] }),
      (error: unknown) => {
        if (this.#calls === undefined) result.reject(error);
        else this.#calls.reject(result, this.#definition, error, this.#options);
      },
    );
    return result;
  }

  /** Ends the loop at once. Does not wait until the peer's generator has ended, which may take long. */
  async return(): Promise<Result> {
    this.#leave();
    await this.#results.return(undefined);
    return { done: true, value: undefined };
  }

  async *#read(callsOf: () => Calls, input: unknown): AsyncGenerator<Item, undefined> {
    const calls = (this.#calls = callsOf());
    const call = calls.open(this.#definition, input, this.#options, this.#arrived);
    this.#call = call;
    call.outcome.then(
      () => after(this.#checking, () => this.#stop()),
      (reason: unknown) => after(this.#checking, () => this.#stop(reason)),
    );
    try {
      if (call.signal !== undefined) addAbortListener(call.signal, this.#aborted);
      calls.start(call);
      for (;;) {
        const item = this.#items.shift();
        if (item !== undefined) {
          this.#took(item);
          yield item;
        } else if (this.#end === undefined) await this.#untilReadable(call);
        else if (this.#end.length === 0) return undefined;
        else throw this.#end[0];
      }
    } finally {
      this.#leave();
    }
  }

  /** Waits for an item or the end, for at most the option `timeout`. */
  #untilReadable(call: Call): Promise<void> {
    if (call.ms !== Infinity) call.timers.set(this, call.ms, true);
    this.#calls!.wait(call);
    this.#readable = new Deferred();
    return this.#readable.promise;
  }

  #wakeReader(): void {
    const call = this.#call!;
    call.waitsSince = 0;
    call.timers.clear(this);
    this.#readable?.resolve();
  }

  readonly #arrived: TakeItems = (items, size) => {
    const { name, item } = this.#definition;
    const each = size / items.length;
    for (const value of items) {
      this.#count++;
      this.#size += each;
      if (this.#count > MAX_ITEMS || (this.#size > MAX_SIZE && this.#count > 1)) {
        const what = `${name}: ${this.#count} items wait here`;
        const why = 'the other end does not wait for their reader';
        return this.#stop(new BackpressureError(`${what}; ${why}`));
      }
      this.#checking = after(this.#checking, () =>
        checkArrived(item, value, `an item of ${name}`, (error, checked) => {
          if (error !== undefined || this.#end !== undefined) return this.#stop(error);
          this.#items.add([checked, each]);
          this.#wakeReader();
        }),
      );
    }
  };

  /** Ends the loop after the waiting items. */
  #stop(...end: End): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#calls!.giveUp(this.#call!, undefined);
    this.#wakeReader();
  }

  /** Ends the loop at once, and drops the waiting items. */
  #leave(...end: End): void {
    const call = this.#call;
    if (call === undefined) return;
    this.#items = new Fifo();
    this.#end = undefined;
    this.#stop(...end);
    if (call.signal !== undefined) removeAbortListener(call.signal, this.#aborted);
  }

  /** Called by the timer: no item has arrived in time. */
  fire(): void {
    const what = `no item of ${this.#definition.name} within ${this.#call!.ms} ms (option timeout)`;
    this.#leave(new TimeoutError(what));
  }

  #took([, size]: Item): void {
    this.#count--;
    this.#size -= size;
    this.#taken++;
    this.#takenSize += size;
    if (!this.#isReporting) void this.#report();
  }

  /** Reports taken items. Waits for each report before the next one, because the peer may not read. */
  async #report(): Promise<void> {
    this.#isReporting = true;
    while (!this.#end && (this.#taken >= REPORT_ITEMS || this.#takenSize >= REPORT_SIZE)) {
      const n = this.#taken;
      this.#taken = 0;
      this.#takenSize = 0;
      const reason = await this.#calls!.report(this.#call!, n);
      if (reason !== undefined) this.#stop(reason);
    }
    this.#isReporting = false;
  }
}
