import type { ConnLike } from '@ws/conn';
import { Fifo, internalsOf } from '@ws/conn/internal';
import { type Handler, Request } from './request.ts';
import { parse, type WireMessage } from './wire.ts';

/** Bounds of the queue: number of requests and events, and characters of their text. */
const MAX_QUEUED = 256;
const MAX_QUEUED_SIZE = 1024 * 1024;
/** Bound of the kept events without a connection: the default `maxBufferedAmount`. */
const MAX_KEPT_SIZE = 16 * 1024 * 1024;
/** Bytes that a kept event costs beside its text. */
const EVENT_COST = 64;

/** An event beyond the bounds of the queue, as text: parsed params would need more memory. */
interface KeptEvent {
  readonly handler: Handler;
  readonly text: string;
  readonly connection: ConnLike | undefined;
}

/** The requests and events of a link that wait for a handler, in the order of their arrival. */
export class WaitingRequests {
  #queue: Request[] = [];
  #queuedSize = 0;
  /** Events that arrived while the queue was full; undefined when there are none. */
  #kept: Fifo<KeptEvent> | undefined;
  #keptSize = 0;

  get isEmpty(): boolean {
    return this.#queue.length === 0 && this.#kept === undefined;
  }

  /** Whether a new request must not be added: it would overtake a kept event, or exceed a bound. */
  get isFull(): boolean {
    return this.#kept !== undefined || this.#isQueueFull;
  }

  get #isQueueFull(): boolean {
    return this.#queue.length >= MAX_QUEUED || this.#queuedSize >= MAX_QUEUED_SIZE;
  }

  /** Whether no further event may be kept. `connection` is the connection of the next event. */
  isOverfull(connection: ConnLike | undefined): boolean {
    if (this.#kept === undefined) return false;
    const internals = connection && internalsOf(connection);
    if (this.#keptSize >= (internals?.maxBufferedAmount ?? MAX_KEPT_SIZE)) return true;
    // The write budget bounds the kept events of all connections together.
    return internals?.countKept?.(0) === false;
  }

  add(request: Request): void {
    this.#queue.push(request);
    this.#queuedSize += request.size;
  }

  /** Keeps the text of an event until {@link refill}, because the queue is full. */
  keep({ handler, connection }: Request, text: string): void {
    this.#kept ??= new Fifo();
    this.#kept.add({ handler: handler as Handler, text, connection });
    this.#count(connection, text.length + EVENT_COST);
  }

  /** @returns The first request of the queue. Kept events need a {@link refill} first. */
  shift(): Request | undefined {
    const request = this.#queue.shift();
    if (request !== undefined) this.#queuedSize -= request.size;
    return request;
  }

  /** Removes the first queued request for which `matches` is true. Kept events are not searched. */
  remove(matches: (request: Request) => boolean): Request | undefined {
    const index = this.#queue.findIndex(matches);
    if (index < 0) return undefined;
    const [request] = this.#queue.splice(index, 1);
    this.#queuedSize -= request!.size;
    return request;
  }

  /** Drops the requests and events of a connection. */
  drop(connection: ConnLike): void {
    const kept = this.#kept;
    this.#kept = undefined;
    for (let event = kept?.shift(); event !== undefined; event = kept!.shift()) {
      if (event.connection === connection) this.#count(connection, -event.text.length - EVENT_COST);
      else (this.#kept ??= new Fifo()).add(event);
    }
    this.#queue = this.#queue.filter((request) => request.connection !== connection);
    this.#queuedSize = this.#queue.reduce((sum, { size }) => sum + size, 0);
  }

  /** Moves kept events to the queue until the queue is full. */
  refill(): void {
    while (this.#kept !== undefined && !this.#isQueueFull) {
      const { handler, text, connection } = this.#kept.shift()!;
      if (this.#kept.length === 0) this.#kept = undefined;
      this.#count(connection, -text.length - EVENT_COST);
      const { params } = parse(text) as WireMessage;
      this.add(new Request(undefined, handler, params, text.length, connection));
    }
  }

  /** Adds `bytes` to the size of the kept events, or subtracts them if negative. */
  #count(connection: ConnLike | undefined, bytes: number): void {
    this.#keptSize += bytes;
    if (connection !== undefined) internalsOf(connection).countKept?.(bytes);
  }
}
