import {
  BackpressureError,
  type CloseError,
  type ConnLike,
  JSONError,
  TimeoutError,
} from '@ws/conn';
import {
  addAbortListener,
  CallPromise,
  checkOptionNames,
  duration,
  RESOLVED,
  removeAbortListener,
  schedulerOf,
  type TimerEntry,
} from '@ws/conn/internal';
import { ACCEPTED, type Carrier } from './carrier.ts';
import type { Definition, EventDefinition, MethodDefinition } from './definitions.ts';
import { ErrorCode, isSo, RpcError } from './rpc-error.ts';
import { checkArrived } from './schema.ts';
import { CANCEL, callText, MORE, signalText, type WireMessage } from './wire.ts';

/** Requests of this end that the other end has and has not answered. */
const MAX_OPEN = 256;
/** Bounds of the calls that wait for a place or a connection, in number and in characters of text. */
const MAX_WAITING = 10_000;
const MAX_WAITING_SIZE = 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** Connections that a request with `retry` is sent on. The request itself may end a connection. */
const MAX_SENT = 5;
/** Close codes of a peer that refuses a message. It would refuse the message again. */
export const REFUSALS: readonly number[] = [1007, 1009];
const OPTION_NAMES: readonly string[] = ['signal', 'timeout'];

/** The options of a call. */
export interface CallOptions {
  /** Ends the call, which rejects with the reason, and aborts the `signal` of its handler. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The longest wait for the answer in ms; false for no bound. The call then rejects with a
   * TimeoutError, and the `signal` of its handler aborts. Default: 30,000. For a stream, the longest
   * wait for one item; no default.
   */
  readonly timeout?: number | false | undefined;
}

type Scheduler = ReturnType<typeof schedulerOf>;

/** Takes items of a stream, in a message of `size` characters. */
export type TakeItems = (items: readonly unknown[], size: number) => void;

/** A request without an answer, or an event that waits. */
export class Call implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  /** The number of the call at this end, from 1. A request has it as its id. */
  readonly number: number;
  readonly text: string;
  readonly definition: Definition;
  readonly outcome: CallPromise = new CallPromise();
  readonly aborted = (): void => this.#calls.giveUp(this, this.signal?.reason);
  readonly signal: AbortSignal | undefined;
  readonly ms: number;
  /** The timers of the platform of the call. A later connection may have another one. */
  readonly timers: Scheduler['timers'];
  /** The connection that has it; undefined while it waits. */
  connection: ConnLike | undefined;
  /** Connections that it was sent on. */
  timesSent = 0;
  /** Undefined for a call that is no stream. */
  readonly take: TakeItems | undefined;
  /** The calls that had begun when the reader of a stream began to wait. 0 while it does not wait. */
  waitsSince = 0;
  readonly #calls: Calls;

  constructor(
    calls: Calls,
    definition: Definition,
    input: unknown,
    number: number,
    { signal, timeout }: CallOptions,
    take?: TakeItems,
  ) {
    this.#calls = calls;
    this.definition = definition;
    const { isRequest } = this;
    const { kind } = definition;
    // An event waits as a message does.
    const fallback = kind === 'method' ? TIMEOUT_MS : Infinity;
    this.ms = kind === 'event' ? Infinity : duration('timeout', timeout, fallback, true);
    this.take = take;
    this.timers = calls.timers;
    this.signal = signal;
    this.number = number;
    this.text = callText(definition.name, input, isRequest ? number : undefined, definition.input);
  }

  get isRequest(): boolean {
    return this.definition.kind !== 'event';
  }

  /** The time is up. */
  fire(): void {
    this.#calls.timedOut(this);
  }
}

/** The requests without an answer, and the events, that this end of a link sends. */
export class Calls {
  readonly #carrier: Carrier;
  readonly #wrote: () => void;
  readonly #waits: () => void;
  /** Requests without an outcome, and events that were not sent, by number, in their order. */
  readonly #calls = new Map<number, Call>();
  /** Streams that were sent. */
  #streams = 0;
  /** Other requests that were sent. At most {@link MAX_OPEN}. */
  #open = 0;
  /** Events that were sent, and that the connection has not accepted. */
  #writing = 0;
  #waiting = 0;
  /** Waiting events. They wait only for a connection. */
  #waitingEvents = 0;
  /** Characters of the waiting calls. */
  #waitingSize = 0;
  /** The number of calls that have begun. */
  begun = 0;
  /** Set when no call can be answered any more. */
  #ended: unknown;

  /**
   * @param wrote - Called when an event that had waited for the connection has left.
   * @param waits - Called when a reader begins to wait for an item of a stream.
   */
  constructor(carrier: Carrier, wrote: () => void, waits: () => void) {
    this.#carrier = carrier;
    this.#wrote = wrote;
    this.#waits = waits;
  }

  get timers(): Scheduler['timers'] {
    return schedulerOf(this.#carrier.platform).timers;
  }

  /** Whether a call waits for its answer, or a message waits for the transport. Streams do not count. */
  get waits(): boolean {
    return this.#calls.size - this.#streams + this.#writing > 0;
  }

  /**
   * Whether the other end has a request of this end with a number above `calls`, or a reader of a stream
   * has begun to wait since the call `callsOfHandler`. Readers count for handlers only. A generator may
   * run for long beside readers that it does not serve, and later requests would overtake earlier ones.
   */
  hasRequestAfter(calls: number, callsOfHandler: number): boolean {
    if (this.begun <= calls) return false;
    for (const { connection, number, take, waitsSince } of this.#calls.values()) {
      // The calls that were sent come first.
      if (connection === undefined) return false;
      if (take === undefined ? number > calls : waitsSince > callsOfHandler) return true;
    }
    return false;
  }

  /** The number of the first stream with a reader that waits. */
  get firstAwaited(): number {
    for (const { number, waitsSince } of this.#calls.values()) if (waitsSince > 0) return number;
    return Infinity;
  }

  /**
   * Calls a method, or sends an event.
   *
   * @returns The answer. For an event: resolves when the connection has accepted it.
   */
  call(
    definition: MethodDefinition | EventDefinition,
    input: unknown,
    options: CallOptions = {},
  ): Promise<unknown> {
    let call: Call | undefined;
    try {
      call = this.open(definition, input, options);
      if (call.signal !== undefined) addAbortListener(call.signal, call.aborted);
    } catch (error) {
      if (call !== undefined) this.#remove(call);
      const failed = new CallPromise();
      this.reject(failed, definition, error, options);
      return failed;
    }
    if (call.ms !== Infinity) call.timers.set(call, call.ms, true);
    this.start(call);
    return call.outcome;
  }

  /**
   * Makes a call. {@link start} follows.
   *
   * @param take - For a stream.
   * @throws TypeError or RangeError for another option; JSONError for an input that JSON does not have;
   *   the reason of an aborted signal; the error of a connection that has ended; BackpressureError when
   *   too many calls wait.
   */
  open(definition: Definition, input: unknown, options: CallOptions, take?: TakeItems): Call {
    checkOptionNames(definition.name, options, OPTION_NAMES, 'ignore');
    checkSignal(options.signal);
    const call = new Call(this, definition, input, ++this.begun, options, take);
    // A getter of the input may have aborted it.
    if (call.signal?.aborted) throw call.signal.reason;
    if (this.#ended !== undefined) throw this.#ended;
    this.#add(call);
    return call;
  }

  /** Sends a call, unless others wait before it. */
  start(call: Call): void {
    if (this.#isNext(call, 1)) this.#sendIfPossible(call);
  }

  /** Takes a message with items. For a stream that is not open, it is ignored. */
  arrived(id: unknown, items: unknown, size: number): void {
    if (this.awaits(id) && Array.isArray(items)) this.#calls.get(id as number)!.take?.(items, size);
  }

  /** The reader of a stream begins to wait for an item. It counts as a call that begins now. */
  wait(call: Call): void {
    call.waitsSince = ++this.begun;
    this.#waits();
  }

  /** Tells the other end that the reader of a stream has taken `n` items. See `Carrier.sendSurely`. */
  tell({ connection, number }: Call, n: number): Promise<unknown> {
    return this.#carrier.sendSurely(connection, signalText(MORE, { id: number, n }));
  }

  /** @throws BackpressureError when too many calls wait. */
  #add(call: Call): void {
    const size = this.#waitingSize + call.text.length;
    const isFull = this.#waiting >= MAX_WAITING || size > MAX_WAITING_SIZE;
    // A call that leaves at once waits for nothing.
    if (isFull && !(this.#isNext(call, 0) && this.#canSend(call))) {
      const waiting = `${this.#waiting} calls with ${this.#waitingSize} characters wait`;
      throw new BackpressureError(`${call.definition.name}: ${waiting}; await earlier calls first`);
    }
    this.#calls.set(call.number, call);
    this.#countWaiting(call, 1);
  }

  #countWaiting({ isRequest, text }: Call, change: 1 | -1): void {
    this.#waiting += change;
    if (!isRequest) this.#waitingEvents += change;
    this.#waitingSize += change * text.length;
  }

  /** A stream may be open for any time, and takes no place of another request. */
  #countSent({ isRequest, take }: Call, change: 1 | -1): void {
    if (take !== undefined) this.#streams += change;
    else if (isRequest) this.#open += change;
  }

  /**
   * Whether no other call waits before a call. An event does not wait behind requests that wait for
   * answers.
   *
   * @param own - 1 if the call itself waits, else 0.
   */
  #isNext(call: Call, own: 0 | 1): boolean {
    return (call.isRequest ? this.#waiting : this.#waitingEvents) === own;
  }

  #canSend(call: Call): boolean {
    const isFull = call.isRequest && this.#open >= MAX_OPEN;
    return !isFull && this.#carrier.connection !== undefined;
  }

  /** Sends the calls that can be sent, in their order. */
  flush(): void {
    if (this.#waiting === 0) return;
    for (const call of this.#calls.values()) {
      if (call.connection !== undefined || this.#sendIfPossible(call)) continue;
      if (this.#waitingEvents === 0 || this.#carrier.connection === undefined) return;
    }
  }

  /** @returns False when the call must wait. */
  #sendIfPossible(call: Call): boolean {
    if (!this.#canSend(call)) return false;
    this.#countWaiting(call, -1);
    this.#countSent(call, 1);
    const { connection } = this.#carrier;
    call.connection = connection;
    call.timesSent++;
    const failed = (error: unknown): void => {
      this.#fail(call, error);
      this.flush();
    };
    const sent = this.#carrier.send(call.text, failed);
    if (sent === RESOLVED || sent === ACCEPTED) {
      if (!call.isRequest) this.#settle(call, () => call.outcome.resolve(undefined));
      return true;
    }
    if (call.isRequest) {
      sent.catch((error: unknown) => {
        // `broke` or `end` follows. It settles the request, or sends it again.
        const isLate = call.connection !== connection || connection?.state !== 'open';
        if (!isLate) failed(error);
      });
    } else this.#write(call, sent, failed);
    return true;
  }

  /**
   * Settles an event that waits for the connection. There may be many, so loops over the calls do not
   * visit them.
   */
  #write(call: Call, sent: Promise<void>, failed: (error: unknown) => void): void {
    this.#calls.delete(call.number);
    this.#writing++;
    sent.then(
      () => {
        this.#writing--;
        this.#settle(call, () => call.outcome.resolve(undefined));
        this.#wrote();
      },
      (error: unknown) => {
        this.#writing--;
        failed(error);
      },
    );
  }

  /** Takes the answer to a request. An answer that no request has is ignored. */
  answered({ id, result, error }: WireMessage): void {
    const call = this.#calls.get(id as number);
    // Ids of different connections never meet.
    if (call?.connection === undefined || call.connection !== this.#carrier.source) return;
    this.#remove(call);
    if (error === undefined || error === null) this.#resolve(call, result);
    else this.#fail(call, errorOf(error, call.definition.name));
    this.flush();
  }

  /** Takes a request of the other end without a handler. An echo server sends ours back. */
  returned({ id, method }: WireMessage, text: string): boolean {
    const call = this.#calls.get(id as number);
    if (call?.text !== text) return false;
    const what = `the answer to ${String(method)} is the request itself`;
    this.#fail(call, new JSONError(`${what}: does an echo server listen there?`));
    this.flush();
    return true;
  }

  /** Whether the request `id` waits for an answer. */
  awaits(id: unknown): boolean {
    const call = this.#calls.get(id as number);
    return call?.isRequest === true && call.connection === this.#carrier.source;
  }

  /** Settles with a result that fits the schema of the answer. */
  #resolve(call: Call, result: unknown): void {
    if (call.take !== undefined) return this.#settle(call, () => call.outcome.resolve(undefined));
    const { output, name } = call.definition as MethodDefinition;
    void checkArrived(output, result, `the answer to ${name}`, (error, value) => {
      if (error === undefined) this.#settle(call, () => call.outcome.resolve(value));
      else this.#fail(call, error);
    });
  }

  timedOut(call: Call): void {
    const { name } = call.definition;
    const what = call.connection === undefined ? `${name} was not sent` : `no answer to ${name}`;
    const why = this.#carrier.isRead ? '' : '; no listener of the contract reads this session';
    this.giveUp(call, new TimeoutError(`${what} within ${call.ms} ms (option timeout)${why}`));
  }

  /** Ends a call before its answer, and tells the other end. */
  giveUp(call: Call, reason: unknown): void {
    const { connection, number } = call;
    if (connection !== undefined && this.#calls.has(number)) {
      void this.#carrier.sendSurely(connection, signalText(CANCEL, { id: number }));
    }
    this.#fail(call, reason);
    this.flush();
  }

  #remove(call: Call): void {
    if (!this.#calls.delete(call.number)) return;
    if (call.connection === undefined) this.#countWaiting(call, -1);
    else this.#countSent(call, -1);
  }

  #fail(call: Call, error: unknown): void {
    this.#settle(call, () => this.reject(call.outcome, call.definition, error, call));
  }

  /** Reports the failure of a request that no code awaits, except by its own signal. */
  reject(
    outcome: Pick<CallPromise, 'reject'>,
    { kind, name }: Definition,
    error: unknown,
    by: CallOptions,
  ): void {
    const isOwn = isSo(() => by.signal!.aborted && by.signal!.reason === error);
    if (kind === 'event' || isOwn) outcome.reject(error);
    else {
      outcome.reject(error, (what) =>
        this.#carrier.reportRarely(`${name} ${what}`, () => error, name),
      );
    }
  }

  #settle(call: Call, settle: () => void): void {
    this.#remove(call);
    if (call.ms !== Infinity) call.timers.clear(call);
    settle();
    if (call.signal !== undefined) removeAbortListener(call.signal, call.aborted);
  }

  /**
   * A connection has ended, and another one follows. A request that may be sent again waits for it,
   * in its place before later calls.
   */
  broke(connection: ConnLike, error: CloseError): void {
    const mayRetry = !REFUSALS.includes(error.closeCode);
    for (const call of this.#calls.values()) {
      if (call.connection !== connection) continue;
      const { retry } = call.definition as MethodDefinition;
      if (mayRetry && retry && call.timesSent < MAX_SENT) {
        this.#countSent(call, -1);
        call.connection = undefined;
        this.#countWaiting(call, 1);
      } else this.#fail(call, error);
    }
    this.flush();
  }

  /**
   * No call is answered any more.
   *
   * @param later - The error of calls that begin from now on.
   */
  end(error: unknown, later: unknown = error): void {
    if (this.#ended !== undefined) return;
    this.#ended = later;
    for (const call of this.#calls.values()) this.#fail(call, error);
  }
}

/** The error of an answer. It is unchecked. */
function errorOf(error: unknown, method: string): Error {
  const { code, message, data } = Object(error) as Partial<RpcError>;
  if (!Number.isSafeInteger(code) || typeof message !== 'string') {
    return new JSONError('the answer is an error without a code and a message');
  }
  const isUnknown = code === ErrorCode.MethodNotFound && message === 'Method not found';
  const what = isUnknown ? `${message}: ${method}; is the other end older?` : message;
  return new RpcError(code!, what, data);
}

/** @throws TypeError when `signal` is no AbortSignal. */
function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  const { aborted, addEventListener, removeEventListener } = Object(signal) as Partial<AbortSignal>;
  const listens = [addEventListener, removeEventListener].every((one) => typeof one === 'function');
  if (typeof aborted === 'boolean' && listens) return;
  throw new TypeError('signal: expected an AbortSignal');
}
