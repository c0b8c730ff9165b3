import { BackpressureError, type ConnLike } from '@ws/conn';
import { Deferred, internalsOf, RESOLVED } from '@ws/conn/internal';
import { SignsOfLife } from './alive.ts';
import { Answers } from './answers.ts';
import type { Calls } from './calls.ts';
import type { Carrier } from './carrier.ts';
import type { StreamDefinition } from './definitions.ts';
import { type Answer, HandlerCaller, isRevoked } from './handler-caller.ts';
import { Pause } from './pause.ts';
import { type Handler, type Place, Request } from './request.ts';
import { ErrorCode } from './rpc-error.ts';
import { after } from './schema.ts';
import type { ServedStreams } from './served-streams.ts';
import type { StreamCode } from './stream.ts';
import { WaitingRequests } from './waiting-requests.ts';
import {
  areParams,
  CANCEL,
  errorText,
  INVALID,
  ITEM,
  invalidText,
  isId,
  MORE,
  type WireMessage,
} from './wire.ts';

/** Bounds of the handlers that run out of order, by {@link Place}: number, and size of their messages. */
const MAX_RUNNING = { nested: 16, beside: 256 };
type OutOfOrder = keyof typeof MAX_RUNNING;
/** In characters. */
const MAX_RUNNING_SIZE = 1024 * 1024;
/** Bound of the id of a stream in characters: each item repeats the id. */
const MAX_STREAM_ID = 256;
/** Bound of the reported names of unknown events. */
const MAX_UNKNOWN = 100;
/** Characters of an unknown name that a report has: the longest name that a contract may have. */
const MAX_NAME = 64;

/** The handlers and bounds from one call of `serve`, `listener` or `connect`, for all its links. */
export interface RequestsPlan {
  readonly end: 'server' | 'client';
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly concurrency: number;
  /** Bound of the streams that this end serves to one connection at the same time. */
  readonly streams: number;
  /** Reported names of events without a handler. */
  readonly unknownEvents: Set<string>;
}

/** Receives the peer's requests and events on one link, and starts their handlers. */
export class Requests {
  readonly #carrier: Carrier;
  /** Returns the calls of this end; undefined before the first call. */
  readonly #calls: () => Calls | undefined;
  readonly #caller: HandlerCaller;
  readonly #answers: Answers;
  readonly #signsOfLife: SignsOfLife;
  readonly #plan: RequestsPlan;
  /** Created for the first stream. */
  #streams: ServedStreams | undefined;
  readonly #waiting = new WaitingRequests();
  /** Requests with a running handler. */
  readonly #running: Request[] = [];
  /** Number of running handlers, and characters of their messages. `concurrency` bounds `ordered`. */
  readonly #places: Readonly<Record<Place, { count: number; size: number }>> = {
    ordered: { count: 0, size: 0 },
    nested: { count: 0, size: 0 },
    beside: { count: 0, size: 0 },
    stream: { count: 0, size: 0 },
  };
  /** Set while reading pauses. */
  #pause: Pause | undefined;
  /** Whether a pause has lasted too long. Then reading does not pause until an ordered handler settles. */
  #isStuck = false;
  /** The connection that {@link #watch} observes: its end ends a pause. */
  #watchedConn: ConnLike | undefined;
  /** Whether {@link #refillLater} waits for its turn. */
  #willRefill = false;
  /** The promise of {@link untilIdle}. */
  #idle: Deferred<void> | undefined;
  /** The request of the last handler that was reported as too slow. */
  #reportedSlow: Request | undefined;
  /** The request of the ordered handler that is being called. */
  #starting: Request | undefined;

  /** @param contextOf - Creates the second argument of a handler. */
  constructor(
    carrier: Carrier,
    plan: RequestsPlan,
    calls: () => Calls | undefined,
    contextOf: (request: Request) => unknown,
  ) {
    this.#carrier = carrier;
    this.#calls = calls;
    this.#caller = new HandlerCaller(carrier, contextOf, (request, definition, handle) =>
      this.#serve(request, definition, handle),
    );
    this.#answers = new Answers(carrier, () => this.readOn());
    this.#signsOfLife = new SignsOfLife(
      carrier,
      this.#answers,
      plan.end === 'server',
      () => this.#pause !== undefined,
    );
    this.#plan = plan;
  }

  /**
   * Takes a message that is no answer.
   *
   * @returns A promise to pause reading: no message may be read before the promise resolves.
   */
  take({ id, method, params }: WireMessage, text: string): Promise<void> | undefined {
    const { messageConnection } = this.#carrier;
    this.#signsOfLife.taken();
    if (id === undefined && typeof method === 'string' && method.startsWith('$/')) {
      this.#takeSignal(method, Object(params) as Record<string, unknown>, text.length);
      return undefined;
    }
    const isValid =
      typeof method === 'string' && areParams(params) && (id === undefined || isId(id));
    if (!isValid) {
      // A message without a method may be an answer. Its id would be one of this end.
      const isRequest = method !== undefined && isId(id);
      return this.refuse(isRequest ? invalidText(id) : INVALID, text);
    }
    if (this.#signsOfLife.answer(id, method, messageConnection)) return this.#untilRoom();
    const handler = this.#plan.handlers.get(method);
    const kind = handler?.definition.kind;
    const fits = kind === 'method' || (id === undefined ? kind === 'event' : kind === 'stream');
    if (handler !== undefined && fits) {
      const request = new Request(id, handler, params, text.length, messageConnection);
      if (handler.definition.kind === 'stream') {
        const isLong = typeof id === 'string' && id.length > MAX_STREAM_ID;
        return isLong ? this.refuse(invalidText(id), text) : this.#add(request, text);
      }
      if (!handler.definition.onArrival) return this.#add(request, text);
      if (handler.definition.kind === 'method') {
        this.#startOutOfOrder(request, 'beside');
        return this.#untilRoom();
      }
      void this.#run(request);
      return undefined;
    }
    if (id === undefined) return this.#reportUnknown(method);
    if (this.#calls()?.returned({ id, method }, text) === true) return undefined;
    return this.refuse(errorText(id, ErrorCode.MethodNotFound, 'Method not found'), text);
  }

  /** Reports the first event with this unknown name. */
  #reportUnknown(method: string): undefined {
    const name = method.slice(0, MAX_NAME);
    const unknown = this.#plan.unknownEvents;
    if (unknown.size >= MAX_UNKNOWN || unknown.has(name)) return;
    unknown.add(name);
    const what = `an event ${JSON.stringify(name)} was dropped: the contract has none at this end`;
    this.#carrier.report(new Error(`${what}; has the other end a newer one?`), 'rpc');
  }

  /** Refuses a message. Sends the text `refusal` after the answers to earlier messages. */
  refuse(refusal: string, text: string): Promise<void> | undefined {
    const { messageConnection } = this.#carrier;
    return this.#add(new Request(null, refusal, undefined, text.length, messageConnection), text);
  }

  #add(request: Request, text: string): Promise<void> | undefined {
    const waiting = this.#waiting;
    request.callsBefore = this.#calls()?.lastNumber ?? 0;
    if (waiting.isEmpty && this.#hasPlace && this.#starting === undefined) {
      this.#start(request);
      // With both ends in one process, the handler's calls may already have their answers.
      this.#startNext();
      return undefined;
    }
    if (request.id !== undefined && this.#mayBeAwaited()) {
      this.#startOutOfOrder(request, 'nested');
    } else if (!waiting.isFull) waiting.add(request);
    else if (request.id === undefined) waiting.keep(request, text);
    else this.#overload(request);
    return this.#untilRoom();
  }

  /** Called when a reader of this end begins to wait for an item of a stream. */
  readerWaits(): void {
    this.#startAwaited();
    this.readOn();
  }

  /**
   * A reader of this end waits for an item of the peer's stream. The peer's generator may wait for
   * answers to requests that are queued here. Starts these requests out of order.
   */
  #startAwaited(): void {
    while (!this.#waiting.isEmpty && this.#hasRoom('nested') && this.#mayBeAwaited()) {
      const first = this.#calls()!.firstAwaited;
      const request = this.#waiting.remove(
        ({ id, callsBefore }) => id !== undefined && callsBefore >= first,
      );
      if (request === undefined) return;
      this.#startOutOfOrder(request, 'nested');
    }
  }

  /**
   * Whether a running handler or generator may depend on a request that arrives now: it may have
   * called the peer, and the peer may need the answer to this request first.
   */
  #mayBeAwaited(): boolean {
    const handler = this.#running.find(({ mayDepend }) => mayDepend) ?? this.#starting;
    const generator = this.#running.find(({ awaits }) => awaits);
    const callsOfHandler = handler?.callsBefore ?? Infinity;
    const first = Math.min(callsOfHandler, generator?.callsBefore ?? Infinity);
    return this.#calls()?.hasRequestAfter(first, callsOfHandler) === true;
  }

  get #hasPlace(): boolean {
    return this.#places.ordered.count < this.#plan.concurrency;
  }

  #hasRoom(place: OutOfOrder): boolean {
    const { count, size } = this.#places[place];
    return count < MAX_RUNNING[place] && size < MAX_RUNNING_SIZE;
  }

  /** Starts a handler that runs in parallel with the handlers that are already running. */
  #startOutOfOrder(request: Request, place: OutOfOrder): void {
    if (!this.#hasRoom(place)) return this.#overload(request);
    const done = this.#run(request);
    if (done !== undefined) this.#track(request, done, place);
  }

  /** Pauses reading if it must. Returns the promise of the pause. */
  #untilRoom(): Promise<void> | undefined {
    const { messageConnection, platform } = this.#carrier;
    if (!this.#mustPause || messageConnection?.state === 'closed') return undefined;
    if (this.#pause === undefined) {
      this.#pause = new Pause(platform, () => this.#pausedTooLong());
      this.#signsOfLife.paused();
      this.#watch(messageConnection);
    }
    return this.#pause.over.promise;
  }

  /**
   * Reading pauses when the queue is full, unless a later message may help: the answer or the item
   * for which this end waits, or the cancel of a stuck handler. It also continues while this end
   * waits for room to write, because the peer may read only after its own writes. Too many kept
   * events, or too many unread refusals, always pause reading.
   */
  get #mustPause(): boolean {
    if (this.#isOverfull) return true;
    const isFull = this.#waiting.isFull || !this.#hasRoom('beside');
    return isFull && this.#calls()?.waits !== true && !this.#mayBeAwaited() && !this.#isStuck;
  }

  get #isOverfull(): boolean {
    return this.#answers.isOverfull || this.#waiting.isOverfull(this.#carrier.messageConnection);
  }

  /** Ends the pause when the connection ends, because only a read finds the end. */
  #watch(connection: ConnLike | undefined): void {
    if (connection === undefined || connection === this.#watchedConn) return;
    this.#watchedConn = connection;
    void internalsOf(connection).closed.then(() => this.#endPause());
  }

  #pausedTooLong(): void {
    const carrier = this.#carrier;
    if (this.#isOverfull) {
      const name = this.#running.find(({ isSlow }) => isSlow)?.name ?? 'rpc';
      const why = this.#answers.isOverfull
        ? 'the peer sends requests, and has not read for 10 s that they are refused'
        : `no handler has settled for 10 s, and the events behind ${name} are at the bound of maxBufferedAmount`;
      const error = new BackpressureError(`the connection ends with 1013: ${why}`);
      carrier.report(error, name);
      this.#endPause();
      return carrier.overloaded();
    }
    // Without a slow handler, this end waits for the peer to read. More messages would not change that.
    if (!this.#running.some(({ isSlow }) => isSlow)) return this.#pause?.restart();
    this.#isStuck = true;
    this.#reportSlow();
    this.#endPause();
  }

  /** Refuses a request at once, before the answers to earlier messages. */
  #overload({ id, handler, connection }: Request): void {
    const text =
      typeof handler === 'string'
        ? handler
        : errorText(id!, ErrorCode.Busy, 'too many requests wait');
    this.#answers.sendAtOnce(connection, text);
  }

  /** Ends a pause of reading, if the pause has no reason any more. */
  readOn(): void {
    if (this.#pause !== undefined && !this.#mustPause) this.#endPause();
  }

  /** Called when a handler or a write has made progress. The bound of a pause starts again. */
  progressed(): void {
    this.#pause?.restart();
  }

  #endPause(): void {
    this.#pause?.end();
    this.#pause = undefined;
  }

  /** Starts waiting requests while `concurrency` allows it. */
  #startNext(): void {
    // With both ends in one process, a message may arrive while a handler is being called.
    if (this.#starting !== undefined) return;
    while (this.#hasPlace) {
      const request = this.#waiting.shift();
      if (request === undefined) {
        this.#refillLater();
        break;
      }
      if (!isRevoked(request.connection)) this.#start(request);
    }
    this.readOn();
  }

  /** Moves kept events to the queue in a later turn, so that other connections are served first. */
  #refillLater(): void {
    if (this.#willRefill || this.#waiting.isEmpty) return;
    this.#willRefill = true;
    this.#carrier.platform.yield(() => {
      this.#willRefill = false;
      this.#waiting.refill();
      this.#startNext();
      if (this.#isIdle) this.#idle?.resolve();
    });
  }

  get #isIdle(): boolean {
    return this.#running.length === 0 && this.#waiting.isEmpty;
  }

  #start(request: Request): void {
    this.#starting = request;
    const done = this.#run(request);
    this.#starting = undefined;
    if (done !== undefined) this.#track(request, done, 'ordered');
  }

  #track(request: Request, done: Promise<void>, place: Place): void {
    const counts = this.#places[place];
    counts.count++;
    counts.size += request.size;
    request.place = place;
    this.#running.push(request);
    // A handler may only listen for the event `abort`, so the abort comes after its call.
    if (request.connection?.state === 'closed') request.cancel('the connection has ended');
    this.#carrier.onRun?.(done);
    void done.then(() => {
      this.#running.splice(this.#running.indexOf(request), 1);
      counts.count--;
      counts.size -= request.size;
      if (place === 'ordered') {
        this.#isStuck = false;
        this.progressed();
        this.#startNext();
      } else if (place !== 'stream') {
        this.#startAwaited();
        this.readOn();
      }
      if (this.#isIdle) this.#idle?.resolve();
    });
  }

  /** @returns Undefined when the request is done, else a promise that never rejects. */
  #run(request: Request): Promise<void> | undefined {
    request.callsBefore = this.#calls()?.lastNumber ?? 0;
    try {
      const answer = this.#caller.answerTo(request);
      if (!(answer instanceof Promise)) return this.#answer(request, answer);
      return answer.then(
        (text) => this.#answer(request, text),
        (error: unknown) => this.#answer(request, this.#caller.errorText(request, error)),
      );
    } catch (error) {
      return this.#answer(request, this.#caller.errorText(request, error));
    }
  }

  /** Serves a stream. Its handler takes no place of `concurrency` while items are sent. */
  #serve(request: Request, definition: StreamDefinition, handle: () => unknown): Answer {
    const code = definition.code as StreamCode;
    const streams = (this.#streams ??= new code.ServedStreams(this.#carrier, this.#plan.streams));
    const answerTo = (error: unknown): string => this.#caller.errorText(request, error)!;
    return after(streams.untilRoom(), () => {
      this.#track(request, streams.start(request, handle, answerTo), 'stream');
      return undefined;
    });
  }

  /** Sends the answer of a handler. Returns a promise if the connection has no room for more. */
  #answer(request: Request, text: string | undefined): Promise<void> | undefined {
    request.isHandled = true;
    const { connection, id } = request;
    if (text === undefined || this.#answers.send(connection, text, id) === RESOLVED)
      return undefined;
    return (connection && internalsOf(connection).untilWritable())?.catch(() => {});
  }

  /** Takes an event `$/…` of this library. Unknown ones are ignored, as in LSP. */
  #takeSignal(method: string, { id, items, n }: Record<string, unknown>, size: number): void {
    const { messageConnection } = this.#carrier;
    if (method === ITEM) this.#calls()?.arrived(id, items, size);
    else if (method === MORE) this.#streams?.taken(id, n, messageConnection);
    else if (method === CANCEL) this.#cancel(id, messageConnection);
  }

  #cancel(id: unknown, connection: ConnLike | undefined): void {
    const why = 'the caller has cancelled the request';
    const isTarget = (request: Request): boolean =>
      request.id === id &&
      id !== undefined &&
      request.connection === connection &&
      // A peer may reuse the id of a cancelled request.
      !request.isCancelled &&
      typeof request.handler !== 'string';
    const running = this.#running.find(isTarget);
    if (running !== undefined) {
      running.cancel(why);
      return;
    }
    const request = this.#waiting.remove(isTarget);
    if (request === undefined) return;
    this.readOn();
    void this.#answers.send(connection, errorText(request.id!, ErrorCode.Cancelled, why));
    const slow = this.#running.find(({ isSlow }) => isSlow);
    // The handler may have been cancelled in this turn too, and be about to end.
    this.#carrier.platform.yield(() => {
      if (slow !== undefined && this.#running.includes(slow)) this.#reportSlow();
    });
  }

  /** Reports once that a handler has not settled while later requests wait for it. */
  #reportSlow(): void {
    const slow = this.#running.find(({ isSlow }) => isSlow);
    if (slow === undefined || slow === this.#reportedSlow) return;
    this.#reportedSlow = slow;
    const { name } = slow;
    const what = `the handler of ${name} has not settled, and requests behind it are given up`;
    const cure = 'raise concurrency, or end it by its signal';
    this.#carrier.report(new Error(`${what}; ${cure}`), name);
  }

  /**
   * Called when a connection has ended. Aborts the signals of its handlers.
   *
   * @param isDropped - Whether waiting requests are dropped. After a normal close they are handled.
   */
  ended(connection: ConnLike, isDropped: boolean): void {
    for (const request of this.#running) {
      if (request.connection !== connection) continue;
      request.isDropped = isDropped;
      request.cancel('the connection has ended');
    }
    if (!isDropped) return;
    this.#waiting.drop(connection);
    this.readOn();
  }

  /** Resolves when no handler runs and no request waits. Undefined if there are none now. */
  untilIdle(): Promise<void> | undefined {
    if (this.#isIdle) return undefined;
    this.#idle ??= new Deferred();
    return this.#idle.promise;
  }
}
