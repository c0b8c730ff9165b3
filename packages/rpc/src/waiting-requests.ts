import type { ConnLike, Platform } from '@ws/conn';
import { Fifo, internalsOf } from '@ws/conn/internal';
import type { Handler } from './request.ts';
import type { Id } from './wire.ts';

/** Bound of the waiting requests. The bound of the size holds for events too. */
const MAX_REQUESTS = 10_000;
/** Bound of the size for a connection that does not tell its own: the default `maxBufferedAmount`. */
const MAX_SIZE = 16 * 1024 * 1024;
/** Bytes that a message costs here beside its text. */
const COST = 192;

/** A request or an event that waits for a place. Parsed params would need more memory than the text. */
export type WaitingRequest = {
  /** Undefined for an event. */
  readonly id: Id | undefined;
  readonly handler: Handler;
  readonly text: string;
  readonly connection: ConnLike | undefined;
};

/** Number of messages that leave the queue in one turn, so that other connections are served too. */
const PER_TURN = 256;

type Entry = ReturnType<Fifo<WaitingRequest>['add']>;

/** The requests and events of a link that wait for a place, in the order of their arrival. */
export class WaitingRequests {
  #queue = new Fifo<WaitingRequest>();
  /** The last request with each id. A peer may use an id twice. */
  readonly #byId = new Map<Id, Entry>();
  /** Number of the requests. */
  #requests = 0;
  /** Sum of {@link costOf}. */
  #size = 0;
  /** Number of the messages that may still leave the queue in this turn. */
  #turnLeft = PER_TURN;
  readonly #platform: Platform;
  readonly #onTurn: () => void;

  /** @param onTurn - Called in the next turn, if {@link mayShift} has become false. */
  constructor(platform: Platform, onTurn: () => void) {
    this.#platform = platform;
    this.#onTurn = onTurn;
  }

  get length(): number {
    return this.#queue.length;
  }

  /** Whether a request that arrives now is refused. */
  isFullFor(connection: ConnLike | undefined): boolean {
    return this.#requests >= MAX_REQUESTS || this.#isAtBound(connection);
  }

  /** Whether an event was added at the bound of the size. Then no further event may arrive. */
  isOverfull(connection: ConnLike | undefined): boolean {
    const { last } = this.#queue;
    return last !== undefined && last.id === undefined && this.#isAtBound(connection);
  }

  /** Whether the queue has more than a quarter of the size that it may have. */
  isLong(connection: ConnLike | undefined): boolean {
    return this.#size > maxSizeOf(connection) / 4;
  }

  /** The write budget bounds the messages that wait in all connections together. */
  #isAtBound(connection: ConnLike | undefined): boolean {
    if (this.#size === 0) return false;
    if (this.#size >= maxSizeOf(connection)) return true;
    return connection !== undefined && internalsOf(connection).countKept?.(0, true) === false;
  }

  add(request: WaitingRequest): void {
    const entry = this.#queue.add(request);
    if (request.id !== undefined) this.#byId.set(request.id, entry);
    this.#count(request, 1);
  }

  peek(): WaitingRequest | undefined {
    return this.#queue.peek();
  }

  /** Whether {@link shift} may be called in this turn. */
  get mayShift(): boolean {
    return this.#turnLeft > 0;
  }

  /** Removes the first message. The queue must have one. */
  shift(): WaitingRequest {
    if (--this.#turnLeft === 0) {
      this.#platform.yield(() => {
        this.#turnLeft = PER_TURN;
        this.#onTurn();
      });
    }
    const request = this.#queue.shift()!;
    this.#removed(request);
    return request;
  }

  /** Removes the request with this `id`, an unchecked value of the peer. Returns it if there is one. */
  take(id: unknown, connection: ConnLike | undefined): WaitingRequest | undefined {
    const entry = this.#byId.get(id as Id);
    if (entry?.value.connection !== connection || entry === undefined) return undefined;
    this.#queue.remove(entry);
    this.#removed(entry.value);
    return entry.value;
  }

  /** Drops the messages of a connection. */
  drop(connection: ConnLike): void {
    const before = this.#queue;
    this.#queue = new Fifo();
    for (let each = before.shift(); each !== undefined; each = before.shift()) {
      this.#removed(each);
      if (each.connection !== connection) this.add(each);
    }
  }

  #removed(request: WaitingRequest): void {
    const { id } = request;
    if (id !== undefined && this.#byId.get(id)?.queued === false) this.#byId.delete(id);
    this.#count(request, -1);
  }

  #count(request: WaitingRequest, change: 1 | -1): void {
    const bytes = change * costOf(request);
    this.#size += bytes;
    if (request.id !== undefined) this.#requests += change;
    if (request.connection !== undefined) internalsOf(request.connection).countKept?.(bytes, true);
  }
}

/** Bytes of memory for a message. A foreign id may be a long text. */
function costOf({ id, text }: WaitingRequest): number {
  return text.length + (typeof id === 'string' ? id.length : 0) + COST;
}

function maxSizeOf(connection: ConnLike | undefined): number {
  return (connection && internalsOf(connection).maxBufferedAmount) ?? MAX_SIZE;
}
