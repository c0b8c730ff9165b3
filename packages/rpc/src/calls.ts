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
import { ErrorCode, isTrue, RpcError } from './rpc-error.ts';
import { checkArrived } from './schema.ts';
import { CANCEL, callText, MORE, signalText, type WireMessage } from './wire.ts';

/** Bound of the requests of this end that were sent and have no answer. */
const MAX_OPEN = 256;
/** Bounds of the calls that were not sent: their number, and the characters of their text. */
const MAX_WAITING = 10_000;
const MAX_WAITING_SIZE = 1024 * 1024;
const TIMEOUT_MS = 30_000;
/** A request with `retry` is sent on so many connections: the request itself may end each of them. */
const MAX_SENT = 5;
/** Close codes of a peer that refuses a message. The peer would refuse the message again. */
export const REFUSALS: readonly number[] = [1007, 1009];
const OPTION_NAMES: readonly string[] = ['signal', 'timeout'];

/** The options of a call. */
export interface CallOptions {
  /** An abort rejects the call with the reason, and aborts the `signal` of the handler. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The longest wait for the answer in ms; false for no bound. After this time the call rejects with a
   * TimeoutError, and the `signal` of the handler aborts. Default: 30,000. For a stream, the longest
   * wait for one item. Default: no bound.
   */
  readonly timeout?: number | false | undefined;
}

type Scheduler = ReturnType<typeof schedulerOf>;

/** Takes the items of one message of a stream. The message has `size` characters. */
export type TakeItems = (items: readonly unknown[], size: number) => void;

/** A request without an answer, or an event that the connection has not accepted. */
export class Call implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  /** The number of the call at this end, from 1. It is the id of a request. */
  readonly number: number;
  readonly text: string;
  readonly definition: Definition;
  readonly outcome: CallPromise = new CallPromise();
  readonly aborted = (): void => this.#calls.giveUp(this, this.signal?.reason);
  readonly signal: AbortSignal | undefined;
  readonly ms: number;
  /** The timers of the first platform. A later connection may have another platform. */
  readonly timers: Scheduler['timers'];
  /** The connection on which the call was sent; undefined while the call waits. */
  connection: ConnLike | undefined;
  /** Number of connections on which the call was sent. */
  timesSent = 0;
  /** Undefined for a call that is no stream. */
  readonly take: TakeItems | undefined;
  /** The number of the current wait of a reader, by {@link Calls.wait}; 0 while no reader waits. */
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
    // An event has no answer, and waits for the connection as long as a message does.
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

  /** Called by the timer. */
  fire(): void {
    this.#calls.timedOut(this);
  }
}

/** The requests and events that this end of a link sends. */
export class Calls {
  readonly #carrier: Carrier;
  readonly #onWrite: () => void;
  readonly #onWait: () => void;
  /** Requests without an outcome, and events that were not sent, by their numbers in their order. */
  readonly #calls = new Map<number, Call>();
  /** Number of streams that were sent and have not ended. */
  #streams = 0;
  /** Number of other requests that were sent and have no answer, at most {@link MAX_OPEN}. */
  #open = 0;
  /** Number of events that were sent and that the connection has not accepted. */
  #unaccepted = 0;
  /** Number of calls that were not sent. */
  #waiting = 0;
  /** Number of events among them. Events wait only for a connection. */
  #waitingEvents = 0;
  /** Characters of the waiting calls. */
  #waitingSize = 0;
  /** The number of the last call, or of the last wait of a reader. See {@link wait}. */
  begun = 0;
  /** The error of all later calls; undefined until {@link end}. */
  #ended: unknown;

  /**
   * @param onWrite - Called when the connection has accepted an event that waited for it.
   * @param onWait - Called when a reader begins to wait for an item of a stream.
   */
  constructor(carrier: Carrier, onWrite: () => void, onWait: () => void) {
    this.#carrier = carrier;
    this.#onWrite = onWrite;
    this.#onWait = onWait;
  }

  get timers(): Scheduler['timers'] {
    return schedulerOf(this.#carrier.platform).timers;
  }

  /** Whether a call waits for its answer, or an event for the connection. Streams do not count. */
  get waits(): boolean {
    return this.#calls.size - this.#streams + this.#unaccepted > 0;
  }

  /**
   * Whether an unanswered request was sent after the call `first`, or a reader of a stream began to
   * wait after the call `callsOfHandler`. Both are numbers of calls. Waiting readers count only for
   * handlers: a generator may run for long beside readers of other streams, and later requests
   * would then overtake earlier ones.
   */
  hasRequestAfter(first: number, callsOfHandler: number): boolean {
    if (this.begun <= first) return false;
    for (const { connection, number, take, waitsSince } of this.#calls.values()) {
      // Calls that were not sent come after all others.
      if (connection === undefined) return false;
      if (take === undefined ? number > first : waitsSince > callsOfHandler) return true;
    }
    return false;
  }

  /** The number of the first stream with a waiting reader; Infinity without one. */
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
   * Creates a call. {@link start} sends it.
   *
   * @param take - Takes the items, if the call is a stream.
   * @throws TypeError or RangeError for an invalid option; JSONError for an input that JSON does
   *   not have; the reason of an aborted signal; the error of a connection that has ended;
   *   BackpressureError when too many calls wait.
   */
  open(definition: Definition, input: unknown, options: CallOptions, take?: TakeItems): Call {
    checkOptionNames(definition.name, options, OPTION_NAMES, 'ignore');
    checkSignal(options.signal);
    const call = new Call(this, definition, input, ++this.begun, options, take);
    // A getter of the input may have aborted the signal.
    if (call.signal?.aborted) throw call.signal.reason;
    if (this.#ended !== undefined) throw this.#ended;
    this.#add(call);
    return call;
  }

  /** Sends a call, unless others wait before it. */
  start(call: Call): void {
    if (this.#isNext(call, 1)) this.#sendIfPossible(call);
  }

  /** Takes a message with items. Ignores the message unless the stream `id` is open. */
  arrived(id: unknown, items: unknown, size: number): void {
    if (this.awaits(id) && Array.isArray(items)) this.#calls.get(id as number)!.take?.(items, size);
  }

  /** Called when the reader of a stream begins to wait. The wait gets a number as a call does. */
  wait(call: Call): void {
    call.waitsSince = ++this.begun;
    this.#onWait();
  }

  /** Reports that the reader of a stream has taken `n` items. See `Carrier.sendSurely`. */
  report({ connection, number }: Call, n: number): Promise<unknown> {
    return this.#carrier.sendSurely(connection, signalText(MORE, { id: number, n }));
  }

  /** @throws BackpressureError when too many calls wait. */
  #add(call: Call): void {
    const size = this.#waitingSize + call.text.length;
    const isFull = this.#waiting >= MAX_WAITING || size > MAX_WAITING_SIZE;
    // A call that is sent at once needs no place among the waiting ones.
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

  /** Streams do not count for {@link MAX_OPEN}, because a stream may be open for any time. */
  #countSent({ isRequest, take }: Call, change: 1 | -1): void {
    if (take !== undefined) this.#streams += change;
    else if (isRequest) this.#open += change;
  }

  /**
   * Whether no other call must be sent before `call`. An event is sent before waiting requests, if
   * these wait for answers to others.
   *
   * @param own - 1 if `call` is counted as waiting, else 0.
   */
  #isNext(call: Call, own: 0 | 1): boolean {
    return (call.isRequest ? this.#waiting : this.#waitingEvents) === own;
  }

  #canSend(call: Call): boolean {
    const isFull = call.isRequest && this.#open >= MAX_OPEN;
    return !isFull && this.#carrier.connection !== undefined;
  }

  /** Sends the waiting calls that can be sent, in their order. */
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
        // After the end of the connection, `broke` or `end` settles the request, or sends it again.
        const hasEnded = call.connection !== connection || connection?.state !== 'open';
        if (!hasEnded) failed(error);
      });
    } else this.#settleWhenAccepted(call, sent, failed);
    return true;
  }

  /**
   * Settles an event when the connection has accepted it. Many events may wait for that, so they
   * are no longer in `#calls`, over which other methods loop.
   */
  #settleWhenAccepted(call: Call, sent: Promise<void>, failed: (error: unknown) => void): void {
    this.#calls.delete(call.number);
    this.#unaccepted++;
    sent.then(
      () => {
        this.#unaccepted--;
        this.#settle(call, () => call.outcome.resolve(undefined));
        this.#onWrite();
      },
      (error: unknown) => {
        this.#unaccepted--;
        failed(error);
      },
    );
  }

  /** Takes an answer. Ignores the answer if no open request has its id. */
  answered({ id, result, error }: WireMessage): void {
    const call = this.#calls.get(id as number);
    // An answer on one connection does not settle a request that was sent on another one.
    if (call?.connection === undefined || call.connection !== this.#carrier.messageConnection)
      return;
    this.#remove(call);
    if (error === undefined || error === null) this.#resolve(call, result);
    else this.#fail(call, errorOf(error, call.definition.name));
    this.flush();
  }

  /** Fails the call whose own text has come back as a request: the other end is an echo server. */
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
    return call?.isRequest === true && call.connection === this.#carrier.messageConnection;
  }

  /** Settles a request with the result, if the result fits the schema of the answer. */
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
    const why = this.#carrier.hasReader ? '' : '; no listener of the contract reads this session';
    this.giveUp(call, new TimeoutError(`${what} within ${call.ms} ms (option timeout)${why}`));
  }

  /** Ends a call before its answer, and sends a cancel to the other end. */
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

  /** Rejects a call. If no code awaits a request, reports the error, except after its own abort. */
  reject(
    outcome: Pick<CallPromise, 'reject'>,
    { kind, name }: Definition,
    error: unknown,
    by: CallOptions,
  ): void {
    const isOwn = isTrue(() => by.signal!.aborted && by.signal!.reason === error);
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
   * Called when a connection has ended and another one follows. A request with `retry` waits for
   * the next connection, and is sent before later calls.
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
   * Called when no call can be answered any more. Fails all calls.
   *
   * @param later - The error of calls that begin from now on.
   */
  end(error: unknown, later: unknown = error): void {
    if (this.#ended !== undefined) return;
    this.#ended = later;
    for (const call of this.#calls.values()) this.#fail(call, error);
  }
}

/** The error of a call, from the unchecked `error` of its answer. */
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
