import {
  type Backplane,
  type BackplaneSink,
  epochTtl,
  type HistoryAnswer,
  type Keep,
} from '../backplane/backplane.ts';
import { Limit } from '../backplane/limit.ts';
import type { Position } from '../position.ts';
import { Connection } from './connection.ts';
import type { Argument, RedisClient } from './driver.ts';
import { escapeName, keptFrame, parseFrame, plainFrame, type RedisBytes } from './frame.ts';
import { historyScript, publishScript } from './scripts.ts';

/** Bound of the reads of histories at a time, because other commands wait for them in Redis. */
const MAX_READS = 8;
/** The bounds of a read without `keep`. */
const ANY: Keep = { size: Number.MAX_SAFE_INTEGER, ttl: 300_000 };
/** Bound of the channels that are subscribed at a time. */
const MAX_CHANGES = 1_000;
/** Longest wait of `close` for the answers to publications, in ms. */
const CLOSE_MS = 1_000;

/** Message of the error for a channel that another server has now. `hasNotRun` knows its first word. */
const MOVED = 'MOVED to another server';

type Names = Pick<ReadonlySet<string>, 'has' | 'keys'>;
type Entry = readonly [id: RedisBytes, fields: readonly RedisBytes[]];

/** The backplane on one Redis server: all of it, or one primary of a cluster with its slots. */
export class ServerBackplane implements Backplane {
  readonly #prefix: string;
  readonly #publishScript: string;
  readonly #historyScript: string;
  readonly #commands: Connection;
  readonly #subscriber: Connection;
  /** The channels that the hub has subscribed to, by their names in Redis. */
  readonly #wanted = new Map<string, string>();
  /** The names of the channels that Redis sends to this hub. */
  readonly #subscribed = new Set<string>();
  #sink: BackplaneSink | undefined;
  #state: 'starting' | 'up' | 'down' | 'closed' = 'starting';
  #restoring = false;
  /** How often one of the two connections was lost. */
  #losses = 0;
  /** Whether `#subscriber` was lost since the last `up`, so that messages may be missing. */
  #mayHaveMissed = true;
  /** The names of the channels that were subscribed during the outage. */
  readonly #subscribedLate = new Set<string>();
  readonly #reads = new Limit(MAX_READS);
  /** Settles the promise of {@link start}. */
  #settleStart: (error?: Error) => void = () => {};

  /** @param isShard - Whether the server is one primary of a cluster. */
  constructor(client: RedisClient, prefix: string, sharded: boolean, isShard = false) {
    this.#prefix = prefix;
    this.#publishScript = publishScript(sharded ? 'SPUBLISH' : 'PUBLISH', isShard);
    this.#historyScript = historyScript(isShard);
    const ready = (): void => void this.#restore();
    // A primary of a cluster that has become a replica loses its slots.
    this.#commands = new Connection(client, sharded, !isShard, {
      ready,
      // `#commands` has no subscriptions.
      lost: (error) => {
        this.#losses++;
        this.#down(error);
      },
      // The other connection is to the same server.
      demoted: (error) => this.#subscriber.replace(error),
      message: () => {},
      moved: () => {},
    });
    this.#subscriber = new Connection(client, sharded, false, {
      ready,
      lost: (error, lostSubscriptions) => {
        if (lostSubscriptions) this.#subscribed.clear();
        this.#mayHaveMissed = true;
        this.#losses++;
        this.#down(error);
      },
      demoted: () => {},
      message: (name, frame) => this.#receive(name, frame),
      moved: (name) => this.#moved(name),
    });
  }

  /**
   * Rejects when an attempt to connect fails. The client tries again, so a later call may resolve.
   */
  start(sink: BackplaneSink): Promise<void> {
    const isFirst = this.#sink === undefined;
    this.#sink = sink;
    return new Promise((resolve, reject) => {
      if (this.#state === 'up') return resolve();
      this.#settleStart = (error) => (error === undefined ? resolve() : reject(error));
      if (!isFirst) return;
      this.#commands.connect();
      this.#subscriber.connect();
    });
  }

  /**
   * @param asking - See {@link Driver.eval}.
   * @param from - Of a shard: see {@link publishScript}.
   */
  async publish(
    channel: string,
    bytes: Uint8Array,
    keep?: Keep,
    asking = false,
    from = '',
  ): Promise<Position | undefined> {
    const name = this.#name(channel);
    if (keep === undefined) {
      await this.#commands.run((driver) => driver.publish(name, plainFrame(bytes)));
      return undefined;
    }
    const args = [
      // The clients accept only a Buffer.
      Buffer.concat([bytes]),
      name,
      String(keep.size),
      String(Math.ceil(keep.ttl)),
      String(keep.bytes ?? Number.MAX_SAFE_INTEGER),
      String(epochTtl(keep)),
      from,
    ];
    const answer = await this.#eval(this.#publishScript, channel, args, asking);
    const [epoch, offset] = answer as [RedisBytes, number];
    return { epoch: epoch.toString(), offset };
  }

  /** Sends the nodes a message that is in the history on another server. */
  async announce(channel: string, bytes: Uint8Array, position: Position): Promise<void> {
    const frame = keptFrame(position, bytes);
    await this.#commands.run((driver) => driver.publish(this.#name(channel), frame));
  }

  /** Resolves when Redis has answered all earlier publications. Redis answers in order. */
  async answered(): Promise<void> {
    await this.#commands.ping().catch(() => {});
  }

  /** The view that this server has of its cluster. */
  clusterSlots(): Promise<unknown> {
    return this.#commands.run((driver) => driver.call('CLUSTER', 'SLOTS'));
  }

  /** The replication id of this server; undefined while it is no primary. */
  async replicationId(): Promise<string | undefined> {
    const info = await this.#commands.run((driver) => driver.call('INFO', 'replication'));
    return /^role:master\b[^]*^master_replid:(\w+)/m.exec(String(info))?.[1];
  }

  async history(
    channel: string,
    since: Position | undefined,
    limit: number,
    keep: Keep = ANY,
    asking = false,
    from = '',
  ): Promise<HistoryAnswer> {
    const [epochOfSince, offset] = [since?.epoch ?? '', String(since?.offset ?? '')];
    const bounds = [String(epochTtl(keep)), String(keep.size)];
    const args = [String(limit), epochOfSince, offset, ...bounds, from];
    const [epochBytes, last, entries] = (await this.#reads.run(() =>
      this.#eval(this.#historyScript, channel, args, asking),
    )) as [RedisBytes, number, Entry[]];
    const epoch = epochBytes.toString();
    const messages = entries.map(([id, fields]) => ({
      offset: Number.parseInt(id.toString(), 10),
      bytes: fields[1]!,
    }));
    const isSameEpoch = since === undefined || since.epoch === epoch;
    const after = since?.offset ?? 0;
    const complete = isSameEpoch && messages.length === last - after;
    const follows = isSameEpoch && (messages[0]?.offset ?? last + 1) === after + 1;
    const more = messages.length > 0 && messages.at(-1)!.offset < last;
    return { messages, epoch, complete, follows, more, last };
  }

  async subscribe(channel: string): Promise<void> {
    const name = this.#name(channel);
    this.#wanted.set(name, channel);
    if (this.#state !== 'up') return;
    await this.#unlessLost(this.#subscribeTo(name));
  }

  async unsubscribe(channel: string): Promise<void> {
    const name = this.#name(channel);
    this.#wanted.delete(name);
    if (this.#state !== 'up') return;
    try {
      await this.#unlessLost(this.#unsubscribeFrom(name));
    } catch (error) {
      // Redis still sends the messages of the channel, and the hub relies on that.
      this.#wanted.set(name, channel);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    this.#settleStart(new Error('the connection to Redis was closed'));
    const timer = setTimeout(() => this.#commands.destroy(), CLOSE_MS);
    await this.answered();
    clearTimeout(timer);
    this.#commands.destroy();
    this.#subscriber.destroy();
  }

  #name(channel: string): string {
    return `${this.#prefix}{${escapeName(channel)}}`;
  }

  #eval(script: string, channel: string, args: Argument[], asking: boolean): Promise<unknown> {
    const name = this.#name(channel);
    const keys = [name, `${name}:log`];
    return this.#commands.run((driver) =>
      driver.eval(script, keys, [crypto.randomUUID(), ...args], asking),
    );
  }

  #receive(name: string, frame: RedisBytes): void {
    const channel = this.#wanted.get(name);
    if (channel === undefined || this.#state === 'closed') return;
    // Messages may be missing before this one. Drops it, because `up` then reports a gap.
    if (this.#mayHaveMissed && this.#state !== 'up') return;
    this.#sink!.message(channel, ...parseFrame(frame));
  }

  /** Another server has the channel now. */
  #moved(name: string): void {
    const channel = this.#wanted.get(name);
    this.#subscribed.delete(name);
    if (!this.#wanted.delete(name) || this.#state === 'closed') return;
    this.#sink!.gap(channel, new Error(MOVED));
  }

  // Outages

  #down(error: Error): void {
    if (this.#state === 'up') {
      this.#state = 'down';
      this.#sink!.down(error);
    }
    this.#settleStart(error);
  }

  /** Subscribes to all channels when both connections are ready, then reports `up`. */
  async #restore(): Promise<void> {
    if (this.#restoring) return;
    this.#restoring = true;
    const refused = new Map<string, Error>();
    let lossesBefore = -1;
    while (this.#connected) {
      // Only one connection may have been lost so far. The pings find out whether the other one works, and
      // whether the server is a primary. Without them, a later loss would be a second outage with a second gap.
      // A connection that was lost and is back since may lead to another server.
      if (lossesBefore !== this.#losses) {
        lossesBefore = this.#losses;
        await Promise.allSettled([this.#commands.ping(), this.#subscriber.ping()]);
        continue;
      }
      // The hub may change its channels meanwhile, so compare them again.
      const missing = missingIn(this.#subscribed, this.#wanted);
      const surplus = missingIn(this.#wanted, this.#subscribed);
      if (missing.length + surplus.length === 0) {
        this.#up();
        break;
      }
      for (const name of missing) this.#subscribedLate.add(name);
      await this.#inBatches(missing, (name) => this.#resubscribe(name, refused));
      await this.#inBatches(surplus, (name) => this.#unsubscribeFrom(name));
    }
    this.#restoring = false;
    for (const [channel, error] of refused) this.#sink!.gap(channel, error);
  }

  async #inBatches(
    names: readonly string[],
    change: (name: string) => Promise<void>,
  ): Promise<void> {
    for (let i = 0; i < names.length && this.#connected; i += MAX_CHANGES) {
      await Promise.allSettled(names.slice(i, i + MAX_CHANGES).map(change));
    }
  }

  /** Redis may refuse a channel. The hub subscribes again after the gap that reports the refusal. */
  async #resubscribe(name: string, refused: Map<string, Error>): Promise<void> {
    if (!this.#wanted.has(name)) return;
    try {
      await this.#subscribeTo(name);
    } catch (error) {
      const channel = this.#wanted.get(name);
      if (!this.#connected || channel === undefined) return;
      this.#wanted.delete(name);
      refused.set(channel, error as Error);
    }
  }

  get #connected(): boolean {
    return this.#state !== 'closed' && this.#commands.ready && this.#subscriber.ready;
  }

  #up(): void {
    const before = this.#state;
    const isWhole = !this.#mayHaveMissed;
    this.#state = 'up';
    this.#mayHaveMissed = false;
    if (before === 'down') this.#sink!.up(isWhole);
    for (const name of isWhole ? this.#subscribedLate : []) {
      const channel = this.#wanted.get(name);
      if (channel !== undefined) this.#sink!.gap(channel);
    }
    this.#subscribedLate.clear();
    this.#settleStart();
  }

  async #subscribeTo(name: string): Promise<void> {
    await this.#subscriber.run((driver) => driver.subscribe(name));
    this.#subscribed.add(name);
  }

  async #unsubscribeFrom(name: string): Promise<void> {
    try {
      await this.#subscriber.run((driver) => driver.unsubscribe(name));
    } catch (error) {
      // When the connection is back, the package `redis` restores the subscription, and `#restore`
      // ends it.
      if (!this.#subscriber.ready) return;
      this.#subscribed.delete(name);
      throw error;
    }
    this.#subscribed.delete(name);
  }

  /** Ignores an error of a lost connection: `#restore` makes the change later. */
  async #unlessLost(change: Promise<void>): Promise<void> {
    try {
      await change;
    } catch (error) {
      if (this.#state === 'up') throw error;
    }
  }
}

/** The names of `all` that are missing in `some`. */
function missingIn(some: Names, all: Names): string[] {
  return [...all.keys()].filter((name) => !some.has(name));
}
