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
  type Fifo,
  removeAbortListener,
  schedulerOf,
  type TimerEntry,
} from '@ws/conn/internal';
import type { Questions } from './alive.ts';
import type { Carrier } from './carrier.ts';
import type { Definition, EventDefinition, MethodDefinition } from './definitions.ts';
import { isVersion } from './hello.ts';
import { ErrorCode, isTrue, RpcError } from './rpc-error.ts';
import { checkArrived } from './schema.ts';
import { WaitingCalls } from './waiting-calls.ts';
import { CANCEL, callText, ITEM_REFUSED, MORE, signalText, type WireMessage } from './wire.ts';

/** Bound of the sent requests without an answer. Streams do not count. */
const MAX_OPEN = 256;
/** Default of the option `timeout` of a method, in ms. */
export const TIMEOUT_MS: number = 30_000;
/**
 * Bound of the connections on which a request with `retry` is sent. The request itself may be the
 * reason why they end.
 */
const MAX_SENT = 5;
/** Close codes with which a peer refuses a message. A peer would refuse a repeated message too. */
export const REFUSALS: readonly number[] = [1007, 1009];
/** A call may wait for a newer node while fewer requests are open. */
const MAX_UNKNOWN = MAX_OPEN / 2;
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

type Entry = ReturnType<Fifo<Call>['add']>;

/** Takes the items from one message of the peer. The message has `size` characters. */
export type TakeItems = (items: readonly unknown[], size: number) => void;

/** The sent streams of a link that have not ended: their number, and what their readers do. */
export type OpenStreams = {
  count: number;
  /** Number of the streams whose reader waits for an item. */
  awaited: number;
  /** Characters of the unread items of all, each without one larger item. */
  unread: number;
};

/** One call: a request until its answer, or an event until the connection has accepted it. */
export class Call implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  /** The number of the call at this end, from 1. It is the id of a request. */
  readonly number: number;
  readonly text: string;
  readonly definition: Definition;
  /** Whether the call is no event. */
  readonly isRequest: boolean;
  readonly outcome: CallPromise = new CallPromise();
  readonly signal: AbortSignal | undefined;
  /** The listener for the abort of {@link signal}. */
  readonly aborted: (() => void) | undefined;
  /** The option `timeout` in ms; Infinity for no bound. */
  readonly ms: number;
  /** The timers that have the timeout of the call. A later connection may have other timers. */
  readonly timers: Scheduler['timers'];
  /** The connection on which the call was sent; undefined while the call waits. */
  connection: ConnLike | undefined;
  /** Number of connections on which the call was sent. */
  timesSent = 0;
  /** The answer of an older node that does not know the method. The call is open until another node has it. */
  unknown: RpcError | undefined;
  /** Takes the items of a stream; undefined for a method or an event. */
  readonly take: TakeItems | undefined;
  /** Characters of the unread items of an open stream, as part of {@link OpenStreams.unread}. */
  unreadSize = 0;
  /** Whether the unread items count also after the end, because the peer has sent too many. */
  keepsUnread = false;
  /** Set while the call waits to be sent. */
  waiting: Entry | undefined = undefined;
  readonly #calls: Calls;

  constructor(
    calls: Calls,
    definition: Definition,
    input: unknown,
    number: number,
    { signal, timeout }: CallOptions,
    timers: Scheduler['timers'],
    take?: TakeItems,
  ) {
    this.#calls = calls;
    this.definition = definition;
    const { kind } = definition;
    const isRequest = kind !== 'event';
    this.isRequest = isRequest;
    // An event has no answer. Its wait for the connection has no bound, as for any message.
    const fallback = kind === 'method' ? TIMEOUT_MS : Infinity;
    this.ms = kind === 'event' ? Infinity : duration('timeout', timeout, fallback, true);
    this.take = take;
    this.timers = timers;
    this.signal = signal;
    this.aborted = signal && (() => calls.giveUp(this, signal.reason));
    this.number = number;
    this.text = callText(definition.name, input, isRequest ? number : undefined, definition.input);
  }

  /** Called by the timer. */
  fire(): void {
    this.#calls.timedOut(this);
  }
}

/** The requests and events that this end of a link sends. */
export class Calls {
  readonly #carrier: Carrier;
  readonly #onWait: () => void;
  /** Requests without an answer, and events that were not accepted, by number, from {@link open} on. */
  readonly #sent = new Map<number, Call>();
  /** Created when a call must wait. */
  #waiting: WaitingCalls<Call> | undefined;
  /** Number of sent methods without an answer, at most {@link MAX_OPEN}. */
  #open = 0;
  readonly streams: OpenStreams = { count: 0, awaited: 0, unread: 0 };
  /** The number of the last call. */
  #lastNumber = 0;
  /** The version of the contract of a client with many connections. */
  version: number | undefined;
  /** The questions of a page, if the link has many connections. */
  questions: Questions | undefined;
  /** The error of all later calls; undefined until {@link end}. */
  #ended: unknown;

  /** @param onWait - Called when this end begins to wait for an answer or an item: it must read on. */
  constructor(carrier: Carrier, onWait: () => void) {
    this.#carrier = carrier;
    this.#onWait = onWait;
  }

  /** Whether this end waits for an answer, for an item of a stream, or for room for an event. */
  get waits(): boolean {
    const { count, awaited } = this.streams;
    return this.#sent.size > count - awaited;
  }

  /** Whether a sent request or stream has no answer. */
  get hasOpen(): boolean {
    return this.#open + this.streams.count > 0;
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
      if (call.aborted !== undefined) addAbortListener(call.signal!, call.aborted);
    } catch (error) {
      if (call !== undefined) this.#remove(call);
      const failed = new CallPromise();
      this.reject(failed, definition, error, options);
      return failed;
    }
    if (call.ms !== Infinity) call.timers.set(call, call.ms, true);
    this.start(call);
    this.#onWait();
    return call.outcome;
  }

  /**
   * Creates a call. {@link start} sends it.
   *
   * @param take - Takes the items, if the call is a stream.
   * @throws TypeError or RangeError for an invalid option; JSONError for an input that JSON cannot
   *   express; the reason of an aborted signal; the error of a connection that has ended;
   *   BackpressureError when too many calls wait.
   */
  open(definition: Definition, input: unknown, options: CallOptions, take?: TakeItems): Call {
    checkOptionNames(definition.name, options, OPTION_NAMES, 'ignore');
    if (options.signal !== undefined) checkSignal(options.signal);
    const { timers } = schedulerOf(this.#carrier.platform);
    const call = new Call(this, definition, input, ++this.#lastNumber, options, timers, take);
    // The encoding of the input calls its getters, which may abort the signal.
    if (call.signal?.aborted) throw call.signal.reason;
    if (this.#ended !== undefined) throw this.#ended;
    const { isRequest } = call;
    const isFull = isRequest && this.#open >= MAX_OPEN;
    const isNext = this.#waiting === undefined || this.#waiting.isNext(isRequest);
    const mustWait = isFull || !isNext || this.#carrier.connection === undefined;
    if (mustWait) (this.#waiting ??= new WaitingCalls<Call>()).add(call);
    else this.#addSent(call);
    return call;
  }

  /** Sends a call now, or leaves it to {@link flush} when it must wait. */
  start(call: Call): void {
    // The call may wait, or have ended already.
    if (!this.#sent.has(call.number)) return;
    const { connection } = this.#carrier;
    call.connection = connection;
    call.timesSent++;
    const { isRequest } = call;
    if (isRequest) this.questions?.requestLeaves(connection!);
    const failed = (error: unknown): void => {
      this.#fail(call, error);
      this.flush();
    };
    const accepted = isRequest ? undefined : () => this.#finish(call).resolve(undefined);
    const sent = this.#carrier.send(call.text, failed);
    if (sent === undefined) accepted?.();
    else {
      sent.then(accepted, (error: unknown) => {
        // After the end of the connection, `broke` or `end` settles a request, or sends it again.
        const isOpen = call.connection === connection && this.#carrier.isOpen(connection);
        if (!isRequest || isOpen) failed(error);
      });
    }
  }

  /** Takes a message with items. Ignores the message unless the stream `id` is open. */
  arrived(id: unknown, items: unknown, size: number): void {
    if (this.awaits(id) && Array.isArray(items)) this.#sent.get(id as number)!.take?.(items, size);
  }

  /** Counts unread items of an open stream, or if negative, read ones. */
  countUnread(call: Call, size: number): void {
    call.unreadSize += size;
    this.streams.unread += size;
  }

  /** Called when the reader of a stream begins to wait for an item. */
  readerWaits(): void {
    this.streams.awaited++;
    this.#onWait();
  }

  /** Tells the peer that the reader of a stream has taken `n` items. See `Carrier.sendSurely`. */
  report({ connection, number }: Call, n: number): Promise<unknown> {
    return this.#carrier.sendSurely(connection, signalText(MORE, { id: number, n }));
  }

  /** Sends the waiting calls that can be sent, in their order. */
  flush(): void {
    for (;;) {
      const call = this.#waiting?.next(this.#open < MAX_OPEN);
      if (call === undefined || this.#carrier.connection === undefined) return;
      this.#removeWaiting(call);
      this.#addSent(call);
      this.start(call);
    }
  }

  #removeWaiting(call: Call): void {
    this.#waiting!.remove(call);
    if (this.#waiting!.length === 0) this.#waiting = undefined;
  }

  #addSent(call: Call): void {
    this.#sent.set(call.number, call);
    // A stream may be open for any time, so streams do not count as open.
    if (call.take !== undefined) this.streams.count++;
    else if (call.isRequest) this.#open++;
  }

  /** Takes an answer. Ignores the answer if no open request has its id. */
  answered({ id, result, error }: WireMessage): void {
    const call = this.#sent.get(id as number);
    const { messageConnection } = this.#carrier;
    // An answer on one connection does not settle a request that was sent on another one.
    if (call?.isRequest !== true || call.connection !== messageConnection) {
      this.questions?.answered(messageConnection, id, result);
      return;
    }
    const failure = error === undefined || error === null ? undefined : errorOf(error, call);
    if (failure !== undefined && this.#waitsForNewer(call, failure)) return;
    this.#remove(call);
    if (failure === undefined) this.#resolve(call, result);
    else this.#fail(call, failure);
    if (this.#waiting !== undefined) this.flush();
  }

  /**
   * Leaves a call open whose method an older node does not know: if the call may be sent again, the next
   * connection gets it, once.
   */
  #waitsForNewer(call: Call, failure: Error): boolean {
    if (!(failure instanceof RpcError) || failure.code !== ErrorCode.MethodNotFound) return false;
    const { version } = Object(failure.data) as { readonly version?: unknown };
    const isOlder = isVersion(version) && version < (this.version ?? 0);
    const { retry } = call.definition as MethodDefinition;
    if (!isOlder || !retry || call.unknown !== undefined || this.#open > MAX_UNKNOWN) return false;
    call.unknown = failure;
    return true;
  }

  /** Fails a call if the peer has sent its text back as a request: the peer is an echo server. */
  returned({ id, method }: WireMessage, text: string): boolean {
    const call = this.#sent.get(id as number);
    if (call?.text !== text) return false;
    const what = `the answer to ${String(method)} is the request itself`;
    this.#fail(call, new JSONError(`${what}: does an echo server listen there?`));
    this.flush();
    return true;
  }

  /** Whether the request `id` waits for an answer. */
  awaits(id: unknown): boolean {
    const call = this.#sent.get(id as number);
    return call?.isRequest === true && call.connection === this.#carrier.messageConnection;
  }

  /** Settles a request with the result, if the result fits the schema of the answer. */
  #resolve(call: Call, result: unknown): void {
    if (call.take !== undefined) {
      if (result === null || result === undefined) return this.#finish(call).resolve(undefined);
      const what = `${call.definition.name} is no stream at the other end: it has answered with a result`;
      return this.#fail(call, new JSONError(`${what}; has the other end another contract?`));
    }
    const { output, name } = call.definition as MethodDefinition;
    void checkArrived(output, result, `the answer to ${name}`, (error, value) => {
      if (error === undefined) this.#finish(call).resolve(value);
      else this.#fail(call, error);
    });
  }

  timedOut(call: Call): void {
    const { name } = call.definition;
    const what = call.connection === undefined ? `${name} was not sent` : `no answer to ${name}`;
    this.giveUp(call, call.unknown ?? this.lateError(what, call.ms));
  }

  /** Whether a listener of the contract reads the connection. Otherwise no answer arrives. */
  get hasReader(): boolean {
    return this.#carrier.hasReader;
  }

  /** @param what - What has not come within `ms`. */
  lateError(what: string, ms: number): TimeoutError {
    const why = this.hasReader ? '' : '; no listener of the contract reads this session';
    return new TimeoutError(`${what} within ${ms} ms (option timeout)${why}`);
  }

  /** Fails a call before its answer, and sends a cancel to the peer. */
  giveUp(call: Call, reason: unknown): void {
    const { connection, number } = call;
    if (connection !== undefined && this.#sent.has(number)) {
      if (call.isRequest) this.questions?.gaveUp(connection);
      void this.#carrier.sendSurely(connection, signalText(CANCEL, { id: number }));
    }
    this.#fail(call, reason);
    this.flush();
  }

  #remove(call: Call): void {
    if (call.waiting !== undefined) this.#removeWaiting(call);
    else if (this.#sent.delete(call.number)) {
      if (call.take !== undefined) {
        this.streams.count--;
        if (!call.keepsUnread) this.countUnread(call, -call.unreadSize);
      } else if (call.isRequest) this.#open--;
    }
  }

  #fail(call: Call, error: unknown): void {
    this.reject(this.#finish(call), call.definition, error, call);
  }

  /**
   * Rejects a call. If no code awaits the promise of a request, reports the error, unless the
   * call's own signal has aborted with it.
   */
  reject(
    outcome: Pick<CallPromise, 'reject'>,
    { kind, name }: Definition,
    error: unknown,
    options: CallOptions,
  ): void {
    const isOwn = isTrue(() => options.signal!.aborted && options.signal!.reason === error);
    if (kind === 'event' || isOwn) outcome.reject(error);
    else {
      outcome.reject(error, (what) =>
        this.#carrier.reportRarely(`${name} ${what}`, () => error, name),
      );
    }
  }

  /** Removes a call whose result is known. Returns its promise. */
  #finish(call: Call): CallPromise {
    this.#remove(call);
    if (call.ms !== Infinity) call.timers.clear(call);
    if (call.aborted !== undefined) removeAbortListener(call.signal!, call.aborted);
    return call.outcome;
  }

  /**
   * Called when a connection has ended and another one follows. A request with `retry` waits for
   * the next connection, and is sent before later calls.
   *
   * @param isUnheard - Whether the peer has handled nothing on this connection. All requests then wait.
   *   Those of rooms reject, because rooms join again.
   */
  broke(connection: ConnLike, error: CloseError, isUnheard: boolean): void {
    const mayRetry = !REFUSALS.includes(error.closeCode);
    const again: Call[] = [];
    for (const call of this.#sent.values()) {
      // The promise of its write settles an event.
      if (call.connection !== connection || !call.isRequest) continue;
      const { retry, onArrival } = call.definition as MethodDefinition;
      const waits = isUnheard && !onArrival;
      if (waits) call.timesSent--;
      if (waits || (mayRetry && retry && call.timesSent < MAX_SENT)) {
        this.#remove(call);
        call.connection = undefined;
        again.push(call);
      } else this.#fail(call, call.unknown ?? error);
    }
    if (again.length > 0) (this.#waiting ??= new WaitingCalls<Call>()).addFirst(again);
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
    const failed = (call: Call): void => this.#fail(call, call.unknown ?? error);
    for (const call of this.#sent.values()) failed(call);
    let call: Call | undefined;
    while ((call = this.#waiting?.next(true)) !== undefined) failed(call);
  }
}

/** The error of a call, from the unchecked `error` of its answer. */
function errorOf(error: unknown, { definition }: Call): Error {
  const { name: method } = definition;
  const { code, message, data } = Object(error) as Partial<RpcError>;
  if (!Number.isSafeInteger(code) || typeof message !== 'string') {
    return new JSONError('the answer is an error without a code and a message');
  }
  if (code === ErrorCode.Busy && message === ITEM_REFUSED) {
    return new BackpressureError(`${method}: ${message}`);
  }
  const isUnknown = code === ErrorCode.MethodNotFound && message === 'Method not found';
  const what = isUnknown ? `${message}: ${method}; is the other end older?` : message;
  return new RpcError(code!, what, data);
}

/** @throws TypeError when `signal` is no AbortSignal. */
function checkSignal(signal: unknown): void {
  const { aborted, addEventListener, removeEventListener } = Object(signal) as Partial<AbortSignal>;
  const listens = [addEventListener, removeEventListener].every((one) => typeof one === 'function');
  if (typeof aborted === 'boolean' && listens) return;
  throw new TypeError('signal: expected an AbortSignal');
}
