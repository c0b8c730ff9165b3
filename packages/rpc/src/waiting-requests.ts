import type { ConnLike } from '@ws/conn';
import { Fifo, internalsOf } from '@ws/conn/internal';
import { type Handler, Request } from './request.ts';
import { parse, type WireMessage } from './wire.ts';

/** Bounds of the requests and events in the queue: their number, and the characters of their text. */
const MAX_QUEUED = 256;
const MAX_QUEUED_SIZE = 1024 * 1024;
/** The default `maxBufferedAmount` of a connection. */
const MAX_KEPT_SIZE = 16 * 1024 * 1024;
/** Bytes that a kept event is charged beside its text. */
const EVENT_COST = 64;

/** An event for which the queue has no room. Its text needs less memory than its parsed params. */
interface KeptEvent {
  readonly handler: Handler;
  readonly text: string;
  readonly connection: ConnLike | undefined;
}

/** The requests and events of a link that wait for a handler, in their order. */
export class WaitingRequests {
  /** At most {@link MAX_QUEUED}. */
  #queue: Request[] = [];
  #queuedSize = 0;
  /** Events after those of the full queue; undefined when there are none. */
  #kept: Fifo<KeptEvent> | undefined;
  #keptSize = 0;

  get isEmpty(): boolean {
    return this.#queue.length === 0 && this.#kept === undefined;
  }

  /** Whether the queue takes no request. */
  get isFull(): boolean {
    return this.#kept !== undefined || this.#isQueueFull;
  }

  get #isQueueFull(): boolean {
    return this.#queue.length >= MAX_QUEUED || this.#queuedSize >= MAX_QUEUED_SIZE;
  }

  /** Whether the kept events are at their bound. */
  isOverfull(connection: ConnLike | undefined): boolean {
    if (this.#kept === undefined) return false;
    const internals = connection && internalsOf(connection);
    if (this.#keptSize >= (internals?.maxBufferedAmount ?? MAX_KEPT_SIZE)) return true;
    // The write budget bounds the kept events of all connections.
    return internals?.countKept?.(0) === false;
  }

  add(request: Request): void {
    this.#queue.push(request);
    this.#queuedSize += request.size;
  }

  /** Keeps an event that does not fit into the queue. */
  keep({ handler, connection }: Request, text: string): void {
    this.#kept ??= new Fifo();
    this.#kept.add({ handler: handler as Handler, text, connection });
    this.#count(connection, text.length + EVENT_COST);
  }

  /** @returns The first one of the queue. If undefined, {@link refill} may move kept events there. */
  shift(): Request | undefined {
    const request = this.#queue.shift();
    if (request !== undefined) this.#queuedSize -= request.size;
    return request;
  }

  /** Removes the first request for which `isMeant` is true. Kept events have no id, and stay. */
  remove(isMeant: (request: Request) => boolean): Request | undefined {
    const index = this.#queue.findIndex(isMeant);
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

  #count(connection: ConnLike | undefined, bytes: number): void {
    this.#keptSize += bytes;
    if (connection !== undefined) internalsOf(connection).countKept?.(bytes);
  }
}
