import { BackpressureError, JSONError, TimeoutError } from '@ws/conn';
import {
  addAbortListener,
  checkOptionNames,
  Deferred,
  duration,
  Fifo,
  handled,
  removeAbortListener,
  type TimerEntry,
} from '@ws/conn/internal';
import { type Call, type CallOptions, type Calls, checkSignal, OPTION_NAMES } from './calls.ts';
import type { StreamDefinition } from './definitions.ts';
import { type Checked, checkEither, misfit } from './schema.ts';
import { TOLD_ITEMS, TOLD_SIZE } from './stream-window.ts';

/** Bounds of the items that wait for `next()`, in number and in characters of their messages. */
const MAX_ITEMS = 1_024;
const MAX_SIZE = 4 * 1024 * 1024;

/** An item that has arrived. */
interface Arrived {
  readonly value: unknown;
  /** Characters of its message. */
  readonly size: number;
}

interface End {
  readonly error?: { readonly reason: unknown };
}

type Result = IteratorResult<unknown, undefined>;

/** The loop of a caller over the items of a stream. */
export class StreamLoop implements AsyncIterableIterator<unknown, undefined>, TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly #callsOf: () => Calls;
  readonly #definition: StreamDefinition;
  readonly #options: CallOptions;
  readonly #reading: AsyncGenerator<unknown, undefined>;
  #calls: Calls | undefined;
  /** Undefined before the request. */
  #call: Call | undefined;
  /** The longest wait for an item in ms. */
  #ms = Infinity;
  #items = new Fifo<Arrived>();
  #size = 0;
  /** What follows the items. */
  #end: End | undefined;
  /** Whether the items that wait were dropped. */
  #hasLeft = false;
  /** Resolves when there is something to read. */
  #news: Deferred<void> | undefined;
  /** Items, and their characters, that were taken, and that the other end was not told. */
  #taken = 0;
  #takenSize = 0;
  #isTelling = false;
  readonly #aborted = (): void => this.#leave({ error: { reason: this.#options.signal?.reason } });

  readonly #schemaFailed = (cause: unknown): never => {
    const what = `the schema of an item of ${this.#definition.name} failed`;
    throw new JSONError(what, [], { cause });
  };

  /** @param calls - Throws when no contract reads the connection. */
  constructor(
    calls: () => Calls,
    definition: StreamDefinition,
    input: unknown,
    options: CallOptions = {},
  ) {
    this.#callsOf = calls;
    this.#definition = definition;
    this.#options = options;
    this.#reading = this.#read(input);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The first call sends the request. */
  next(): Promise<Result> {
    return handled(this.#reading.next());
  }

  /** Ends the generator of the other end, and does not wait for that: it may take long. */
  return(): Promise<Result> {
    this.#leave();
    void handled(this.#reading.return(undefined));
    return Promise.resolve({ done: true, value: undefined });
  }

  /** The results of `next()`, in order. The error comes once. */
  async *#read(input: unknown): AsyncGenerator<unknown, undefined> {
    try {
      this.#begin(input);
      for (;;) {
        const { signal } = this.#options;
        // It may abort when all items have arrived, and some wait.
        if (signal?.aborted) throw signal.reason;
        const item = this.#items.shift();
        if (item !== undefined) {
          const checked = this.#check(item);
          const { value, issues } = checked instanceof Promise ? await checked : checked;
          if (this.#hasLeft) continue;
          if (issues === undefined) yield value;
          else throw misfit(`an item of ${this.#definition.name} does not fit its schema`, issues);
        } else if (this.#end?.error !== undefined) throw this.#end.error.reason;
        else if (this.#end !== undefined) return undefined;
        else await this.#untilNews();
      }
    } finally {
      this.#leave();
    }
  }

  /** @throws TypeError or RangeError for an option; the error of a request that cannot be sent. */
  #begin(input: unknown): void {
    checkOptionNames(this.#definition.name, this.#options, OPTION_NAMES, 'ignore');
    const { signal, timeout } = this.#options;
    checkSignal(signal);
    this.#ms = duration('timeout', timeout, Infinity, true);
    if (signal?.aborted) throw signal.reason;
    this.#calls = this.#callsOf();
    this.#call = this.#calls.open(this.#definition, input, (items, size) =>
      this.#arrived(items, size),
    );
    if (signal !== undefined) addAbortListener(signal, this.#aborted);
    const ended = (end: End): void => {
      if (signal !== undefined) removeAbortListener(signal, this.#aborted);
      this.#stop(end);
    };
    this.#call.outcome.then(
      () => ended({}),
      (reason: unknown) => ended({ error: { reason } }),
    );
  }

  /** Ends the loop without the items that wait. */
  #leave(end: End = {}): void {
    this.#hasLeft = true;
    this.#items = new Fifo();
    this.#stop(end);
  }

  /** Ends the loop behind the items that wait. */
  #stop(end: End): void {
    this.#end ??= end;
    if (this.#call !== undefined) this.#calls!.giveUp(this.#call, undefined);
    this.#wake();
  }

  /** Takes items that have arrived, in a message of `size` characters. */
  #arrived(items: readonly unknown[], size: number): void {
    for (const value of items) {
      this.#items.add({ value, size: size / items.length });
      this.#size += size / items.length;
      const waiting = this.#items.length;
      if (waiting <= MAX_ITEMS && (this.#size <= MAX_SIZE || waiting === 1)) continue;
      const what = `${this.#definition.name}: ${waiting} items wait here`;
      const reason = new BackpressureError(`${what}; the other end does not wait for their reader`);
      return this.#stop({ error: { reason } });
    }
    this.#wake();
  }

  /** Counts an item as taken. @throws (or rejects with) JSONError when the schema fails. */
  #check({ value, size }: Arrived): Checked | Promise<Checked> {
    this.#size -= size;
    this.#taken++;
    this.#takenSize += size;
    if (!this.#isTelling) void this.#tell();
    try {
      // JSON has null for undefined.
      const other = value === null ? { value: undefined } : undefined;
      const checked = checkEither(this.#definition.item, value, other);
      return checked instanceof Promise ? checked.catch(this.#schemaFailed) : checked;
    } catch (cause) {
      return this.#schemaFailed(cause);
    }
  }

  async #untilNews(): Promise<void> {
    const news = new Deferred<void>();
    this.#news = news;
    if (this.#ms !== Infinity) this.#call!.timers.set(this, this.#ms, true);
    this.#calls!.wait(this.#call!);
    await news.promise;
  }

  #wake(): void {
    if (this.#news === undefined) return;
    this.#calls!.stopWait(this.#call!);
    this.#call!.timers.clear(this);
    this.#news.resolve();
    this.#news = undefined;
  }

  /** No item has come in time. */
  fire(): void {
    const what = `no item of ${this.#definition.name} within ${this.#ms} ms (option timeout)`;
    this.#stop({ error: { reason: new TimeoutError(what) } });
  }

  /** Sends one message at a time: the other end may not read. */
  async #tell(): Promise<void> {
    this.#isTelling = true;
    while (!this.#end && (this.#taken >= TOLD_ITEMS || this.#takenSize >= TOLD_SIZE)) {
      const n = this.#taken;
      this.#taken = 0;
      this.#takenSize = 0;
      const reason = await this.#calls!.tell(this.#call!, n);
      if (reason !== undefined) this.#stop({ error: { reason } });
    }
    this.#isTelling = false;
  }
}
