import { BackpressureError, type ConnLike } from '@ws/conn';
import { Deferred, internalsOf } from '@ws/conn/internal';
import { ALIVE, SignsOfLife } from './alive.ts';
import { Answers, isRevoked } from './answers.ts';
import type { Calls } from './calls.ts';
import type { Carrier } from './carrier.ts';
import { HELLO } from './hello.ts';
import { type Plan, Request } from './request.ts';
import { ErrorCode } from './rpc-error.ts';
import { Stall } from './stall.ts';
import { WaitingRequests } from './waiting-requests.ts';
import {
  CANCEL,
  errorText,
  INVALID,
  ITEM,
  invalidText,
  isId,
  MORE,
  parse,
  resultText,
  type WireMessage,
} from './wire.ts';

/** Bound of the messages of all running handlers of the application, in characters. */
const MAX_SIZE = 4 * 1024 * 1024;
/** Bounds of the running requests of rooms: their number, and the characters of their messages. */
const MAX_OF_ROOMS = 256;
const MAX_SIZE_OF_ROOMS = 1024 * 1024;
/** Bound of the id of a stream in characters: each item repeats the id. */
const MAX_STREAM_ID = 256;
/** Bound of the reported names of unknown events. */
const MAX_UNKNOWN = 100;
/** Characters of an unknown name that a report has: the longest name that a contract may have. */
const MAX_NAME = 64;
/** Bound of the names in the report of a stall. */
const MAX_REPORTED = 5;

/** The taken places of handlers: their number and the characters of their messages, with the bounds. */
type Places = {
  readonly max: number;
  readonly maxSize: number;
  count: number;
  size: number;
};

/** The link of the requests. */
export type LinkOfRequests = {
  readonly carrier: Carrier;
  /** The calls of this end; undefined before the first one. */
  readonly callsIfAny: Calls | undefined;
};

/**
 * Receives the peer's requests and events on one link, and starts their handlers in the order of
 * arrival. A message waits while all places of handlers are taken. Requests of rooms have other places,
 * so they wait for no handler.
 */
export class Requests<Link extends LinkOfRequests> {
  readonly #link: Link;
  readonly #carrier: Carrier;
  readonly #answers: Answers<Link>;
  /** Only at a server: pages may be at the other end. */
  readonly #signsOfLife: SignsOfLife | undefined;
  readonly #plan: Plan<Link>;
  readonly #places: Places;
  readonly #placesOfRooms: Places = {
    max: MAX_OF_ROOMS,
    maxSize: MAX_SIZE_OF_ROOMS,
    count: 0,
    size: 0,
  };
  /** Undefined while no message waits. */
  #waiting: WaitingRequests | undefined;
  /** Requests whose handler has returned a promise that is pending. */
  readonly #running = new Set<Request>();
  /** Requests whose handler is being called. With both ends in one process there may be several. */
  readonly #starting: Request[] = [];
  readonly #stall: Stall;
  #hasReportedStall = false;
  /** Resolves at the end of a pause of reading; undefined while reading does not pause. */
  #pause: Deferred<void> | undefined;
  /** The connection that {@link #watch} observes: its end ends a pause. */
  #watchedConn: ConnLike | undefined;
  /** The promise of {@link untilIdle}. */
  #idle: Deferred<void> | undefined;

  constructor(link: Link, plan: Plan<Link>) {
    const { carrier } = link;
    this.#link = link;
    this.#carrier = carrier;
    this.#answers = new Answers(link, plan, () => this.#startNext());
    if (plan.end === 'server') {
      this.#signsOfLife = new SignsOfLife(carrier, () => this.#pause !== undefined);
    }
    this.#plan = plan;
    this.#places = { max: plan.concurrency, maxSize: MAX_SIZE, count: 0, size: 0 };
    this.#stall = new Stall(
      () => carrier.platform,
      () => this.#stalled(),
    );
  }

  /**
   * Takes a message that is no answer.
   *
   * @returns A promise to pause reading: no message may be read before the promise resolves.
   */
  take({ id, method, params }: WireMessage, text: string): Promise<void> | undefined {
    const { messageConnection } = this.#carrier;
    const signs = this.#signsOfLife;
    if (signs !== undefined) {
      signs.hasTaken = true;
      if (signs.slot === undefined) signs.setTimer();
    }
    if (id === undefined && typeof method === 'string' && method.startsWith('$/')) {
      this.#takeSignal(method, Object(params) as Record<string, unknown>, text.length);
      return undefined;
    }
    const areParams = params === undefined || (typeof params === 'object' && params !== null);
    const isValid = typeof method === 'string' && areParams && (id === undefined || isId(id));
    if (!isValid) {
      // A message without a method may be an answer. Its id would be one of this end.
      return this.reply(method !== undefined && isId(id) ? invalidText(id) : INVALID);
    }
    if (method === ALIVE && id !== undefined) return this.reply(resultText(id, null));
    // The link answers the first valid one.
    if (method === HELLO && id !== undefined && this.#plan.end === 'server') {
      return this.reply(invalidText(id));
    }
    const handler = this.#plan.handlers.get(method);
    const kind = handler?.definition.kind;
    const fits = kind === 'method' || (id === undefined ? kind === 'event' : kind === 'stream');
    if (handler === undefined || !fits) {
      if (id === undefined) return this.#reportUnknown(method);
      if (this.#link.callsIfAny?.returned({ id, method }, text) === true) return undefined;
      const { version } = this.#plan;
      const data = version === undefined ? undefined : { version };
      return this.reply(errorText(id, ErrorCode.MethodNotFound, 'Method not found', data));
    }
    const request = new Request(id, handler, params, text.length, messageConnection);
    const { definition } = handler;
    if (definition.kind === 'stream') {
      const isLong = typeof id === 'string' && id.length > MAX_STREAM_ID;
      if (isLong) return this.reply(invalidText(id));
    } else if (definition.onArrival === true) return this.#startOfRooms(request);
    const mustWait = this.#waiting !== undefined || this.#answers.isBehind;
    if (mustWait || !hasRoom(this.#places, request.size)) return this.#wait(request, text);
    this.#start(request, this.#places);
    // With both ends in one process, messages may have arrived while the handler was called.
    if (this.#waiting !== undefined) this.#startNext();
    return undefined;
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

  /** Sends a reply: the answer to a message without a handler, before the answers to earlier ones. */
  reply(text: string): undefined {
    this.#answers.reply(this.#carrier.messageConnection, text);
  }

  /** Starts a request or an event of rooms. No handler of the application delays it. */
  #startOfRooms(request: Request): undefined {
    const { id, size, handler } = request;
    // The handlers of events of rooms are synchronous.
    if (handler.definition.kind === 'event') void this.#answers.run(request);
    else if (hasRoom(this.#placesOfRooms, size)) this.#start(request, this.#placesOfRooms);
    else if (id !== undefined) this.#refuseBusy(id);
  }

  #refuseBusy(id: Exclude<Request['id'], undefined>): undefined {
    return this.reply(errorText(id, ErrorCode.Busy, 'too many requests wait'));
  }

  /** Adds a message to the queue. Returns the promise of a pause of reading, if reading must pause. */
  #wait({ id, handler, connection }: Request, text: string): Promise<void> | undefined {
    if (this.#waiting === undefined) this.#stall.restart();
    const { platform } = this.#carrier;
    const waiting = (this.#waiting ??= new WaitingRequests(platform, () => this.#startNext()));
    if (id !== undefined && waiting.isFullFor(connection)) return this.#refuseBusy(id);
    waiting.add({ id, handler, text, connection });
    if (!this.#mustPause || connection?.state === 'closed') return undefined;
    if (this.#pause === undefined) {
      this.#pause = new Deferred();
      if (waiting.isOverfull(connection)) this.#stall.restart();
      this.#signsOfLife?.paused();
      this.#watch(connection);
    }
    return this.#pause.promise;
  }

  /**
   * Reading pauses while the queue is long, unless a later message may help: an answer or an item for
   * which this end waits, or the cancel of a handler that hangs. Events at the bound of the queue
   * always pause reading, because they cannot be refused.
   */
  get #mustPause(): boolean {
    const waiting = this.#waiting;
    if (waiting === undefined) return false;
    const { messageConnection } = this.#carrier;
    if (waiting.isOverfull(messageConnection)) return true;
    if (this.#stall.hasLasted || this.#link.callsIfAny?.waits === true) return false;
    return waiting.isLong(messageConnection);
  }

  /** Ends the pause when the connection ends, because only a read finds the end. */
  #watch(connection: ConnLike | undefined): void {
    if (connection === undefined || connection === this.#watchedConn) return;
    this.#watchedConn = connection;
    void internalsOf(connection).closed.then(() => this.#endPause());
  }

  /** Ends a pause of reading, if the pause has no reason any more. */
  readOn(): void {
    if (this.#pause !== undefined && !this.#mustPause) this.#endPause();
  }

  #endPause(): void {
    this.#pause?.resolve();
    this.#pause = undefined;
  }

  /** Called when messages wait and no handler has settled for 5 s, and then each 5 s. */
  #stalled(): void {
    const carrier = this.#carrier;
    const waiting = this.#waiting!;
    const isOverfull = this.#pause !== undefined && waiting.isOverfull(carrier.messageConnection);
    // The answers of a peer that does not read wait. More messages would not change that.
    if (this.#answers.isBehind && !isOverfull) this.#stall.restart();
    const names = [...new Set(Array.from(this.#running, ({ name }) => name))];
    const [first = 'rpc'] = names;
    const running = names.slice(0, MAX_REPORTED).join(', ');
    if (!this.#hasReportedStall && !this.#answers.isBehind) {
      this.#hasReportedStall = true;
      const what = `no handler has settled for 5 s: ${this.#places.count} run (${running}), and ${waiting.length} calls and events wait`;
      const cure = 'raise concurrency, or end handlers by their signal';
      carrier.report(new Error(`${what}; ${cure}`), first);
    }
    if (this.#stall.hasLasted && isOverfull) {
      const why = `no handler has settled for 10 s, and the events behind ${running || 'unread answers'} are at the bound of maxBufferedAmount`;
      carrier.report(new BackpressureError(`the connection ends with 1013: ${why}`), first);
      carrier.overloaded();
      return this.#endPause();
    }
    // Another connection may have left room.
    this.readOn();
  }

  /** Starts waiting requests while there are places. */
  #startNext(): void {
    while (this.#waiting?.mayShift === true) {
      const next = this.#waiting.peek();
      if (next === undefined) {
        this.#waiting = undefined;
        this.#stall.stop();
        this.#hasReportedStall = false;
        break;
      }
      if (this.#answers.isBehind || !hasRoom(this.#places, next.text.length)) break;
      const { id, handler, text, connection } = this.#waiting.shift();
      if (isRevoked(connection)) continue;
      const { params } = parse(text) as WireMessage;
      this.#start(new Request(id, handler, params, text.length, connection), this.#places);
    }
    this.readOn();
    if (this.#idle !== undefined && this.#isIdle) this.#idle.resolve();
  }

  #start(request: Request, places: Places): void {
    places.count++;
    places.size += request.size;
    this.#starting.push(request);
    const done = this.#answers.run(request);
    this.#starting.pop();
    if (done === undefined) return this.#release(request, places);
    this.#running.add(request);
    // A handler may only listen for the event `abort`, so the abort comes after its call.
    if (request.connection?.state === 'closed') request.cancel('the connection has ended');
    this.#carrier.session?.counts?.(done);
    void done.then(() => this.#settled(request, places));
  }

  #settled(request: Request, places: Places): void {
    this.#running.delete(request);
    this.#release(request, places);
    if (this.#waiting !== undefined && places === this.#places) this.#stall.restart();
    if (this.#waiting !== undefined || this.#idle !== undefined) this.#startNext();
  }

  #release(request: Request, places: Places): void {
    places.count--;
    places.size -= request.size;
  }

  /** Takes an event `$/…` of this library. Unknown ones are ignored, as in LSP. */
  #takeSignal(method: string, { id, items, n }: Record<string, unknown>, size: number): void {
    const { messageConnection } = this.#carrier;
    if (method === ITEM) this.#link.callsIfAny?.arrived(id, items, size);
    else if (method === MORE) this.#answers.streams?.taken(id, n, messageConnection);
    else if (method === CANCEL) this.#cancel(id, messageConnection);
  }

  #cancel(id: unknown, connection: ConnLike | undefined): void {
    if (id === undefined) return;
    const why = 'the caller has cancelled the request';
    const waiting = this.#waiting?.take(id, connection);
    if (waiting !== undefined) {
      this.reply(errorText(waiting.id!, ErrorCode.Cancelled, why));
      return this.#startNext();
    }
    for (const request of this.#open()) {
      if (request.isOpen(id, connection)) return request.cancel(why);
    }
  }

  /** The requests with a running handler, and those of streams. */
  *#open(): Generator<Request> {
    yield* this.#starting;
    yield* this.#running;
    if (this.#answers.streams !== undefined) yield* this.#answers.streams.requests;
  }

  /**
   * Called when a connection has ended. Aborts the signals of its handlers.
   *
   * @param isDropped - Whether waiting requests are dropped. After a normal close they are handled.
   */
  ended(connection: ConnLike, isDropped: boolean): void {
    for (const request of this.#open()) {
      if (request.connection !== connection) continue;
      request.isDropped = isDropped;
      request.cancel('the connection has ended');
    }
    if (!isDropped) return;
    this.#waiting?.drop(connection);
    this.#startNext();
  }

  get #isIdle(): boolean {
    const serves = this.#answers.streams?.isEmpty === false;
    const runs = this.#places.count > 0 || this.#placesOfRooms.count > 0;
    return !serves && !runs && this.#waiting === undefined;
  }

  /** Resolves when no handler runs and no request waits. Undefined if there are none now. */
  untilIdle(): Promise<void> | undefined {
    if (this.#isIdle) return undefined;
    this.#idle ??= new Deferred();
    return this.#idle.promise;
  }
}

/** Whether a handler with a message of `size` characters may start. One handler may have any size. */
function hasRoom(places: Places, size: number): boolean {
  if (places.count === 0) return true;
  return places.count < places.max && places.size + size <= places.maxSize;
}
