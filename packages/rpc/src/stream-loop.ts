import { BackpressureError, JSONError, TimeoutError } from '@ws/conn';
import {
  addAbortListener,
  checkOptionNames,
  Deferred,
  duration,
  Fifo,
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

type Result = IteratorResult<unknown, undefined>;

/** The loop of a caller over the items of a stream. */
export class StreamLoop implements AsyncIterableIterator<unknown, undefined>, TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly #callsOf: () => Calls;
  readonly #definition: StreamDefinition;
  readonly #input: unknown;
  readonly #options: CallOptions;
  /** Undefined before the first `next()`. */
  #calls: Calls | undefined;
  #call: Call | undefined;
  /** The longest wait for an item in ms. */
  #ms = Infinity;
  readonly #items = new Fifo<Arrived>();
  #size = 0;
  /** The results of `next()` that are due, in their order. */
  readonly #due: Deferred<Result>[] = [];
  /** The item that an asynchronous schema checks. */
  #checking: Arrived | undefined;
  /** What follows the items. */
  #end: 'done' | { readonly error: unknown } | undefined;
  /** Whether the end was handed out. */
  #isOver = false;
  /** Items, and their characters, that were taken and not told. */
  #taken = 0;
  #takenSize = 0;
  #isTelling = false;
  readonly #aborted = (): void => this.#abort();

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

  /** Sends the request when it is called first. Results come in the order of the calls. */
  next(): Promise<Result> {
    const result = new Deferred<Result>();
    this.#due.push(result);
    if (this.#call === undefined && this.#end === undefined) this.#begin();
    // The signal may abort when all items have arrived, and some wait.
    else if (this.#options.signal?.aborted) this.#abort();
    this.#handOut();
    return result.promise;
  }

  /** Ends the generator, and does not wait for that: it may take long. */
  return(): Promise<Result> {
    this.#isOver = true;
    this.#leave('done');
    return Promise.resolve({ done: true, value: undefined });
  }

  #begin(): void {
    const { name } = this.#definition;
    try {
      checkOptionNames(name, this.#options, OPTION_NAMES, 'ignore');
      const { signal, timeout } = this.#options;
      checkSignal(signal);
      this.#ms = duration('timeout', timeout, Infinity, true);
      if (signal?.aborted) throw signal.reason;
      this.#calls = this.#callsOf();
      this.#call = this.#calls.open(this.#definition, this.#input, this);
      this.#call.outcome.then(
        () => this.#ended('done'),
        (error: unknown) => this.#ended({ error }),
      );
      if (signal !== undefined) addAbortListener(signal, this.#aborted);
    } catch (error) {
      this.#end = { error };
    }
  }

  #ended(end: 'done' | { readonly error: unknown }): void {
    this.#stopListening();
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#handOut();
  }

  #stopListening(): void {
    const { signal } = this.#options;
    if (signal !== undefined) removeAbortListener(signal, this.#aborted);
  }

  #abort(): void {
    if (!this.#isOver) this.#leave({ error: this.#options.signal?.reason });
  }

  /** Ends the loop without the items that wait. */
  #leave(end: 'done' | { readonly error: unknown }): void {
    while (this.#items.shift() !== undefined) {
      // Nobody takes it.
    }
    this.#size = 0;
    this.#checking = undefined;
    const isOpen = this.#end === undefined;
    this.#end = end;
    if (isOpen) this.#giveUp();
    this.#handOut();
  }

  #giveUp(): void {
    if (this.#call !== undefined) this.#calls!.giveUp(this.#call, undefined);
  }

  /** Ends the loop with an error of this end, behind the items that wait. */
  #fail(error: unknown): void {
    this.#end = { error };
    this.#giveUp();
  }

  /** Takes items that have arrived, in a message of `size` characters. */
  take(items: readonly unknown[], size: number): void {
    for (const value of items) {
      this.#items.add({ value, size: size / items.length });
      this.#size += size / items.length;
      this.#handOut();
      const waiting = this.#items.length;
      if (waiting <= MAX_ITEMS && (this.#size <= MAX_SIZE || waiting === 1)) continue;
      const what = `${this.#definition.name}: ${waiting} items wait here`;
      this.#fail(new BackpressureError(`${what}; the other end does not wait for its reader`));
      return;
    }
  }

  #handOut(): void {
    while (this.#due.length > 0 && this.#checking === undefined) {
      const item = this.#items.shift();
      if (item !== undefined) this.#give(item);
      else if (this.#end !== undefined) this.#giveEnd(this.#end);
      else break;
    }
    const waits = this.#due.length > 0 && this.#checking === undefined;
    if (waits) this.#wait();
    else this.#stopWait();
  }

  #give(item: Arrived): void {
    this.#stopWait();
    const { value, size } = item;
    this.#size -= size;
    this.#taken++;
    this.#takenSize += size;
    if (!this.#isTelling) void this.#tell();
    try {
      // JSON has null for undefined.
      const other = value === null ? { value: undefined } : undefined;
      const checked = checkEither(this.#definition.item, value, other);
      if (!(checked instanceof Promise)) return this.#giveChecked(checked);
      this.#checking = item;
      const after = (use: () => void): void => {
        // The loop may have ended.
        if (this.#checking !== item) return;
        this.#checking = undefined;
        use();
        this.#handOut();
      };
      checked.then(
        (result) => after(() => this.#giveChecked(result)),
        (cause: unknown) => after(() => this.#refuse(cause)),
      );
    } catch (cause) {
      this.#refuse(cause);
    }
  }

  #giveChecked({ value, issues }: Checked): void {
    if (issues === undefined) this.#due.shift()!.resolve({ done: false, value });
    else {
      const { name } = this.#definition;
      this.#leave({ error: misfit(`an item of ${name} does not fit its schema`, issues) });
    }
  }

  /** The schema has failed. */
  #refuse(cause: unknown): void {
    const what = `the schema of an item of ${this.#definition.name} failed`;
    this.#leave({ error: new JSONError(what, [], { cause }) });
  }

  /** The error comes once. */
  #giveEnd(end: 'done' | { readonly error: unknown }): void {
    const due = this.#due.shift()!;
    if (end === 'done' || this.#isOver) due.resolve({ done: true, value: undefined });
    else due.reject(end.error);
    this.#isOver = true;
  }

  #wait(): void {
    if (this.#call!.waitsSince > 0) return;
    if (this.#ms !== Infinity) this.#call!.timers.set(this, this.#ms, true);
    this.#calls!.wait(this.#call!);
  }

  #stopWait(): void {
    if (this.#call === undefined || this.#call.waitsSince === 0) return;
    this.#calls!.stopWait(this.#call);
    this.#call.timers.clear(this);
  }

  /** No item has come in time. */
  fire(): void {
    this.#fail(
      new TimeoutError(
        `no item of ${this.#definition.name} within ${this.#ms} ms (option timeout)`,
      ),
    );
    this.#handOut();
  }

  /** One message is under way at a time: the other end may not read. */
  async #tell(): Promise<void> {
    this.#isTelling = true;
    while (this.#end === undefined && (this.#taken >= TOLD_ITEMS || this.#takenSize >= TOLD_SIZE)) {
      const n = this.#taken;
      this.#taken = 0;
      this.#takenSize = 0;
      const refusal = await this.#calls!.tell(this.#call!, n);
      if (refusal !== undefined && this.#end === undefined) {
        this.#fail(refusal);
        this.#handOut();
      }
    }
    this.#isTelling = false;
  }
}
