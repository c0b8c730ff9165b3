import { type BackpressureError, CloseError, type ConnLike } from '@ws/conn';
import { Deferred, internalsOf, RESOLVED } from '@ws/conn/internal';
import type { Carrier } from './carrier.ts';
import type { EventDefinition, MethodDefinition } from './definitions.ts';
import { Pause } from './pause.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import { after, type Checked, check, checkEither, misfit } from './schema.ts';
import {
  areParams,
  CANCEL,
  errorText,
  type Id,
  INVALID,
  isId,
  resultText,
  type WireMessage,
} from './wire.ts';

/** Requests and events that wait for a handler, and the characters of their messages. */
const MAX_QUEUED = 256;
const MAX_QUEUED_SIZE = 1024 * 1024;
/** Least time between two reports of one kind, in ms. */
const REPORT_MS = 1_000;

/** A handler of the application, with what it handles. */
export interface Handler {
  readonly definition: MethodDefinition | EventDefinition;
  readonly run: (input: unknown, context: unknown) => unknown;
}

/** The text of an answer; undefined for none. */
type Answer = string | undefined | Promise<string | undefined>;

/** What {@link Requests} needs of its link. */
export interface RequestsOwner {
  readonly carrier: Carrier;
  /** Whether this end waits for an answer of the other end. Reading must continue then. */
  readonly waits: boolean;
  /** The second argument of a handler. */
  contextOf(request: Request): unknown;
}

/** A request or an event of the other end, or an answer that waits for its turn. */
export class Request {
  /** Undefined for an event. */
  readonly id: Id | undefined;
  /** The handler, or the answer to a message that no handler gets. */
  readonly handler: Handler | string;
  readonly params: unknown;
  /** Characters of the message. */
  readonly size: number;
  readonly connection: ConnLike | undefined;
  /** Whether the handler has settled. Its answer may wait for a peer that reads slowly. */
  isHandled = false;
  /** Whether its connection has ended, and drops what waits. */
  isDropped = false;
  /** Whether its handler runs, and those behind it wait for it. */
  holdsPlace = false;
  #control: AbortController | undefined;
  #cancelled: RpcError | undefined;

  constructor(
    id: Id | undefined,
    handler: Handler | string,
    params: unknown,
    size: number,
    connection: ConnLike | undefined,
  ) {
    this.id = id;
    this.handler = handler;
    this.params = params;
    this.size = size;
    this.connection = connection;
  }

  /** The name of the method or of the event. */
  get name(): string {
    return typeof this.handler === 'string' ? 'rpc' : this.handler.definition.name;
  }

  /** Aborts when the caller gives up, or the connection ends. Made when a handler asks for it. */
  get signal(): AbortSignal {
    if (this.#control === undefined) {
      this.#control = new AbortController();
      if (this.#cancelled !== undefined) this.#control.abort(this.#cancelled);
    }
    return this.#control.signal;
  }

  get isCancelled(): boolean {
    return this.#cancelled !== undefined;
  }

  cancel(why: string): void {
    if (this.#cancelled !== undefined) return;
    this.#cancelled = new RpcError(ErrorCode.Cancelled, why);
    this.#control?.abort(this.#cancelled);
  }
}

/** The requests and events of the other end of one link, in their order. */
export class Requests {
  readonly #owner: RequestsOwner;
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #concurrency: number;
  /** At most {@link MAX_QUEUED}. */
  #queue: Request[] = [];
  #queuedSize = 0;
  /** Those whose handlers run. */
  readonly #running: Request[] = [];
  /** The number of those that hold a place: at most `concurrency`. */
  #places = 0;
  /** Set while the queue is full and reading pauses. */
  #pause: Pause | undefined;
  /** A pause has lasted too long, and no handler has settled since: reading continues. */
  #isStuck = false;
  /** The connection whose end ends a pause. */
  #watched: ConnLike | undefined;
  /** Resolves when no handler runs. */
  #idle: Deferred<void> | undefined;
  /** The request whose handler was reported, because it holds up others. */
  #reportedSlow: Request | undefined;
  #reportedAt: Map<string, number> | undefined;
  #isStarting = false;
  /** A hub has dropped an answer that it had accepted. */
  readonly #dropped = (error: BackpressureError): void => this.#reportRarely('unsent', () => error);

  constructor(owner: RequestsOwner, handlers: ReadonlyMap<string, Handler>, concurrency: number) {
    this.#owner = owner;
    this.#handlers = handlers;
    this.#concurrency = concurrency;
  }

  /**
   * Takes a message that is no answer.
   *
   * @param size - Characters of the message.
   * @returns A promise while the other end must wait: no message may be read before it resolves.
   */
  take({ id, method, params }: WireMessage, size: number): Promise<void> | undefined {
    const { source } = this.#owner.carrier;
    if (method === CANCEL && id === undefined) {
      this.#cancel((Object(params) as { id?: unknown }).id, source);
      return undefined;
    }
    const isValid =
      typeof method === 'string' && areParams(params) && (id === undefined || isId(id));
    if (!isValid) return this.refuse(INVALID, size);
    const handler = this.#handlers.get(method);
    if (handler !== undefined && (handler.definition.kind === 'method' || id === undefined)) {
      const request = new Request(id, handler, params, size, source);
      if (handler.definition.kind === 'method' || !handler.definition.atOnce) {
        return this.#add(request);
      }
      void this.#run(request);
      return undefined;
    }
    // An event that nobody handles needs no answer.
    if (id === undefined) return undefined;
    return this.refuse(errorText(id, ErrorCode.MethodNotFound, 'Method not found'), size);
  }

  /** Takes a message that no handler gets, with its answer. */
  refuse(refusal: string, size: number): Promise<void> | undefined {
    return this.#add(new Request(null, refusal, undefined, size, this.#owner.carrier.source));
  }

  #add(request: Request): Promise<void> | undefined {
    const isNext = this.#queue.length === 0 && this.#places < this.#concurrency;
    if (isNext && !this.#isStarting) {
      this.#isStarting = true;
      this.#start(request);
      this.#isStarting = false;
      // The handler may have sent what was taken at once, in this process.
      this.#startNext();
      return undefined;
    }
    if (this.#isFull) this.#overload(request);
    else {
      this.#queue.push(request);
      this.#queuedSize += request.size;
    }
    return this.#untilRoom();
  }

  get #isFull(): boolean {
    return this.#queue.length >= MAX_QUEUED || this.#queuedSize >= MAX_QUEUED_SIZE;
  }

  /**
   * While a handler waits for an answer of the other end, reading continues: the answer may follow.
   * It also continues while a handler does not settle: the cancel that ends it may follow.
   */
  #untilRoom(): Promise<void> | undefined {
    if (!this.#isFull || this.#owner.waits || this.#isStuck) return undefined;
    if (this.#pause === undefined) {
      const { source, platform } = this.#owner.carrier;
      this.#pause = new Pause(platform, () => this.#pausedTooLong());
      this.#watch(source);
    }
    return this.#pause.over;
  }

  /** The end of the connection is seen when reading continues. */
  #watch(source: ConnLike | undefined): void {
    if (source === undefined || source === this.#watched) return;
    this.#watched = source;
    void internalsOf(source).closed.then(() => this.keepReading());
  }

  #pausedTooLong(): void {
    // Nothing that may be read makes the peer read.
    if (!this.#running.some(isSlow)) {
      this.#pause?.restart();
      return;
    }
    this.#isStuck = true;
    this.#reportSlow();
    this.keepReading();
  }

  #overload({ id, handler, connection, name }: Request): void {
    if (id === undefined) {
      this.#reportRarely(
        'dropped',
        () => new Error(`an event ${name} was dropped: ${this.#queue.length} requests wait`),
      );
      return;
    }
    const text =
      typeof handler === 'string'
        ? handler
        : errorText(id, ErrorCode.Busy, 'too many requests wait');
    void this.#send(connection, text);
  }

  /** Ends a pause of reading. */
  keepReading(): void {
    this.#pause?.end();
    this.#pause = undefined;
  }

  #leftQueue({ size }: Request): void {
    this.#queuedSize -= size;
    if (!this.#isFull) this.keepReading();
  }

  /** Starts the handlers that may run. */
  #startNext(): void {
    // A handler may send messages that are taken at once, in this process.
    if (this.#isStarting) return;
    this.#isStarting = true;
    while (this.#places < this.#concurrency) {
      const request = this.#queue.shift();
      if (request === undefined) break;
      this.#leftQueue(request);
      if (!isRevoked(request.connection)) this.#start(request);
    }
    this.#isStarting = false;
  }

  #start(request: Request): void {
    const done = this.#run(request);
    if (done === undefined) return;
    this.#running.push(request);
    request.holdsPlace = true;
    this.#places++;
    // After the call of the handler: it may listen for the abort alone.
    if (request.connection?.state === 'closed') request.cancel('the connection has ended');
    this.#owner.carrier.runs?.(done);
    void done.then(() => {
      this.#running.splice(this.#running.indexOf(request), 1);
      this.releasePlace(request);
      if (this.#running.length === 0) this.#idle?.resolve();
    });
  }

  /** A handler that runs on lets those behind it start. The caller bounds the number of such handlers. */
  releasePlace(request: Request): void {
    if (!request.holdsPlace) return;
    request.holdsPlace = false;
    this.#places--;
    this.#isStuck = false;
    this.#pause?.restart();
    this.#startNext();
  }

  /** @returns A promise that never rejects, unless the request is done. */
  #run(request: Request): Promise<void> | undefined {
    try {
      const answer = this.#answerTo(request);
      if (!(answer instanceof Promise)) return this.#answer(request, answer);
      return answer.then(
        (text) => this.#answer(request, text),
        (error: unknown) => this.#answer(request, this.#errorText(request, error)),
      );
    } catch (error) {
      return this.#answer(request, this.#errorText(request, error));
    }
  }

  /**
   * Checks the input, calls the handler, and checks the answer.
   *
   * @returns The text of the answer; undefined for an event.
   * @throws (or rejects with) the error of the handler or of a schema.
   */
  #answerTo(request: Request): Answer {
    const { handler, params } = request;
    if (typeof handler === 'string') return handler;
    const checked = checkEither(handler.definition.input, params, scalarOf(params));
    return checked instanceof Promise
      ? checked.then((result) => this.#callLater(request, handler, result))
      : this.#call(request, handler, checked);
  }

  /** Calls the handler after an asynchronous schema, unless the request has ended meanwhile. */
  #callLater(request: Request, handler: Handler, checked: Checked): Answer {
    const { connection } = request;
    if (request.isDropped || isRevoked(connection)) return undefined;
    // What came before a close of the peer is handled, with a signal that has aborted.
    if (request.isCancelled && connection?.state === 'open') throw request.signal.reason;
    return this.#call(request, handler, checked);
  }

  #call(request: Request, { definition, run }: Handler, { value, issues }: Checked): Answer {
    const { id } = request;
    if (issues !== undefined) {
      if (id !== undefined) {
        throw new RpcError(ErrorCode.InvalidParams, 'Invalid params', { issues });
      }
      const what = `an event ${definition.name} does not fit its schema`;
      this.#reportRarely('misfit', () => misfit(what, issues));
      return undefined;
    }
    const result = run(value, this.#owner.contextOf(request));
    return after(result, (answer) => {
      if (id === undefined || definition.kind === 'event') return undefined;
      return after(check(definition.output, answer), ({ value, issues }) => {
        if (issues === undefined) return resultText(id, value);
        throw misfit(`the answer of ${definition.name} does not fit its schema`, issues);
      });
    });
  }

  /** The caller gets an RpcError. Another error is reported, and the caller gets no word of it. */
  #errorText(request: Request, error: unknown): string | undefined {
    const { id, name, connection } = request;
    if (isA(RpcError, error) && id !== undefined) {
      try {
        // Checks again what a handler may have changed.
        const { code, message, data } = new RpcError(error.code, error.message, error.data);
        return errorText(id, code, message, data);
      } catch (fault) {
        error = fault;
      }
    }
    // The peer has gone while the handler asked it.
    const isEnd = isA(CloseError, error) && connection?.state !== 'open';
    // The handler has given its signal to a function of the platform.
    const isAbort = request.isCancelled && isAbortError(error);
    if (!isEnd && !isAbort) this.#owner.carrier.report(error, name);
    return id === undefined ? undefined : errorText(id, ErrorCode.InternalError, 'Internal error');
  }

  /** @returns A promise when the peer reads too slowly. */
  #answer(request: Request, text: string | undefined): Promise<void> | undefined {
    request.isHandled = true;
    const { connection, id } = request;
    // The connection has room.
    if (text === undefined || this.#send(connection, text, id) === RESOLVED) return undefined;
    return (connection && internalsOf(connection).untilWritable())?.catch(() => {});
  }

  /**
   * Sends an answer, unless the connection has ended. The caller of `id` gets an error instead of an
   * answer for which the connection has no room. The promise never rejects.
   */
  #send(connection: ConnLike | undefined, text: string, id?: Id): Promise<void> {
    const { carrier } = this.#owner;
    // After a break the caller has its error, and the ids of the next connection are others.
    if (connection !== carrier.connection || connection?.state !== 'open') return RESOLVED;
    const sent = carrier.send(text, this.#dropped);
    if (sent === RESOLVED) return sent;
    return sent.catch((error: unknown) => {
      if (connection.state !== 'open') return undefined;
      this.#reportRarely('unsent', () => error);
      if (id === undefined) return undefined;
      return this.#send(connection, errorText(id, ErrorCode.InternalError, 'Internal error'));
    });
  }

  #cancel(id: unknown, source: ConnLike | undefined): void {
    const why = 'the caller has cancelled the request';
    const isMeant = (request: Request): boolean =>
      request.id === id &&
      id !== undefined &&
      request.connection === source &&
      // A peer may use an id again.
      !request.isCancelled &&
      typeof request.handler !== 'string';
    const running = this.#running.find(isMeant);
    if (running !== undefined) {
      running.cancel(why);
      return;
    }
    const index = this.#queue.findIndex(isMeant);
    if (index < 0) return;
    const [request] = this.#queue.splice(index, 1);
    this.#leftQueue(request!);
    void this.#send(source, errorText(request!.id!, ErrorCode.Cancelled, why));
    this.#reportSlow();
  }

  /** Reports once which handler holds the place of a request that was given up. */
  #reportSlow(): void {
    const slow = this.#running.find(isSlow);
    if (slow === undefined || slow === this.#reportedSlow) return;
    this.#reportedSlow = slow;
    const { name } = slow;
    const error = new Error(
      `the handler of ${name} has not settled, and requests behind it are given up; raise concurrency, or end it by its signal`,
    );
    this.#owner.carrier.report(error, name);
  }

  #reportRarely(kind: string, error: () => unknown): void {
    const { carrier } = this.#owner;
    const now = carrier.platform.now();
    this.#reportedAt ??= new Map();
    if (now - (this.#reportedAt.get(kind) ?? -Infinity) < REPORT_MS) return;
    this.#reportedAt.set(kind, now);
    carrier.report(error(), 'rpc');
  }

  /**
   * A connection has ended: its handlers are told. What waits is dropped, except after a close of the
   * peer: it had sent that before.
   */
  ended(connection: ConnLike, isDropped: boolean): void {
    const isOfIt = (request: Request): boolean => request.connection === connection;
    for (const request of this.#running.filter(isOfIt)) {
      request.isDropped = isDropped;
      request.cancel('the connection has ended');
    }
    if (!isDropped) return;
    const dropped = this.#queue.filter(isOfIt);
    this.#queue = this.#queue.filter((request) => !isOfIt(request));
    for (const request of dropped) this.#leftQueue(request);
  }

  /** Resolves when no handler runs and none waits; undefined when that is so. */
  untilIdle(): Promise<void> | undefined {
    if (this.#running.length === 0) return undefined;
    this.#idle ??= new Deferred();
    return this.#idle.promise;
  }
}

/** Whether the handler has not settled, and others wait for it. */
function isSlow({ holdsPlace, isHandled }: Request): boolean {
  return holdsPlace && !isHandled;
}

/** Whether a handler has thrown an error of `type`. A Proxy may throw here. */
function isA<T>(type: abstract new (...args: never) => T, error: unknown): error is T {
  try {
    return error instanceof type;
  } catch {
    return false;
  }
}

/** Whether a close of this end drops what has arrived. A runtime that cannot tell drops it at each close. */
function isRevoked(connection: ConnLike | undefined): boolean {
  if (connection === undefined) return false;
  return internalsOf(connection).dropsInput ?? connection.state === 'closing';
}

/** A value that is neither an object nor an array was sent as `[value]`. */
function scalarOf(params: unknown): { readonly value: unknown } | undefined {
  return Array.isArray(params) && params.length === 1 ? { value: params[0] } : undefined;
}

function isAbortError(error: unknown): boolean {
  try {
    return error instanceof Error && error.name === 'AbortError';
  } catch {
    return false;
  }
}
