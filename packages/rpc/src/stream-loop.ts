import { BackpressureError } from '@ws/conn';
import {
  addAbortListener,
  CallPromise,
  type ConnInternals,
  Deferred,
  Fifo,
  internalsOf,
  removeAbortListener,
  type TimerEntry,
} from '@ws/conn/internal';
import { type Call, type CallOptions, type Calls, type TakeItems, TIMEOUT_MS } from './calls.ts';
import type { StreamDefinition } from './definitions.ts';
import { after, checkArrived } from './schema.ts';
import { LEAST_SHARE, MAX_SIZE, REPORT_ITEMS, REPORT_SIZE } from './stream-window.ts';

/** Bound of the items of one stream that wait for `next()`: twice the window of the other end. */
const MAX_ITEMS = 128;
/** Number of open streams for which all shares, and a window for one stream, are 256 KiB. */
const USUAL_STREAMS = 16;

/**
 * An item that fits its schema, its share of the characters of its message, and the part of these that
 * counts for `OpenStreams.unread`.
 */
type Item = readonly [value: unknown, size: number, shared: number];

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
  /** The part of {@link #size} that counts for `maxTotalBufferedAmount`. */
  #kept = 0;
  #internals: ConnInternals | undefined;
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
    // Without a reader of the connection, no item arrives.
    const isUnread = call.ms === Infinity && !this.#calls!.hasReader;
    const ms = isUnread ? TIMEOUT_MS : call.ms;
    if (ms !== Infinity) call.timers.set(this, ms, true);
    const readable = (this.#readable = new Deferred());
    this.#calls!.readerWaits();
    return readable.promise;
  }

  #wakeReader(): void {
    this.#call!.timers.clear(this);
    if (this.#readable === undefined) return;
    this.#calls!.streams.awaited--;
    this.#readable.resolve();
    this.#readable = undefined;
  }

  readonly #arrived: TakeItems = (items, size) => {
    const { name, item } = this.#definition;
    const each = size / items.length;
    for (const value of items) {
      const refusal = this.#refusalOf(each);
      if (refusal !== undefined) {
        this.#call!.keepsUnread = true;
        return this.#stop(new BackpressureError(`${name}: ${refusal}`));
      }
      // A nearly empty window takes one item of any size.
      const shared = this.#size < REPORT_SIZE && each > REPORT_SIZE ? 0 : each;
      this.#count++;
      this.#size += each;
      this.#calls!.countUnread(this.#call!, shared);
      this.#checking = after(this.#checking, () =>
        checkArrived(item, value, `an item of ${name}`, (error, checked) => {
          if (error !== undefined || this.#end !== undefined) return this.#stop(error);
          this.#items.add([checked, each, shared]);
          this.#wakeReader();
        }),
      );
    }
  };

  /**
   * Why one more item of `size` characters must not wait; undefined if it may. The bounds admit all
   * that the `StreamWindow`s of the other end let it send.
   */
  #refusalOf(size: number): string | undefined {
    const { count, unread } = this.#calls!.streams;
    const most = MAX_SIZE + Math.max(count, USUAL_STREAMS) * LEAST_SHARE;
    if (this.#count >= MAX_ITEMS || this.#size > MAX_SIZE || unread > most) {
      return `${this.#count} items wait here; the other end does not wait for their reader`;
    }
    if (this.#keeps(this.#size + size)) return undefined;
    this.#keeps(this.#size);
    return `${this.#count} items wait here, and the messages of all connections exceed maxTotalBufferedAmount`;
  }

  /**
   * Counts `size` unread characters for `maxTotalBufferedAmount`, in steps: most items are taken at
   * once. Returns whether so many may wait.
   */
  #keeps(size: number): boolean {
    const change = size - this.#kept;
    if (Math.abs(change) < REPORT_SIZE && size > 0) return true;
    this.#kept = size;
    this.#internals ??= internalsOf(this.#call!.connection!);
    // After the end, only a loop that the application still reads keeps its items.
    return this.#internals.countKept?.(change, false) !== false;
  }

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
    this.#size = 0;
    if (this.#kept > 0) this.#keeps(0);
    this.#calls!.countUnread(call, -call.unreadSize);
    this.#end = undefined;
    this.#stop(...end);
    if (call.signal !== undefined) removeAbortListener(call.signal, this.#aborted);
  }

  /** Called by the timer: no item has arrived in time. */
  fire(): void {
    const { ms } = this.#call!;
    const calls = this.#calls!;
    // A listener has read the first message meanwhile.
    if (ms === Infinity && calls.hasReader) return;
    const waited = ms === Infinity ? TIMEOUT_MS : ms;
    this.#leave(calls.lateError(`no item of ${this.#definition.name}`, waited));
  }

  #took([, size, shared]: Item): void {
    this.#count--;
    this.#size -= size;
    if (this.#kept > 0) this.#keeps(this.#size);
    // The end of the stream has set the count of an ended one to 0.
    this.#calls!.countUnread(this.#call!, -Math.min(shared, this.#call!.unreadSize));
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
