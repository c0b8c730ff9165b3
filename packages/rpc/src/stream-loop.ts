import { BackpressureError, JSONError, TimeoutError } from '@ws/conn';
import {
  addAbortListener,
  CallPromise,
  checkOptionNames,
  duration,
  Fifo,
  removeAbortListener,
  type TimerEntry,
} from '@ws/conn/internal';
import {
  type Call,
  type CallOptions,
  type Calls,
  checkSignal,
  OPTION_NAMES,
  type TakeItems,
} from './calls.ts';
import type { StreamDefinition } from './definitions.ts';
import { after, type Checked, checkEither, misfit } from './schema.ts';
import { TOLD_ITEMS, TOLD_SIZE } from './stream-window.ts';

/** Bounds of the items that wait for `next()`, in number and in characters of their messages. */
const MAX_ITEMS = 1_024;
const MAX_SIZE = 4 * 1024 * 1024;

/** An item that has arrived, and the characters of its message. */
type Arrived = readonly [value: unknown, size: number];

/** The end of a loop: its error, if there is one. */
type End = readonly [error?: unknown];

type Result = IteratorResult<unknown, undefined>;

/** The loop of a caller over the items of a stream. */
export class StreamLoop implements AsyncIterableIterator<unknown, undefined>, TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly #callsOf: () => Calls;
  readonly #definition: StreamDefinition;
  readonly #input: unknown;
  readonly #options: CallOptions;
  #calls: Calls | undefined;
  /** Undefined before the request. */
  #call: Call | undefined;
  #signal: AbortSignal | undefined;
  /** The longest wait for an item in ms. */
  #ms = Infinity;
  #items = new Fifo<Arrived>();
  #size = 0;
  /** The calls of `next()` that wait. */
  readonly #nexts = new Fifo<CallPromise<Result>>();
  /** The end, after the items. */
  #end: End | undefined;
  /** Whether no more items are handed out. */
  #hasLeft = false;
  /** Whether the first `next()` waits for the schema of its item. */
  #isChecking = false;
  /** Items, and their characters, that were taken, and that the other end was not told. */
  #taken = 0;
  #takenSize = 0;
  #isTelling = false;
  readonly #aborted = (): void => this.#leave([this.#signal?.reason]);
  readonly #schemaFailed = (cause: unknown): void => {
    const what = `the schema of an item of ${this.#definition.name} failed`;
    this.#leave([new JSONError(what, [], { cause })]);
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
    this.#input = input;
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The first call sends the request. */
  next(): Promise<Result> {
    const next = new CallPromise<Result>();
    this.#nexts.add(next);
    if (this.#call === undefined && !this.#hasLeft) this.#begin();
    // It may abort when all items have arrived, and some wait.
    if (this.#signal?.aborted) this.#aborted();
    this.#handOut();
    return next;
  }

  /** Ends the generator of the other end, and does not wait for that. It may take long. */
  return(): Promise<Result> {
    this.#leave([]);
    this.#end = [];
    return this.next();
  }

  /** An option may not fit, or the request may not leave. */
  #begin(): void {
    try {
      this.#calls = this.#callsOf();
      checkOptionNames(this.#definition.name, this.#options, OPTION_NAMES, 'ignore');
      const { signal, timeout } = this.#options;
      checkSignal(signal);
      this.#signal = signal;
      this.#ms = duration('timeout', timeout, Infinity, true);
      if (signal?.aborted) throw signal.reason;
      this.#call = this.#calls.open(this.#definition, this.#input, this.#arrived);
    } catch (reason) {
      return this.#leave([reason]);
    }
    if (this.#signal !== undefined) addAbortListener(this.#signal, this.#aborted);
    this.#call.outcome.then(
      () => this.#stop([]),
      (reason: unknown) => this.#stop([reason]),
    );
  }

  /** Settles as many calls of `next()` as possible, in order. The error comes once. */
  #handOut(): void {
    while (this.#nexts.length > 0 && !this.#isChecking) {
      const item = this.#items.shift();
      if (item !== undefined) this.#check(item);
      else if (this.#end === undefined) break;
      else {
        const [error] = this.#end;
        const isError = this.#end.length > 0;
        this.#end = [];
        this.#hasLeft = true;
        const next = this.#first();
        if (!isError) next.resolve({ done: true, value: undefined });
        else if (this.#calls === undefined) next.reject(error);
        else this.#calls.reject(next, this.#definition, error, this.#signal);
      }
    }
    if (this.#nexts.length > 0) this.#wait();
    // The signal may end the check of an item also when the request has ended.
    if (this.#signal !== undefined && this.#end !== undefined && !this.#isChecking) {
      removeAbortListener(this.#signal, this.#aborted);
    }
  }

  /** Removes the first `next()`, which has an outcome. */
  #first(): CallPromise<Result> {
    const call = this.#call;
    if (call !== undefined) call.waitsSince = 0;
    call?.timers.clear(this);
    return this.#nexts.shift()!;
  }

  /** Ends the loop without the items that wait. */
  #leave(end: End): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#isChecking = false;
    this.#items = new Fifo();
    this.#end = end;
    this.#stop(end);
  }

  /** Ends the loop behind the items that wait. */
  #stop(end: End): void {
    this.#end ??= end;
    if (this.#call !== undefined) this.#calls!.giveUp(this.#call, undefined);
    this.#handOut();
  }

  readonly #arrived: TakeItems = (items, size) => {
    for (const value of items) {
      this.#items.add([value, size / items.length]);
      this.#size += size / items.length;
      const waiting = this.#items.length;
      if (waiting <= MAX_ITEMS && (this.#size <= MAX_SIZE || waiting === 1)) continue;
      const what = `${this.#definition.name}: ${waiting} items wait here`;
      const reason = new BackpressureError(`${what}; the other end does not wait for their reader`);
      return this.#stop([reason]);
    }
    // Unless they arrive while the request leaves, in this process.
    if (this.#call !== undefined) this.#handOut();
  };

  /** Counts an item as taken, and hands it out when it fits its schema. */
  #check([value, size]: Arrived): void {
    this.#call!.waitsSince = 0;
    this.#size -= size;
    this.#taken++;
    this.#takenSize += size;
    if (!this.#isTelling) void this.#tell();
    this.#isChecking = true;
    try {
      // JSON has null for undefined.
      const other = value === null ? { value: undefined } : undefined;
      const checked = checkEither(this.#definition.item, value, other);
      const done = after(checked, (result) => this.#checked(result));
      if (!(done instanceof Promise)) return;
      if (this.#signal !== undefined) addAbortListener(this.#signal, this.#aborted);
      done.then(() => this.#handOut(), this.#schemaFailed);
    } catch (cause) {
      this.#schemaFailed(cause);
    }
  }

  #checked({ value, issues }: Checked): void {
    if (this.#hasLeft) return;
    this.#isChecking = false;
    if (issues === undefined) this.#first().resolve({ done: false, value });
    else
      this.#leave([misfit(`an item of ${this.#definition.name} does not fit its schema`, issues)]);
  }

  /** The first `next()` waits for an item, or for the schema of its item. */
  #wait(): void {
    const call = this.#call!;
    if (this.slot === undefined && this.#ms !== Infinity) call.timers.set(this, this.#ms, true);
    if (!this.#isChecking && call.waitsSince === 0) this.#calls!.wait(call);
  }

  /** No item has come in time. */
  fire(): void {
    const what = `no item of ${this.#definition.name} within ${this.#ms} ms (option timeout)`;
    this.#leave([new TimeoutError(what)]);
  }

  /** Sends one message at a time. The other end may not read. */
  async #tell(): Promise<void> {
    this.#isTelling = true;
    while (!this.#end && (this.#taken >= TOLD_ITEMS || this.#takenSize >= TOLD_SIZE)) {
      const n = this.#taken;
      this.#taken = 0;
      this.#takenSize = 0;
      const reason = await this.#calls!.tell(this.#call!, n);
      if (reason !== undefined) this.#stop([reason]);
    }
    this.#isTelling = false;
  }
}
