import { portablePlatform } from '@ws/conn';
import type { Backplane, BackplaneSink, HistoryAnswer, Keep } from '../backplane/backplane.ts';
import { Limit } from '../backplane/limit.ts';
import { ANSWER_MS, sleep, withTimeout } from '../backplane/with-timeout.ts';
import type { Position } from '../position.ts';
import type { Discover, Topology } from './cluster-clients.ts';
import type { RedisClient } from './driver.ts';
import { escapeName } from './frame.ts';
import { RetryQueues } from './retry-queues.ts';
import { KEYS_FROM } from './scripts.ts';
import { hasNotRun, Shard } from './shard.ts';
import { slotOf } from './slots.ts';

/** Interval at which the shards are asked for their view of the cluster, in ms. */
const VIEW_MS = 300;
/** Shortest time between two discoveries, in ms. */
const PAUSE_MS = 100;
/** Longest time of a discovery, and of the first attempt to reach all shards, in ms. */
const DISCOVER_MS = 3_000;
/** Pause after a failed start of a shard, and after a failed discovery, in ms. */
const RETRY_MS = 500;
/** Ms for which connections to a server without slots stay open. The server may get slots soon. */
const SPARE_MS = 60_000;
/** Longest wait for the last answers of a slot's former primary, in ms. */
const DRAIN_MS = 300;
/** Bound of the channels that move at a time. */
const MAX_MOVES = 1_000;

/** A channel that the hub has subscribed to. */
interface Subscribed {
  readonly channel: string;
  readonly slot: number;
  /** The shard that has the subscription, or that got the request for it. */
  shard: Shard | undefined;
  /** Whether a call of `#place` has not settled. */
  isMoving: boolean;
}

/** Sends a command to `shard`: with `asking` the server to which the slot moves, else its owner. */
type Command<T> = (shard: Shard, asking: boolean, owner: Shard) => Promise<T>;

/** The backplane on a Redis cluster. Each primary has the channels and histories of its slots. */
export class ClusterBackplane implements Backplane {
  readonly #discover: Discover;
  readonly #prefix: string;
  /** By address. Some may have no slots, see {@link Shard.closeAt}. */
  readonly #shards = new Map<string, Shard>();
  /** For each slot: the address of its primary. */
  #owners: Topology['owners'] = [];
  #locate!: Topology['locate'];
  /** For each slot that has moved: the replication id of its former primary at that time. */
  readonly #formerIds = new Map<number, string | undefined>();
  /** For each slot that has just moved: the promise of {@link drained} for its former primary. */
  readonly #drains = new Map<number, Promise<void>>();
  readonly #channels = new Map<string, Subscribed>();
  readonly #moves = new Limit(MAX_MOVES);
  readonly #retries = new RetryQueues(
    (channel, { bytes, keep }) => this.#send(channel, bytes, keep),
    () => this.#rediscover(),
  );
  /** Number of publications so far. */
  #publicationCount = 0;
  #sink!: BackplaneSink;
  /** Whether all shards are away, as `down` has reported to the hub. */
  #isDown = false;
  #isClosed = false;
  /** The current or last discovery, and the one that waits for it. */
  #discovery: Promise<void> = Promise.resolve();
  #nextDiscovery: Promise<void> | undefined;
  #viewTimer: unknown;

  constructor(discover: Discover, prefix: string) {
    this.#discover = discover;
    this.#prefix = prefix;
  }

  /** Rejects when no server can be reached. A later call may resolve. */
  async start(sink: BackplaneSink): Promise<void> {
    this.#sink = sink;
    this.#adopt(await this.#ask(undefined));
    if (this.#isClosed) throw new Error(CLOSED);
    if (this.#shards.size === 0) throw new Error(NO_SLOTS);
    this.#viewTimer ??= setInterval(() => this.#checkViews(), VIEW_MS);
    const shards = [...this.#shards.values()];
    const attempts = Promise.allSettled(shards.map(({ tried }) => tried.promise));
    await Promise.race([attempts, sleep(portablePlatform, DISCOVER_MS)]);
    if (this.#isClosed) throw new Error(CLOSED);
    if (!this.#isAnyUp) throw new Error('no server of the cluster answers');
  }

  async publish(channel: string, bytes: Uint8Array, keep?: Keep): Promise<Position | undefined> {
    const publication = { order: ++this.#publicationCount, bytes, keep };
    const slot = this.#slot(channel);
    const shard = this.#owner(slot);
    // Waits while the slot drains: an earlier publication may have to be sent again first.
    const drain = this.#drains.get(slot);
    let cause: unknown;
    if (shard !== undefined && drain === undefined && !this.#retries.has(channel)) {
      try {
        return await shard.publish(channel, bytes, keep, false, this.#formerId(channel));
      } catch (error) {
        if (!hasNotRun(error)) throw error;
        cause = error;
      }
    }
    const answered = async (): Promise<void> => drain ?? shard?.backplane.answered();
    return this.#retries.add(channel, publication, cause, answered);
  }

  async history(
    channel: string,
    since: Position | undefined,
    limit: number,
    keep?: Keep,
  ): Promise<HistoryAnswer> {
    const until = portablePlatform.now() + ANSWER_MS;
    for (;;) {
      try {
        const found = await this.#run(channel, ({ backplane }, asking) =>
          this.#read((from) => backplane.history(channel, since, limit, keep, asking, from)),
        );
        return found.answer;
      } catch (error) {
        if (!hasNotRun(error) || portablePlatform.now() > until) throw error;
      }
      await this.#rediscover();
    }
  }

  async subscribe(channel: string): Promise<void> {
    const slot = this.#slot(channel);
    const subscribed: Subscribed = { channel, slot, shard: undefined, isMoving: false };
    this.#channels.set(channel, subscribed);
    subscribed.isMoving = true;
    try {
      await this.#place(subscribed);
    } catch (error) {
      this.#forget(subscribed);
      throw error;
    } finally {
      subscribed.isMoving = false;
    }
  }

  async unsubscribe(channel: string): Promise<void> {
    const subscribed = this.#channels.get(channel);
    if (subscribed === undefined) return;
    this.#channels.delete(channel);
    try {
      await subscribed.shard?.backplane.unsubscribe(channel);
    } catch (error) {
      if (hasNotRun(error)) return;
      // The channel stays subscribed: the shard still sends its messages.
      this.#channels.set(channel, subscribed);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#viewTimer);
    await Promise.all(Array.from(this.#shards.values(), (shard) => shard.close()));
  }

  #slot(channel: string): number {
    return slotOf(escapeName(channel));
  }

  #owner(slot: number): Shard | undefined {
    const address = this.#owners[slot];
    return address === undefined ? undefined : this.#shards.get(address);
  }

  /** The shards that have slots. */
  get #primaries(): Shard[] {
    return [...this.#shards.values()].filter(({ closeAt }) => closeAt === undefined);
  }

  get #isAnyUp(): boolean {
    return this.#primaries.some(({ isUp }) => isUp);
  }

  // Commands

  async #send(channel: string, bytes: Uint8Array, keep: Keep | undefined) {
    const { answer, owner, isImported } = await this.#run(channel, (shard, asking, source) =>
      shard.publish(channel, bytes, keep, asking, asking ? source.id : this.#formerId(channel)),
    );
    // The nodes subscribe at the owner until the whole slot has moved.
    if (isImported) await owner.backplane.announce(channel, bytes, answer!).catch(() => {});
    return answer;
  }

  /** Runs a command at the owner of a channel or, if its keys have already moved, at their new server. */
  async #run<T>(channel: string, command: Command<T>) {
    if (this.#isClosed) throw new Error(CLOSED);
    const owner = this.#owner(this.#slot(channel));
    if (owner === undefined) throw new Error(NO_OWNER);
    try {
      return { answer: await command(owner, false, owner), owner, isImported: false };
    } catch (error) {
      const [, address] = /^ASK \d+ (\S+)/.exec((error as Error).message) ?? [];
      if (address === undefined) throw error;
      const target = this.#importer(address, owner);
      await target.tried.promise;
      return { answer: await command(target, true, owner), owner, isImported: true };
    }
  }

  /**
   * The replication id of the slot's former primary, for a publication. A read asks all primaries for
   * their ids, see {@link #read}. A publication cannot: a later one would overtake it meanwhile.
   */
  #formerId(channel: string): string | undefined {
    return this.#formerIds.get(this.#slot(channel));
  }

  /**
   * Reads keys that another shard may have written. The keys contain the replication id of their
   * writer. If a primary still has this id, it has lost no message, and the keys are complete.
   */
  async #read<T>(readFrom: (id: string) => Promise<T>): Promise<T> {
    try {
      return await readFrom('?');
    } catch (error) {
      const [name, id = ''] = (error as Error).message.split(' ');
      if (name !== KEYS_FROM) throw error;
      const shards = [...this.#shards.values()].filter(({ isUp }) => isUp);
      const found = shards.map(({ backplane }) => backplane.replicationId().catch(() => undefined));
      const ids = await Promise.all(found);
      return readFrom(ids.includes(id) ? id : '');
    }
  }

  /** The shard to which a slot moves. It may have no slots yet. */
  #importer(name: string, owner: Shard): Shard {
    const { address, duplicate } = this.#locate(name, owner.client);
    const found = this.#shards.get(address);
    if (found !== undefined) return found;
    const opened = this.#open(address, duplicate());
    opened.closeAt = portablePlatform.now() + SPARE_MS;
    return opened;
  }

  // Subscriptions

  /** Subscribes at the shard that has the slot. If the slot moves meanwhile, starts again. */
  async #place(subscribed: Subscribed): Promise<void> {
    const { channel, slot } = subscribed;
    const until = portablePlatform.now() + ANSWER_MS;
    while (this.#channels.get(channel) === subscribed) {
      const owner = this.#owner(slot);
      const { shard } = subscribed;
      if (shard !== undefined && (owner ?? shard) === shard) return;
      let failure: unknown = new Error(NO_OWNER);
      if (owner !== undefined) {
        shard?.backplane.unsubscribe(channel).catch(() => {});
        subscribed.shard = owner;
        try {
          await owner.backplane.subscribe(channel);
          continue;
        } catch (error) {
          failure = error;
          subscribed.shard = undefined;
        }
      }
      if (!hasNotRun(failure) || portablePlatform.now() > until) throw failure;
      await this.#rediscover();
    }
  }

  /** Moves a subscription to the new shard of its slot, and reports that messages may be missing. */
  async #move(subscribed: Subscribed): Promise<void> {
    if (subscribed.isMoving) return;
    const { channel } = subscribed;
    subscribed.isMoving = true;
    try {
      await this.#moves.run(() => this.#place(subscribed));
      // For a shard that is away, `#up` reports the gap later.
      if (subscribed.shard?.isUp && this.#channels.get(channel) === subscribed) {
        this.#sink.gap(channel);
      }
    } catch (error) {
      if (this.#forget(subscribed)) this.#sink.gap(channel, error as Error);
    }
    subscribed.isMoving = false;
  }

  /** @returns False when the hub has unsubscribed or subscribed again meanwhile. */
  #forget(subscribed: Subscribed): boolean {
    const { channel } = subscribed;
    return this.#channels.get(channel) === subscribed && this.#channels.delete(channel);
  }

  /** Handles a shard that refuses a channel, or ends the subscription to it. */
  async #refused(shard: Shard, channel: string, error: Error): Promise<void> {
    const subscribed = this.#channels.get(channel);
    if (subscribed === undefined || subscribed.shard !== shard) return;
    subscribed.shard = undefined;
    if (hasNotRun(error)) {
      await this.#rediscover();
      return this.#move(subscribed);
    }
    this.#forget(subscribed);
    this.#sink.gap(channel, error);
  }

  // Shards

  #open(address: string, client: RedisClient): Shard {
    const shard = new Shard(client, this.#prefix);
    this.#shards.set(address, shard);
    void this.#start(shard);
    return shard;
  }

  async #start(shard: Shard): Promise<void> {
    while (!shard.isClosed) {
      try {
        await shard.backplane.start({
          message: (channel, bytes, position) => {
            if (this.#channels.has(channel)) this.#sink.message(channel, bytes, position);
          },
          up: (isWhole) => this.#up(shard, isWhole),
          down: (error) => this.#down(shard, error),
          gap: (channel, refusal) => {
            if (refusal === undefined) this.#sink.gap(channel);
            else void this.#refused(shard, channel!, refusal);
          },
        });
        this.#up(shard, false);
        return shard.tried.resolve();
      } catch {
        shard.tried.resolve();
        await sleep(portablePlatform, RETRY_MS);
      }
    }
  }

  /** @param isWhole - Whether the shard has delivered all messages of its channels. */
  #up(shard: Shard, isWhole = false): void {
    shard.isUp = !shard.isClosed;
    shard.check(() => void this.#rediscover());
    this.#upIfAny();
    if (isWhole) return;
    for (const subscribed of this.#channels.values()) {
      if (subscribed.shard === shard) this.#sink.gap(subscribed.channel);
    }
  }

  #upIfAny(): void {
    if (!this.#isDown || !this.#isAnyUp) return;
    this.#isDown = false;
    this.#sink.up(true);
  }

  #down(shard: Shard, error: Error): void {
    shard.isUp = false;
    shard.id = undefined;
    if (shard.closeAt !== undefined) shard.closeAt = 0;
    else if (this.#isAnyUp) this.#sink.failed?.(error);
    else {
      this.#isDown = true;
      this.#sink.down(error);
    }
    void this.#rediscover();
  }

  // Topology

  /** Asks the shards for their views. If one has changed, a slot has moved or a replica has taken over. */
  #checkViews(): void {
    for (const shard of this.#primaries) shard.check(() => void this.#rediscover());
  }

  /** Reads the topology again. Waits for the current discovery, which may have missed the change. */
  #rediscover(): Promise<void> {
    this.#nextDiscovery ??= this.#discovery
      .then(() => sleep(portablePlatform, PAUSE_MS))
      .then(() => {
        this.#discovery = this.#nextDiscovery!;
        this.#nextDiscovery = undefined;
        return this.#readTopology();
      });
    return this.#nextDiscovery;
  }

  /** Asks a random shard for the topology: one that answers, if there is one. */
  async #readTopology(): Promise<void> {
    if (this.#isClosed) return;
    const primaries = this.#primaries;
    const answering = primaries.filter(({ isUp, isAsked }) => isUp && !isAsked);
    const candidates = answering.length > 0 ? answering : [...primaries, undefined];
    const from = candidates[Math.floor(Math.random() * candidates.length)];
    try {
      this.#adopt(await this.#ask(from?.client));
    } catch {
      // No event starts another discovery, so a timer does.
      void sleep(portablePlatform, RETRY_MS).then(() => this.#rediscover());
    }
  }

  #ask(from: RedisClient | undefined): Promise<Topology> {
    return withTimeout(portablePlatform, DISCOVER_MS, this.#discover(from));
  }

  /** Applies a topology: opens, closes and drains shards, and moves subscriptions. */
  #adopt({ owners, clients, locate }: Topology): void {
    if (this.#isClosed) return;
    const drains = new Map<Shard, Promise<void>>();
    for (const [slot, address] of this.#owners.entries()) {
      if (address === undefined || address === owners[slot]) continue;
      const former = this.#shards.get(address);
      this.#formerIds.set(slot, former?.id);
      if (former === undefined || former.unanswered === 0) continue;
      const drain = drains.get(former) ?? drained(former);
      drains.set(former, drain);
      this.#drains.set(slot, drain);
      void drain.then(() => this.#drains.get(slot) === drain && this.#drains.delete(slot));
    }
    this.#owners = owners;
    this.#locate = locate;
    for (const [address, client] of clients) {
      if (!this.#shards.has(address)) this.#open(address, client);
    }
    for (const subscribed of this.#channels.values()) {
      const owner = this.#owner(subscribed.slot);
      // Without a shard, `#place` is already looking for one.
      if (subscribed.shard === undefined || owner === undefined) continue;
      if (subscribed.shard !== owner) void this.#move(subscribed);
    }
    const now = portablePlatform.now();
    for (const [address, shard] of this.#shards) {
      if (clients.has(address)) shard.closeAt = undefined;
      else shard.closeAt ??= shard.isUp ? now + SPARE_MS : now;
      if (shard.closeAt === undefined || shard.closeAt > now) continue;
      this.#shards.delete(address);
      void shard.close();
    }
    this.#upIfAny();
  }
}

/** Resolves when a shard has answered all earlier publications, or after {@link DRAIN_MS}. */
async function drained({ backplane }: Shard): Promise<void> {
  await Promise.race([backplane.answered(), sleep(portablePlatform, DRAIN_MS)]);
  // The callers of these publications must get the answers before this promise resolves.
  await new Promise<void>((resolve) => portablePlatform.yield(resolve));
}

const NO_SLOTS = 'no server of the cluster has slots: redis-cli --cluster create assigns them';
const CLOSED = 'the connection to Redis was closed';
/** Begins as the error of a Redis server, so that {@link hasNotRun} is true. */
const NO_OWNER = 'CLUSTERDOWN no server has the slot';
