import {
  BackpressureError,
  type CloseError,
  type ConnLike,
  JSONError,
  TimeoutError,
} from '@ws/conn';
import {
  addAbortListener,
  checkOptionNames,
  Deferred,
  duration,
  Fifo,
  rejected,
  removeAbortListener,
  schedulerOf,
  type TimerEntry,
} from '@ws/conn/internal';
import type { Carrier } from './carrier.ts';
import type { EventDefinition, MethodDefinition } from './definitions.ts';
import { RpcError } from './rpc-error.ts';
import { after, checkEither, misfit } from './schema.ts';
import { callText, cancelText, type WireMessage, wireError } from './wire.ts';

/** Requests of this end that the other end has and has not answered. */
const MAX_OPEN = 256;
/** Calls of this end that wait for one of these, or for a connection, and the bytes of their text. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 1024 * 1024;
const TIMEOUT_MS = 30_000;
const OPTION_NAMES: readonly string[] = ['signal', 'timeout'];

/** The options of a call. */
export interface CallOptions {
  /** Ends the call: it rejects with the reason, and the handler of the other end is told. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The longest wait for the answer in ms; false for none. The call then rejects with a
   * TimeoutError, and the handler of the other end is told. Default: 30,000.
   */
  readonly timeout?: number | false | undefined;
}

type Scheduler = ReturnType<typeof schedulerOf>;

/** A request without an answer, or an event that waits. */
class Call implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly id: number | undefined;
  readonly text: string;
  readonly definition: MethodDefinition | EventDefinition;
  readonly outcome: Deferred<unknown> = new Deferred();
  readonly aborted = (): void => this.#calls.giveUp(this, this.signal?.reason);
  readonly signal: AbortSignal | undefined;
  readonly ms: number;
  /** The timers of the platform of the call: a later connection may have another one. */
  readonly timers: Scheduler['timers'];
  /** The connection that has the request. */
  connection: ConnLike | undefined;
  /** Where it waits before it is sent. */
  place: ReturnType<Fifo<Call>['add']> | undefined;
  readonly #calls: Calls;

  constructor(
    calls: Calls,
    definition: MethodDefinition | EventDefinition,
    input: unknown,
    id: number | undefined,
    { signal, timeout }: CallOptions,
  ) {
    this.#calls = calls;
    this.definition = definition;
    // An event waits as a message does.
    this.ms = id === undefined ? Infinity : duration('timeout', timeout, TIMEOUT_MS, true);
    this.timers = calls.timers;
    this.signal = signal;
    this.id = id;
    this.text = callText(definition.name, input, id);
  }

  /** The time is up. */
  fire(): void {
    this.#calls.timedOut(this);
  }
}

/** The calls of this end of one link: requests until they are answered, and events. */
export class Calls {
  readonly #carrier: Carrier;
  readonly #link: { readonly isRead: boolean; waitsForAnswer(): void };
  /** Requests that were sent, by id. */
  readonly #open = new Map<number, Call>();
  /** Calls that wait, in their order. */
  readonly #waiting = new Fifo<Call>();
  #waitingBytes = 0;
  #lastId = 0;
  /** Set when no call can be answered any more. */
  #ended: unknown;

  constructor(carrier: Carrier, link: { readonly isRead: boolean; waitsForAnswer(): void }) {
    this.#carrier = carrier;
    this.#link = link;
  }

  get timers(): Scheduler['timers'] {
    return schedulerOf(this.#carrier.platform).timers;
  }

  /** Whether this end waits for an answer of the other end. */
  get waits(): boolean {
    return this.#open.size > 0 || this.#waiting.length > 0;
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
    let call: Call;
    try {
      checkOptionNames(definition.name, options, OPTION_NAMES, 'ignore');
      checkSignal(options.signal);
      if (options.signal?.aborted) return rejected(options.signal.reason);
      const id = definition.kind === 'method' ? ++this.#lastId : undefined;
      call = new Call(this, definition, input, id, options);
      if (this.#ended !== undefined) throw this.#ended;
      this.#add(call);
    } catch (error) {
      return rejected(error);
    }
    if (call.ms !== Infinity) call.timers.set(call, call.ms, true);
    if (call.signal !== undefined) addAbortListener(call.signal, call.aborted);
    this.flush();
    if (call.id !== undefined) this.#link.waitsForAnswer();
    return call.outcome.promise;
  }

  /** @throws BackpressureError when too many calls wait. */
  #add(call: Call): void {
    const { length } = call.text;
    const isFull =
      this.#waiting.length >= MAX_WAITING || this.#waitingBytes + length > MAX_WAITING_BYTES;
    // A call that leaves at once waits for nothing.
    if (isFull && !this.#leavesAtOnce(call)) {
      throw new BackpressureError(
        `${call.definition.name}: ${this.#waiting.length} calls with ${this.#waitingBytes} bytes wait; await earlier calls first`,
      );
    }
    this.#waitingBytes += length;
    call.place = this.#waiting.add(call);
  }

  #leavesAtOnce(call: Call): boolean {
    return this.#waiting.length === 0 && this.#canSend(call);
  }

  #canSend(call: Call): boolean {
    if (this.#carrier.connection === undefined) return false;
    return call.id === undefined || this.#open.size < MAX_OPEN;
  }

  /** Sends the calls that can be sent. */
  flush(): void {
    for (let call = this.#waiting.peek(); call !== undefined; call = this.#waiting.peek()) {
      if (!this.#canSend(call)) return;
      this.#leaveQueue(call);
      this.#send(call);
    }
  }

  #leaveQueue(call: Call): void {
    if (call.place === undefined) return;
    this.#waiting.remove(call.place);
    this.#waitingBytes -= call.text.length;
    call.place = undefined;
  }

  #send(call: Call): void {
    call.connection = this.#carrier.connection;
    if (call.id !== undefined) this.#open.set(call.id, call);
    const sent = this.#carrier.send(call.text);
    sent.then(
      () => {
        if (call.id === undefined) this.#settle(call, () => call.outcome.resolve(undefined));
      },
      (error: unknown) => {
        // `broke` or `end` follows: it settles the request, or sends it again.
        if (call.id !== undefined && call.connection?.state !== 'open') return;
        this.#fail(call, error);
        this.flush();
      },
    );
  }

  /** Takes the answer to a request. An answer that no request has is ignored. */
  answered({ id, result, error }: WireMessage): void {
    const call = typeof id === 'number' ? this.#open.get(id) : undefined;
    // Ids of different connections never meet.
    if (call === undefined || call.connection !== this.#carrier.source) return;
    this.#open.delete(call.id!);
    if (error === undefined || error === null) this.#resolve(call, result);
    else this.#fail(call, errorOf(error));
    this.flush();
  }

  /** Settles with a result that fits the schema of the answer. JSON has null for undefined. */
  #resolve(call: Call, result: unknown): void {
    const { output, name } = call.definition as MethodDefinition;
    const failed = (cause: unknown): void => {
      this.#fail(call, new JSONError(`the schema of the answer to ${name} failed`, [], { cause }));
    };
    try {
      const checked = checkEither(
        output,
        result,
        result === null ? { value: undefined } : undefined,
      );
      const settled = after(checked, ({ value, issues }) => {
        if (issues === undefined) this.#settle(call, () => call.outcome.resolve(value));
        else this.#fail(call, misfit(`the answer to ${name} does not fit its schema`, issues));
      });
      if (settled instanceof Promise) settled.catch(failed);
    } catch (cause) {
      failed(cause);
    }
  }

  timedOut(call: Call): void {
    const { name } = call.definition;
    const what = call.place === undefined ? `no answer to ${name}` : `${name} was not sent`;
    const why = this.#link.isRead ? '' : '; no listener of the contract reads this session';
    this.giveUp(call, new TimeoutError(`${what} within ${call.ms} ms (option timeout)${why}`));
  }

  /** Ends a call before its answer, and tells the other end. */
  giveUp(call: Call, reason: unknown): void {
    const isOpen = call.id !== undefined && this.#open.get(call.id) === call;
    if (isOpen && this.#carrier.connection === call.connection) {
      this.#carrier.send(cancelText(call.id)).catch(() => {});
    }
    this.#fail(call, reason);
    this.flush();
  }

  #fail(call: Call, error: unknown): void {
    this.#settle(call, () => call.outcome.reject(error));
  }

  #settle(call: Call, settle: () => void): void {
    this.#leaveQueue(call);
    if (call.id !== undefined && this.#open.get(call.id) === call) this.#open.delete(call.id);
    if (call.ms !== Infinity) call.timers.clear(call);
    if (call.signal !== undefined) removeAbortListener(call.signal, call.aborted);
    settle();
  }

  /**
   * A connection has ended, and another one follows. A request that may be sent again waits for it,
   * in its place before later calls.
   */
  broke(connection: ConnLike, error: CloseError): void {
    const open = [...this.#open.values()].filter((call) => call.connection === connection);
    const later = this.#takeWaiting();
    for (const call of open) {
      if ((call.definition as MethodDefinition).retry) {
        this.#open.delete(call.id!);
        this.#wait(call);
      } else this.#fail(call, error);
    }
    for (const call of later) this.#wait(call);
    this.flush();
  }

  #wait(call: Call): void {
    this.#waitingBytes += call.text.length;
    call.place = this.#waiting.add(call);
  }

  #takeWaiting(): Call[] {
    const calls: Call[] = [];
    for (let call = this.#waiting.peek(); call !== undefined; call = this.#waiting.peek()) {
      this.#leaveQueue(call);
      calls.push(call);
    }
    return calls;
  }

  /** No call is answered any more. */
  end(error: unknown): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    for (const call of [...this.#open.values(), ...this.#takeWaiting()]) this.#fail(call, error);
  }
}

function errorOf(error: unknown): Error {
  try {
    const { code, message, data } = wireError(error);
    return new RpcError(code, message, data);
  } catch (fault) {
    return fault as JSONError;
  }
}

/** @throws TypeError when `signal` is no AbortSignal. */
function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  const { aborted, addEventListener } = Object(signal) as Partial<AbortSignal>;
  if (typeof aborted === 'boolean' && typeof addEventListener === 'function') return;
  throw new TypeError('signal: expected an AbortSignal');
}
