import { type ConnLike, JSONError } from '@ws/conn';
import { Deferred, Fifo, isThenable } from '@ws/conn/internal';
import type { Carrier } from './carrier.ts';
import type { EventDefinition, MethodDefinition } from './definitions.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import { type Checked, check, checkEither } from './schema.ts';
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

/** Requests and events that wait for a handler, and the bytes of their messages. */
const MAX_QUEUED = 256;
const MAX_QUEUED_BYTES = 1024 * 1024;
/** Least time between two reports of one kind, in ms. */
const REPORT_MS = 1_000;

/** A handler of the application, with what it handles. */
export interface Handler {
  readonly definition: MethodDefinition | EventDefinition;
  readonly run: (input: unknown, context: unknown) => unknown;
}

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
  readonly handler: Handler | undefined;
  readonly params: unknown;
  /** The answer to a message that no handler gets. */
  readonly refusal: string | undefined;
  /** Characters of the message. */
  readonly size: number;
  readonly connection: ConnLike | undefined;
  startedAt = 0;
  /** Where it waits for its turn. */
  place: ReturnType<Fifo<Request>['add']> | undefined;
  #control: AbortController | undefined;
  #cancelled: RpcError | undefined;

  constructor(
    id: Id | undefined,
    handler: Handler | undefined,
    params: unknown,
    refusal: string | undefined,
    size: number,
    connection: ConnLike | undefined,
  ) {
    this.id = id;
    this.handler = handler;
    this.params = params;
    this.refusal = refusal;
    this.size = size;
    this.connection = connection;
  }

  /** Aborts when the caller gives up, or the connection ends. Made when a handler asks for it. */
  get signal(): AbortSignal {
    if (this.#control === undefined) {
      this.#control = new AbortController();
      if (this.#cancelled !== undefined) this.#control.abort(this.#cancelled);
    }
    return this.#control.signal;
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
  readonly #queue = new Fifo<Request>();
  #queuedBytes = 0;
  /** Those whose handlers run. */
  readonly #running = new Set<Request>();
  /** Requests that wait or run, by id, for cancels. */
  readonly #byId = new Map<Id, Request>();
  /** Resolves when there is room in the queue. */
  #room: Deferred<void> | undefined;
  /** Resolves when no handler runs. */
  #idle: Deferred<void> | undefined;
  /** The request whose handler was reported, because it holds up others. */
  #reportedSlow: Request | undefined;
  readonly #reportedAt = new Map<string, number>();
  #isStarting = false;

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
  take(message: WireMessage, size: number): Promise<void> | undefined {
    const { id, method, params } = message;
    const { source } = this.#owner.carrier;
    if (method === CANCEL) {
      this.#cancel((Object(params) as { id?: unknown }).id);
      return undefined;
    }
    const isValid =
      typeof method === 'string' && areParams(params) && (id === undefined || isId(id));
    if (!isValid) return this.#add(new Request(null, undefined, undefined, INVALID, size, source));
    const handler = this.#handlers.get(method);
    const isKnown =
      handler !== undefined && (handler.definition.kind === 'method' || id === undefined);
    if (isKnown) return this.#add(new Request(id, handler, params, undefined, size, source));
    // An event that nobody handles needs no answer.
    if (id === undefined) return undefined;
    const refusal = errorText(id, ErrorCode.MethodNotFound, 'Method not found');
    return this.#add(new Request(id, undefined, undefined, refusal, size, source));
  }

  /** Takes a message that is no message of JSON-RPC, with its answer. */
  refuse(refusal: string, size: number): Promise<void> | undefined {
    const { source } = this.#owner.carrier;
    return this.#add(new Request(null, undefined, undefined, refusal, size, source));
  }

  #add(request: Request): Promise<void> | undefined {
    if (this.#isFull) {
      this.#overload(request);
      return this.#untilRoom();
    }
    if (this.#queue.length === 0 && this.#running.size < this.#concurrency && !this.#isStarting) {
      this.#isStarting = true;
      this.#start(request);
      this.#isStarting = false;
      // The handler may have sent what was taken at once, in this process.
      if (this.#queue.length > 0) this.#startNext();
      return undefined;
    }
    request.place = this.#queue.add(request);
    this.#queuedBytes += request.size;
    if (request.id !== undefined && request.handler !== undefined) {
      this.#byId.set(request.id, request);
    }
    return this.#untilRoom();
  }

  get #isFull(): boolean {
    return this.#queue.length >= MAX_QUEUED || this.#queuedBytes >= MAX_QUEUED_BYTES;
  }

  /** While a handler waits for an answer of the other end, reading continues: the answer may follow. */
  #untilRoom(): Promise<void> | undefined {
    if (!this.#isFull || this.#owner.waits) return undefined;
    this.#room ??= new Deferred();
    return this.#room.promise;
  }

  #overload({ id, handler, connection }: Request): void {
    if (id === undefined) {
      this.#reportRarely('dropped', () => {
        const { name } = handler!.definition;
        return new Error(`an event ${name} was dropped: ${this.#queue.length} requests wait`);
      });
      return;
    }
    this.#send(connection, errorText(id, ErrorCode.Busy, 'too many requests wait'));
  }

  /** This end waits for an answer: reading continues. */
  keepReading(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #leaveQueue(request: Request): void {
    this.#queue.remove(request.place!);
    request.place = undefined;
    this.#queuedBytes -= request.size;
    if (!this.#isFull) this.keepReading();
  }

  /** Starts the handlers that may run. */
  #startNext(): void {
    // A handler may send messages that are taken at once.
    if (this.#isStarting) return;
    this.#isStarting = true;
    while (this.#running.size < this.#concurrency) {
      const request = this.#queue.peek();
      if (request === undefined) break;
      this.#leaveQueue(request);
      if (this.#owner.carrier.dropsInput) this.#forget(request);
      else this.#start(request);
    }
    this.#isStarting = false;
  }

  #start(request: Request): void {
    const done = this.#run(request);
    if (done === undefined) {
      this.#forget(request);
      return;
    }
    this.#running.add(request);
    this.#owner.carrier.runs?.(done);
    if (request.id !== undefined) this.#byId.set(request.id, request);
    void done.then(() => {
      this.#running.delete(request);
      this.#forget(request);
      this.#startNext();
      if (this.#running.size === 0) this.#idle?.resolve();
    });
  }

  #forget({ id }: Request): void {
    if (id !== undefined) this.#byId.delete(id);
  }

  /** @returns A promise that never rejects, unless the request is done. */
  #run(request: Request): Promise<void> | undefined {
    const { handler, id, refusal } = request;
    if (handler === undefined) return this.#answer(request, refusal!);
    const { input, name } = handler.definition;
    const failed = (cause: unknown): Promise<void> | undefined => {
      const error = new JSONError(`the schema of the input of ${name} failed`, [], { cause });
      return this.#failed(request, error);
    };
    const go = ({ value, issues }: Checked): Promise<void> | undefined => {
      if (issues === undefined) return this.#call(request, value);
      if (id !== undefined) {
        const text = errorText(id, ErrorCode.InvalidParams, 'Invalid params', { issues });
        return this.#answer(request, text);
      }
      this.#reportRarely('misfit', () => {
        const { message, path } = issues[0] ?? { message: '', path: [] };
        return new JSONError(
          `an event ${name} does not fit its schema: ${path.join('.')} ${message}`,
        );
      });
      return undefined;
    };
    try {
      const checked = checkEither(input, request.params, scalarOf(request.params));
      return checked instanceof Promise ? checked.then(go, failed) : go(checked);
    } catch (cause) {
      return failed(cause);
    }
  }

  #call(request: Request, input: unknown): Promise<void> | undefined {
    request.startedAt = this.#owner.carrier.platform.now();
    const succeeded = (value: unknown): Promise<void> | undefined =>
      this.#succeeded(request, value);
    const failed = (error: unknown): Promise<void> | undefined => this.#failed(request, error);
    try {
      const result = request.handler!.run(input, this.#owner.contextOf(request));
      if (!isThenable(result)) return succeeded(result);
      return Promise.resolve(result).then(succeeded, failed);
    } catch (error) {
      return failed(error);
    }
  }

  #succeeded(request: Request, value: unknown): Promise<void> | undefined {
    const { id, handler } = request;
    if (id === undefined || handler!.definition.kind === 'event') return undefined;
    const { name, output } = handler!.definition;
    const internal = (why: string, cause?: unknown): Promise<void> | undefined =>
      this.#failed(request, new JSONError(`${name}: ${why}`, [], { cause }));
    const send = (checked: Checked): Promise<void> | undefined => {
      if (checked.issues !== undefined) {
        const { message, path } = checked.issues[0] ?? { message: '', path: [] };
        return internal(`the answer does not fit its schema: ${path.join('.')} ${message}`);
      }
      try {
        return this.#answer(request, resultText(id, checked.value));
      } catch (error) {
        return this.#failed(request, error);
      }
    };
    try {
      const checked = check(output, value);
      if (!(checked instanceof Promise)) return send(checked);
      return checked.then(send, (cause: unknown) =>
        internal('the schema of the answer failed', cause),
      );
    } catch (cause) {
      return internal('the schema of the answer failed', cause);
    }
  }

  /** The caller gets an RpcError. Any other error is reported, and the caller gets no word of it. */
  #failed(request: Request, error: unknown): Promise<void> | undefined {
    const { id, handler } = request;
    if (error instanceof RpcError && id !== undefined) {
      try {
        return this.#answer(request, errorText(id, error.code, error.message, error.data));
      } catch (fault) {
        error = fault;
      }
    }
    this.#owner.carrier.report(error, handler!.definition.name);
    if (id === undefined) return undefined;
    return this.#answer(request, errorText(id, ErrorCode.InternalError, 'Internal error'));
  }

  /** @returns A promise when the peer reads too slowly. */
  #answer({ connection }: Request, text: string): Promise<void> | undefined {
    if (!this.#send(connection, text)) return undefined;
    return this.#owner.carrier.untilWritable()?.catch(() => {});
  }

  /** @returns False after the end of the connection. */
  #send(connection: ConnLike | undefined, text: string): boolean {
    const { carrier } = this.#owner;
    // After a break the caller has its error, and the ids of the next connection are others.
    if (connection !== carrier.connection || connection?.state !== 'open') return false;
    carrier.send(text).catch((error: unknown) => {
      if (connection.state === 'open') this.#reportRarely('unsent', () => error);
    });
    return true;
  }

  #cancel(id: unknown): void {
    const request = this.#byId.get(id as Id);
    if (request === undefined) return;
    const why = 'the caller has cancelled the request';
    if (request.place === undefined) {
      request.cancel(why);
      return;
    }
    this.#leaveQueue(request);
    this.#forget(request);
    this.#send(request.connection, errorText(request.id!, ErrorCode.Cancelled, why));
    this.#reportSlow();
  }

  /** Reports once which handler holds the place of a request that was given up. */
  #reportSlow(): void {
    const [slow] = this.#running;
    if (slow?.handler === undefined || slow === this.#reportedSlow) return;
    this.#reportedSlow = slow;
    const { carrier } = this.#owner;
    const ms = Math.round(carrier.platform.now() - slow.startedAt);
    const { name } = slow.handler.definition;
    const error = new Error(
      `the handler of ${name} has not settled for ${ms} ms, and a request behind it was given up; raise concurrency, or end the handler when its signal aborts`,
    );
    carrier.report(error, name);
  }

  #reportRarely(kind: string, error: () => unknown): void {
    const { carrier } = this.#owner;
    const now = carrier.platform.now();
    if (now - (this.#reportedAt.get(kind) ?? -Infinity) < REPORT_MS) return;
    this.#reportedAt.set(kind, now);
    carrier.report(error(), 'rpc');
  }

  /**
   * A connection has ended: its handlers are told. What waits is dropped, except after a close of the
   * peer: it had sent that before.
   */
  ended(connection: ConnLike, isDropped: boolean): void {
    for (const request of this.#running) {
      if (request.connection === connection) request.cancel('the connection has ended');
    }
    if (!isDropped) return;
    const waiting: Request[] = [];
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      this.#leaveQueue(next);
      if (next.connection === connection) this.#forget(next);
      else waiting.push(next);
    }
    for (const request of waiting) {
      request.place = this.#queue.add(request);
      this.#queuedBytes += request.size;
    }
    this.keepReading();
  }

  /** Resolves when no handler runs and none waits; undefined when that is so. */
  untilIdle(): Promise<void> | undefined {
    if (this.#running.size === 0) return undefined;
    this.#idle ??= new Deferred();
    return this.#idle.promise;
  }
}

/** A value that is neither an object nor an array was sent as `[value]`. */
function scalarOf(params: unknown): { readonly value: unknown } | undefined {
  return Array.isArray(params) && params.length === 1 ? { value: params[0] } : undefined;
}
