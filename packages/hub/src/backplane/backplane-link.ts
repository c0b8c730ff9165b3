import type { Platform, PreparedMessage } from '@ws/conn';
import { markHandled } from '@ws/conn/internal';
import { BackplaneError } from '../errors.ts';
import { OtherNodes } from '../everywhere/other-nodes.ts';
import type { Position } from '../position.ts';
import type { Backplane, BackplaneSink, Keep } from './backplane.ts';
import { Channel, type ChannelSettings, channelOf, roomOf } from './channel.ts';
import { Digests } from './digests.ts';
import {
  type Arrival,
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  idOf,
  NO_COUNT,
  nodeName,
} from './envelope.ts';
import { type Found, HistoryReads } from './history-reads.ts';
import { Limit } from './limit.ts';
import { LinkFaults } from './link-faults.ts';
import type { LocalHub } from './local-hub.ts';
import type { Except } from './origins.ts';
import { Publications } from './publications.ts';
import { Subscriptions } from './subscriptions.ts';
import { added, sleep, waitFor, withTimeout } from './with-timeout.ts';
import { encodeWord, type Word } from './words.ts';

/** Longest wait for the engine: before a read, for its answer to a word, and for `close`. In ms. */
const ANSWER_MS = 5_000;
/** Bound of the words that the engine has not answered. */
const MAX_WORDS = 10_000;
/** Ms that a closing hub waits for its messages to return, and interval of its checks. */
const RETURN_MS = 1_000;
const RETURN_CHECK_MS = 10;
/** Ms that a closing hub waits for the engine's answers to its last digests. */
const LAST_DIGESTS_MS = 1_000;
/** Pause before a failed start is tried again, in ms. */
const RETRY_MS = 1_000;
/** Bound of the repairs at a time. After an outage, each room with history needs a repair. */
const MAX_REPAIRS = 64;

/** Publishes the messages of this node on a backplane, and receives the messages of other nodes. */
export class BackplaneLink {
  state: 'up' | 'down' = 'down';
  closed = false;
  /** The name of this node in its messages. */
  readonly node: string;
  readonly backplane: Backplane;
  /** Resolves when the engine has started. */
  readonly started: Promise<void>;
  readonly #id: string;
  readonly #hub: LocalHub;
  readonly channels: Map<string, Channel> = new Map();
  readonly #subscriptions = new Subscriptions(this);
  readonly #publications = new Publications(this);
  readonly #digests = new Digests(this, this.#publications);
  readonly #repairs = new Limit(MAX_REPAIRS);
  readonly reads: HistoryReads = new HistoryReads(this);
  /** The other nodes, as their words describe them. */
  readonly others: OtherNodes;
  #unansweredWords = 0;
  /** Whether the engine is away: in an outage, or after a failed start. */
  isAway = false;
  /** Called when the engine is up, or the hub closes. */
  readonly #upCalls = new Set<() => void>();
  /** Whether messages with `through` have not returned within {@link RETURN_MS}. */
  #hasUnreturned = false;
  /** Number of messages that reached only this node, in the current outage. */
  #localOnly = 0;
  readonly faults: LinkFaults;

  constructor(backplane: Backplane, id: string, hub: LocalHub) {
    this.backplane = backplane;
    this.#id = id;
    this.node = nodeName(id);
    this.#hub = hub;
    this.faults = new LinkFaults(hub);
    this.started = markHandled(this.#start());
    this.others = new OtherNodes(this, hub);
    this.addChannel(undefined, { history: undefined, through: false });
    this.whenSubscribed(channelOf(undefined), () => this.others.start());
  }

  get platform(): Platform {
    return this.#hub.platform;
  }

  async #start(): Promise<void> {
    const sink: BackplaneSink = {
      message: (channel, bytes, position, previous) =>
        this.#receive(channel, bytes, position, previous),
      up: (isWhole) => this.#up(isWhole),
      down: (error) => {
        if (this.state === 'up') this.#down(error);
      },
      failed: (cause) => this.faults.report('a part of the backplane is away', { cause }),
      gap: (channel, refusal) => {
        if (channel === undefined || refusal === undefined) this.#interrupted(channel);
        else this.#subscriptions.ended(channel, refusal);
      },
    };
    for (let first = true; !this.closed; first = false) {
      try {
        await this.backplane.start(sink, this.#id);
        if (this.closed) break;
        // If an earlier start has failed, members may have missed messages of other nodes.
        this.#up(first);
        return;
      } catch (error) {
        if (this.closed) break;
        // Reports the first failure only. `state` shows that the engine is still away.
        if (first) this.#down(error);
        await sleep(this.platform, RETRY_MS);
      }
    }
    throw new BackplaneError('the hub was closed before its backplane started');
  }

  /** Receives the messages of a channel from now on. */
  addChannel(room: string | undefined, settings: ChannelSettings): void {
    const name = channelOf(room);
    if (this.channels.has(name)) return;
    const ownBefore = this.#publications.lastCounter(name);
    const channel = new Channel(this, name, room, settings, ownBefore);
    this.channels.set(name, channel);
    if (settings.through && settings.history !== undefined) this.#publications.keepOrigins(name);
    this.#subscriptions.update(name);
    this.whenSubscribed(name, () => void channel.readEnd(this.reads));
  }

  /** A session has joined a room that this node already receives. */
  joined(room: string, session: object, resumes: boolean): void {
    const name = channelOf(room);
    const last = this.#publications.lastCounter(name);
    this.channels.get(name)?.origins?.joined(session, resumes, last);
  }

  /** Receives no more messages of the channel. */
  removeChannel(room: string | undefined): void {
    const name = channelOf(room);
    this.channels.get(name)?.origins?.forgetUpTo(Infinity);
    if (!this.channels.delete(name)) return;
    this.#subscriptions.update(name);
  }

  /**
   * Publishes a message.
   *
   * @param origin - Defined for a room with `through`: then the members of this node get the message
   *   when it returns from the engine, and the promise resolves after that.
   * @throws (rejects) {@link BackplaneError}; RangeError for a key that is too long.
   */
  publish(
    room: string | undefined,
    message: PreparedMessage,
    key: string | undefined,
    keep: Keep | undefined,
    origin: { readonly except: Except } | undefined,
  ): Promise<Position | undefined> {
    const channel = channelOf(room);
    // A room with history has `through`. Its events have no `keep`.
    const isCounted = origin !== undefined && (keep ?? this.keepOf(channel)) !== undefined;
    if (isCounted) this.#digests.schedule();
    return this.#publications.publish({ channel, message, key, keep, isCounted, origin });
  }

  /**
   * As {@link publish}, for a message of a room without history that this node has already delivered to its own members. Does
   * not reject during an outage. The link counts the messages that do not reach the engine, and
   * reports their number when the engine is up again.
   *
   * @param delivered - Settles when the members of this node have the message.
   */
  async publishToOthers(
    room: string | undefined,
    message: PreparedMessage,
    key?: string,
    delivered?: Promise<unknown>,
  ): Promise<undefined> {
    const wasAway = this.isAway;
    const sent = this.publish(room, message, key, undefined, undefined).catch((error: unknown) => {
      if (this.isAway) this.#localOnly++;
      else if (wasAway) this.#hub.refused(error);
      else throw error;
    });
    await (wasAway ? delivered : Promise.all([sent, delivered]));
  }

  /** The position of the last message that the members of a room have got, if it is known. */
  positionOf(room: string): Position | undefined {
    return this.state === 'up' ? this.channels.get(channelOf(room))?.last : undefined;
  }

  /** Resolves when the members of this node have got the messages that this node has published so far. */
  untilReturned(room: string): Promise<void> {
    return this.#publications.untilReturned(channelOf(room));
  }

  /** Resolves when a read of the history finds all messages that this node has published before. */
  async untilReadable(channel: string): Promise<void> {
    const { platform } = this;
    const startedAt = platform.now();
    await this.untilUp(0);
    await this.#untilSettled(channel, platform.now() - startedAt);
    // In an outage, messages of this node wait until the engine is back.
    await this.untilUp(platform.now() - startedAt);
    // This node drops messages from before its first member when they return. So a read must find
    // them: wait until the engine has stored them.
    const { ownBefore = 0 } = this.channels.get(channel) ?? {};
    const answered = this.#publications.untilAnswered(channel, ownBefore);
    await withTimeout(platform, ANSWER_MS, answered, { waited: platform.now() - startedAt });
  }

  /**
   * Resolves when the engine has answered the subscription of a room, after {@link ANSWER_MS}, or at once
   * while the engine is away. Never rejects.
   */
  async untilSubscribed(room: string): Promise<void> {
    if (!this.isAway) await this.#untilSettled(channelOf(room), 0).catch(() => {});
  }

  #untilSettled(channel: string, waited: number): Promise<void> {
    const begin = (done: () => void): (() => void) => this.whenSubscribed(channel, done);
    return waitFor(this.platform, ANSWER_MS, begin, { waited });
  }

  /** Resolves when the messages with `through` have returned, or after {@link RETURN_MS}. */
  async untilAllReturned(): Promise<void> {
    if (this.#hasUnreturned) return;
    const end = this.platform.now() + RETURN_MS;
    while (this.#publications.awaitsReturn && this.platform.now() < end) {
      await sleep(this.platform, RETURN_CHECK_MS);
    }
    this.#hasUnreturned = this.#publications.awaitsReturn;
  }

  async stop(): Promise<void> {
    this.closed = true;
    this.others.stop();
    this.#callUp();
    if (!this.#hasUnreturned) {
      await withTimeout(this.platform, LAST_DIGESTS_MS, this.#sendLastDigests()).catch(() => {});
    }
    this.#digests.stop();
    this.#publications.rejectWaiting();
    try {
      await withTimeout(this.platform, ANSWER_MS, this.backplane.close());
    } finally {
      this.#publications.rejectGiven();
    }
    // Lets the rejections of publications be counted in `#localOnly`.
    await new Promise<void>((resolve) => this.platform.yield(resolve));
    this.#reportLocalOnly();
    this.faults.flushAll();
  }

  async #sendLastDigests(): Promise<void> {
    if (this.state === 'up') await this.#publications.untilAnswered();
    await Promise.all([this.#digests.sendLast(), this.say(undefined, { word: 'end' })]);
  }

  /** Called every 5 s. */
  beat(): void {
    if (this.state !== 'up') return;
    for (const channel of this.channels.values()) channel.beat(this.reads);
  }

  /**
   * Sends a word to the other nodes, after the earlier words on the channel. Never rejects. Words are
   * lost during an outage: after it, the nodes ask each other.
   *
   * @returns Resolves to true when the engine has the word, and to false if the word is lost.
   */
  async say(room: string | undefined, word: Word): Promise<boolean> {
    const { node, platform, backplane } = this;
    if (this.state !== 'up' || this.#unansweredWords >= MAX_WORDS) return false;
    this.#unansweredWords++;
    try {
      const bytes = encodeEnvelope({ ...NO_COUNT, node, word: encodeWord(word) });
      await withTimeout(platform, ANSWER_MS, backplane.publish(channelOf(room), bytes));
      return true;
    } catch (cause) {
      // A refused sign of life needs no report: refusals of messages report the same cause.
      const isLifeSign = word.word === 'start' || word.word === 'beat' || word.word === 'end';
      if (!isLifeSign && this.state === 'up') this.faults.wordRefused(cause);
      return false;
    } finally {
      this.#unansweredWords--;
    }
  }

  // Called by reads, channels, subscriptions and publications

  /**
   * Resolves when the engine is up. Rejects after {@link ANSWER_MS}, and when the hub closes before.
   *
   * @param waited - Ms that the caller has already waited, as a part of {@link ANSWER_MS}.
   */
  async untilUp(waited: number): Promise<void> {
    if (this.state === 'up') return;
    const begin = (done: () => void): (() => void) => added(this.#upCalls, done);
    if (!this.closed) await waitFor(this.platform, ANSWER_MS, begin, { waited });
    this.#checkReturned();
  }

  /** As {@link untilUp}, without a bound. For the few callers that cannot give up. */
  async untilBack(): Promise<void> {
    if (this.state === 'up') return;
    if (!this.closed) await new Promise<void>((resolve) => added(this.#upCalls, resolve));
    this.#checkReturned();
  }

  #checkReturned(): void {
    if (this.closed && this.state !== 'up') throw new BackplaneError('the hub was closed');
  }

  #callUp(): void {
    for (const done of this.#upCalls) done();
    this.#upCalls.clear();
  }

  /** Delivers a message to the members of this node. */
  deliver(channel: Channel, { node, counter, key, message }: Envelope, arrival: Arrival): void {
    const { room, origins } = channel;
    if (message === undefined || !this.#isOpen(channel)) return;
    if (node !== this.node) return void this.#hub.arrived(room, message, key, undefined, arrival);
    const origin = origins?.returned(counter);
    if (origin !== undefined) {
      const arrived = this.#hub.arrived(room, message, key, origin.except, arrival);
      origin.returned?.resolve(arrived);
      // Without its origin, the message could reach a session of `except`: the members get a gap in
      // place of it. A message from before the first member is no loss.
    } else if (origins !== undefined && counter > channel.ownBefore) this.gap(channel, undefined);
  }

  /**
   * Reads a part of the history for a repair, once the engine is up and {@link MAX_REPAIRS} allows it.
   * Does not repeat a failed read, which may have caused an outage.
   */
  repair(channel: Channel, since: Position): Promise<Found> {
    const { name, history } = channel;
    return this.#repairs.run(async () => {
      if (!this.#isOpen(channel)) return { arrivals: [], complete: false };
      await this.untilBack();
      try {
        await this.untilReadable(name);
        return await this.reads.readNow(name, since, history!.size);
      } catch (error) {
        // Rejects after the outage, so that one gap reports both the failed read and the outage.
        if (!this.closed) await this.untilBack();
        throw error;
      }
    });
  }

  /** Messages of a channel may be missing after `from`. */
  gap(channel: Channel, from: Position | undefined): void {
    if (this.#isOpen(channel)) this.#hub.missed(channel.room, from);
  }

  /** Whether the channel has members. A repair may still run after the last member has left. */
  #isOpen(channel: Channel): boolean {
    return this.channels.get(channel.name) === channel;
  }

  /**
   * The engine sends the messages of a channel from now on.
   *
   * @param wasRefused - Whether the engine had refused the subscription, so messages may be missing.
   */
  subscribed(name: string, wasRefused: boolean): void {
    if (wasRefused) return this.#interrupted(name);
    this.channels.get(name)?.subscribed();
  }

  /**
   * Calls `ready` when the engine has answered the subscription to a channel.
   *
   * @returns A function that removes `ready`.
   */
  whenSubscribed(channel: string, ready: () => void): () => void {
    return this.#subscriptions.whenSettled(channel, ready);
  }

  /** Whether the engine is up, and sends this node the messages and words of a channel. */
  isSubscribedTo(channel: string): boolean {
    return this.state === 'up' && this.#subscriptions.has(channel);
  }

  // Called by the engine

  #receive(
    name: string,
    bytes: Uint8Array,
    position: Position | undefined,
    previous: number | undefined,
  ): void {
    const channel = this.channels.get(name);
    if (channel === undefined) return;
    const envelope = this.decode(bytes);
    if (envelope === undefined) return channel.arrive({ envelope, position, previous });
    const { node, counter, message } = envelope;
    if (node !== this.node && idOf(node) === this.#id) this.faults.twin(node, this.#id);
    if (envelope.word !== undefined && position === undefined) {
      return this.#receiveWord(channel.room, node, envelope.word);
    }
    // A digest with a position is the record of a loss, in the history in place of the message.
    if (message !== undefined || position !== undefined) {
      return channel.arrive({ envelope, position, previous });
    }
    channel.digest(envelope);
    // Earlier messages may still follow: a repair may hold them, or the digest may have overtaken them.
    // After the next digest, 5 s later, they are lost.
    const mayFollow = channel.lastOf(node) < counter;
    if (node === this.node && !channel.isRepairing) {
      channel.origins?.digestReturned(counter, mayFollow);
    }
  }

  #receiveWord(room: string | undefined, node: string, word: Uint8Array): void {
    if (node === this.node || this.closed) return;
    try {
      this.others.receiveWord(room, node, word);
    } catch (cause) {
      this.faults.invalid(cause);
    }
  }

  keepOf(channel: string): Keep | undefined {
    return this.#hub.settings.room(roomOf(channel)).history;
  }

  /** @returns Undefined for bytes that this version cannot read. The event `error` reports them. */
  decode(bytes: Uint8Array): Envelope | undefined {
    try {
      const envelope = decodeEnvelope(bytes);
      if (!('version' in envelope)) return envelope;
      this.faults.newer(envelope.version);
    } catch (error) {
      this.faults.invalid(error);
    }
    return undefined;
  }

  /** @param isWhole - Whether no message was lost while the engine was away. */
  #up(isWhole = false): void {
    if (this.state === 'up') return;
    this.#engineReturned();
    this.others.up();
    if (!isWhole) this.#interrupted(undefined);
  }

  #engineReturned(): void {
    this.state = 'up';
    this.#publications.sendWaiting();
    this.isAway = false;
    this.#callUp();
    this.#reportLocalOnly();
  }

  #reportLocalOnly(): void {
    if (this.#localOnly === 0) return;
    const count = this.#localOnly === 1 ? '1 message' : `${this.#localOnly} messages`;
    this.#localOnly = 0;
    this.faults.report(`the backplane was away: ${count} reached this node only`);
  }

  #down(error: unknown): void {
    this.state = 'down';
    this.isAway = true;
    this.faults.report('the backplane is away', { cause: error });
  }

  /** Messages may be missing in a channel; undefined for all channels. */
  #interrupted(name: string | undefined): void {
    const channel = name === undefined ? undefined : this.channels.get(name);
    channel?.interrupted();
    if (channel !== undefined) this.others.presence?.interrupted(channel.room);
    if (name !== undefined) return;
    for (const each of this.channels.values()) each.interrupted();
    this.others.presence?.interrupted(undefined);
  }
}
