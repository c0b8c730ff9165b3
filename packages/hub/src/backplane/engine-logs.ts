import type { Position } from '../position.ts';
import { epochTtl, type HistoryAnswer, type Keep } from './backplane.ts';

/** Bytes of memory that a message costs beside its payload. */
const ENTRY_COST = 256;
/** Interval between two removals of expired histories, in ms. */
const SWEEP_MS = 10_000;
/** The `ttl` of a read without `keep`, in ms. */
const TTL_MS = 300_000;
/** Bound of the logs. A join is enough to create one, and it outlives the last member by minutes. */
const MAX_LOGS = 100_000;
/** Number of logs that the bound drops together: to find the quietest ones takes time. */
const DROPPED = 100;

/** The history of one channel. */
class Log {
  readonly channel: string;
  /** The queue of {@link EngineLogs} that has this log. */
  queue: Set<Log>;
  readonly epoch: string = crypto.randomUUID();
  /** Offset of the last message. */
  last = 0;
  /** Bytes of the kept messages. */
  bytes = 0;
  /** Times at which the messages and the epoch expire, in ms. */
  messagesExpireAt = Infinity;
  epochExpiresAt = Infinity;
  #messages: Uint8Array[] = [];
  /** Index of the first message in `#messages`. Dropped ones before it are removed together, later. */
  #first = 0;

  constructor(channel: string, queue: Set<Log>) {
    this.channel = channel;
    this.queue = queue;
  }

  get length(): number {
    return this.#messages.length - this.#first;
  }

  get cost(): number {
    return this.bytes + this.length * ENTRY_COST;
  }

  add(bytes: Uint8Array, { size, bytes: maxBytes = Infinity }: Keep): void {
    this.#messages.push(bytes);
    this.last++;
    this.bytes += bytes.length;
    while (this.length > size || (this.bytes > maxBytes && this.length > 1)) this.dropFirst();
  }

  dropFirst(): void {
    this.bytes -= this.#messages[this.#first]!.length;
    this.#first++;
    if (this.#first * 2 < this.#messages.length) return;
    this.#messages = this.#messages.slice(this.#first);
    this.#first = 0;
  }

  clear(): void {
    this.#messages = [];
    this.#first = 0;
    this.bytes = 0;
  }

  read(since: Position | undefined, limit: number, maxBytes: number): HistoryAnswer {
    const { epoch, last } = this;
    const isKnown = since === undefined || since.epoch === epoch;
    const after = isKnown ? (since?.offset ?? 0) : 0;
    // Messages up to this offset are dropped.
    const dropped = last - this.length;
    const from = Math.max(since === undefined ? last - limit : after, dropped);
    const end = Math.min(from + limit, last);
    const messages: { offset: number; bytes: Uint8Array }[] = [];
    let bytes = 0;
    for (let offset = from + 1; offset <= end; offset++) {
      const message = this.#messages[this.#first + offset - dropped - 1]!;
      bytes += message.length;
      if (bytes > maxBytes && messages.length > 0) break;
      messages.push({ offset, bytes: message });
    }
    const follows = isKnown && from === after && from <= last;
    const to = from + messages.length;
    return { messages, epoch, last, follows, complete: follows && to === last, more: to < end };
  }
}

/** The histories of an engine in memory, by channel. */
export class EngineLogs {
  readonly #now: () => number;
  readonly #maxAnswerBytes: number;
  readonly #logs = new Map<string, Log>();
  /** The logs that never had a message, in the order of their last read. The bound drops these first. */
  readonly #neverUsed = new Set<Log>();
  /** Logs without messages, in the order of their last use. The bound drops these next. */
  readonly #emptied = new Set<Log>();
  /** The logs with messages, in the order of their last publication. */
  readonly #used = new Set<Log>();
  /** Sum of the costs of all logs. */
  #cost = 0;
  /** When the next call removes expired histories, in ms. */
  #sweepAt = 0;

  /**
   * @param now - A clock in ms.
   * @param maxAnswerBytes - Bound of an answer, in bytes of its messages. A single message may be larger.
   */
  constructor(now: () => number, maxAnswerBytes: number = Infinity) {
    this.#now = now;
    this.#maxAnswerBytes = maxAnswerBytes;
  }

  /** Keeps a message, and drops the oldest ones beyond the bounds. */
  add(channel: string, bytes: Uint8Array, keep: Keep): Position {
    const log = this.#log(channel);
    this.#change(log, () => log.add(bytes, keep));
    this.#enqueue(log);
    log.messagesExpireAt = this.#now() + keep.ttl;
    log.epochExpiresAt = this.#now() + epochTtl(keep);
    while (this.#cost > (keep.total ?? Infinity) && this.#used.size > 0) this.#dropOldest();
    return { epoch: log.epoch, offset: log.last };
  }

  /** See `Backplane.history`. */
  read(
    channel: string,
    since: Position | undefined,
    limit: number,
    keep: Pick<Keep, 'ttl'> = { ttl: TTL_MS },
  ): HistoryAnswer {
    const log = this.#log(channel);
    if (log.length === 0) this.#enqueue(log);
    log.epochExpiresAt = this.#now() + epochTtl(keep);
    return log.read(since, limit, this.#maxAnswerBytes);
  }

  /** Number of the channels with an epoch. */
  get size(): number {
    return this.#logs.size;
  }

  /** Deletes all histories. */
  clear(): void {
    this.#logs.clear();
    for (const queue of [this.#neverUsed, this.#emptied, this.#used]) queue.clear();
    this.#cost = 0;
  }

  #log(channel: string): Log {
    const now = this.#now();
    if (now >= this.#sweepAt) this.#sweep(now);
    const found = this.#logs.get(channel);
    if (found !== undefined && !this.#expire(found, now)) return found;
    if (this.#logs.size >= MAX_LOGS) this.#dropSome();
    const log = new Log(channel, this.#neverUsed);
    this.#logs.set(channel, log);
    this.#neverUsed.add(log);
    return log;
  }

  /** Puts a log at the end of its queue. */
  #enqueue(log: Log): void {
    log.queue.delete(log);
    log.queue = log.length > 0 ? this.#used : log.last > 0 ? this.#emptied : this.#neverUsed;
    log.queue.add(log);
  }

  /** Drops an epoch. A client that comes back to the channel gets a gap, as after the `ttl`. */
  #delete(log: Log): void {
    this.#change(log, () => log.clear());
    log.queue.delete(log);
    this.#logs.delete(log.channel);
  }

  /** Makes a place for a log. */
  #dropSome(): void {
    const queue = [this.#neverUsed, this.#emptied, this.#used].find(({ size }) => size > 0)!;
    let left = DROPPED;
    for (const log of queue) {
      if (left-- === 0) return;
      this.#delete(log);
    }
  }

  /** Drops expired messages, and an expired epoch. Returns whether the epoch has expired. */
  #expire(log: Log, now: number): boolean {
    if (log.epochExpiresAt <= now) this.#delete(log);
    else if (log.messagesExpireAt <= now) this.#empty(log);
    return log.epochExpiresAt <= now;
  }

  #sweep(now: number): void {
    this.#sweepAt = now + SWEEP_MS;
    for (const log of this.#logs.values()) this.#expire(log, now);
  }

  /** Drops the oldest message of the channel that has been quiet longest. */
  #dropOldest(): void {
    const [log] = this.#used as Iterable<Log> as [Log];
    this.#change(log, () => log.dropFirst());
    if (log.length === 0) this.#enqueue(log);
  }

  #empty(log: Log): void {
    this.#change(log, () => log.clear());
    this.#enqueue(log);
    log.messagesExpireAt = Infinity;
  }

  #change(log: Log, change: () => void): void {
    const before = log.cost;
    change();
    this.#cost += log.cost - before;
  }
}
