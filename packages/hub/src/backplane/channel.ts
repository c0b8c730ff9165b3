import type { Position } from '../position.ts';
import type { Keep } from './backplane.ts';
import type { BackplaneLink } from './backplane-link.ts';
import { type Arrival, type Envelope, isPlaced, type Placed } from './envelope.ts';
import type { Found, HistoryReads } from './history-reads.ts';
import { Origins } from './origins.ts';
import { OUTAGE, RepairQueue } from './repair-queue.ts';

/** Bound of the nodes with remembered counters. */
const MAX_NODES = 1_000;
/**
 * A message that has not arrived is missing if its node published it after this node had subscribed.
 * Delays make both times inexact. So the publication must be later by this margin, in ms.
 */
const MARGIN_MS = 1_000;
/** A publication that is at least this many ms old needs no margin. */
const QUIET_MS = 2_500;
/** A gap also covers messages that were published up to this many ms after the gap. */
const COVERED_MS = 500;

/** The last counted message of a node. */
interface Known {
  counter: number;
  /** Value of `#gaps` when this message was counted. */
  gaps: number;
}

/** The settings of a channel's room. */
export interface ChannelSettings {
  readonly history: Keep | undefined;
  /** Whether members get this node's own messages from the engine, as in `delivery: 'through'`. */
  readonly through: boolean;
}

/** The part of a link that its channels use. */
type ChannelLink = Pick<BackplaneLink, 'node' | 'platform' | 'deliver' | 'repair' | 'gap'>;

/**
 * Puts the messages of all nodes on one channel in order, and drops duplicates. A channel with
 * history detects missing messages by the offsets of the engine or, without offsets, by the counters of
 * the nodes. It reads them from the history, and reports a gap only when that fails.
 */
export class Channel {
  readonly name: string;
  /** The room; undefined for the channel of all sessions. */
  readonly room: string | undefined;
  readonly history: Keep | undefined;
  /** Undefined unless members get this node's own messages from the engine. */
  readonly origins: Origins | undefined;
  /** Counter of this node's last message before its first member joined. */
  readonly ownBefore: number;
  /** When the last message arrived, or the end of the history was last read. */
  #lastArrivalAt: number;
  readonly #link: ChannelLink;
  /**
   * The time of the subscription or of the last gap, in ms of the platform's clock. A message that was
   * published later either arrives, or its loss is reported.
   */
  #since: number;
  /** The last message of each node, by its name. The node that has been quiet longest comes first. */
  readonly #known = new Map<string, Known>();
  /** Number of gaps that this channel has reported. */
  #gaps = 0;
  /** Value of `#gaps` at the last gap that covers messages of every node. */
  #allLost = 0;
  #last: Position | undefined;
  /** The last message before a gap of unknown size. Any later message may follow that gap. */
  #beforeGap: Position | undefined;
  /** Whether a gap was reported for the unreadable messages that arrived last. */
  #unreadableReported = false;
  /** The messages that wait for the end of a repair; undefined without a repair. */
  #repair: RepairQueue | undefined;

  constructor(
    link: ChannelLink,
    name: string,
    room: string | undefined,
    { history, through }: ChannelSettings,
    ownBefore: number,
  ) {
    this.#link = link;
    this.name = name;
    this.room = room;
    this.history = history;
    this.origins = through ? new Origins() : undefined;
    this.ownBefore = ownBefore;
    // The members need none of this node's messages from before the first member.
    if (through && ownBefore > 0) this.#known.set(link.node, { counter: ownBefore, gaps: 0 });
    this.#since = link.platform.now();
    this.#lastArrivalAt = this.#since;
  }

  /** The engine sends the messages of this channel from now on. */
  subscribed(): void {
    this.#since = this.#link.platform.now();
  }

  /** Whether messages wait for the end of a repair. */
  get isRepairing(): boolean {
    return this.#repair !== undefined;
  }

  /** The position of the last message that was delivered. */
  get last(): Position | undefined {
    return this.#last;
  }

  /** Called every 5 s. Reads the end of a history without messages for its `ttl`. See `epochTtl`. */
  beat(reads: HistoryReads): void {
    const quietMs = this.#link.platform.now() - this.#lastArrivalAt;
    if (quietMs >= (this.history?.ttl ?? Infinity)) void this.readEnd(reads);
  }

  /**
   * Reads the position at the end of the history. Even a room without messages has an epoch, which
   * the read keeps from expiring.
   */
  async readEnd(reads: HistoryReads): Promise<void> {
    if (this.history === undefined) return;
    this.#lastArrivalAt = this.#link.platform.now();
    try {
      const { arrivals, epoch, last = 0 } = await reads.read(this.room, undefined, 1);
      if (arrivals.length === 0 && epoch !== undefined) this.#foundNone({ epoch, offset: last });
    } catch {
      // The engine is away. Its return shows which messages are missing.
    }
  }

  /** A read of the history has found no message: up to this position none is missing. */
  #foundNone(position: Position): void {
    if (this.#repair !== undefined) return;
    const isLater = this.#last?.epoch === position.epoch && this.#last.offset <= position.offset;
    if (this.#last === undefined || isLater) this.#last = position;
  }

  arrive(arrival: Arrival): void {
    if (this.#repair !== undefined) this.#repair.add(arrival);
    else if (this.history === undefined || !isPlaced(arrival)) this.#deliver(arrival);
    else if (this.#isOld(arrival)) return;
    else if (this.#follows(arrival)) this.#deliverNext(arrival);
    else void this.#fetchMissing(arrival);
  }

  /** A digest has arrived. It has the counter of a node's last message. */
  digest(digest: Envelope): void {
    const { node, counter } = digest;
    // During a repair, it is enough to check the next digest.
    if (this.#repair === undefined && this.#lacks(digest, counter)) {
      void this.#fetchUpTo(node, counter);
    }
  }

  /** Repairs or reports the loss of messages of a node, up to this counter. */
  async #fetchUpTo(node: string, counter: number): Promise<void> {
    if (this.#last !== undefined) {
      const isWhole = await this.#fetchMissing();
      // Another repair may have started. Then the next digest checks again.
      if (!isWhole || this.#repair !== undefined || this.lastOf(node) >= counter) return;
    }
    // The history lacks the message too: it has never reached the engine.
    this.#gap(this.#last);
    this.#count(node, counter);
  }

  /**
   * Whether messages of a node are missing, up to the counter `last`. `envelope` may be of a digest. Without
   * history no counter shows a loss, also not that of a node of an older version.
   */
  #lacks(envelope: Envelope, last: number): boolean {
    const { node, previousMs, exact } = envelope;
    if (previousMs === undefined || this.history === undefined) return false;
    const known = this.#known.get(node);
    if (known !== undefined && last <= known.counter) return false;
    if (known?.gaps === this.#gaps) return true;
    // The last gap has reported earlier losses. Only a message from after that gap is a new loss.
    const isCurrent = known !== undefined && known.gaps >= this.#allLost;
    const margin = exact || isCurrent || previousMs >= QUIET_MS ? 0 : MARGIN_MS;
    return this.#msSince(envelope) >= margin;
  }

  /** Ms from `#since` to the node's previous message; negative for an earlier message. */
  #msSince({ previousMs = 0 }: Envelope): number {
    return this.#link.platform.now() - this.#since - previousMs;
  }

  /** Called after an outage of the engine: messages may be missing. */
  interrupted(): void {
    if (this.#repair !== undefined) this.#repair.addOutage();
    else if (this.history === undefined || this.#last === undefined) this.#loseAll(this.#last);
    else void this.#fetchMissing();
  }

  /** Reports a gap: messages of every node may be missing. Keeps the counters, to detect later losses. */
  #loseAll(from: Position | undefined): void {
    this.#gap(from);
    this.#allLost = this.#gaps;
    this.#since += COVERED_MS;
    this.#beforeGap = from;
  }

  #gap(from: Position | undefined): void {
    this.#gaps++;
    this.#since = this.#link.platform.now();
    this.#link.gap(this, from);
  }

  #isOld({ position: { epoch, offset } }: Placed): boolean {
    const last = this.#last;
    return last !== undefined && last.epoch === epoch && offset <= last.offset;
  }

  /**
   * Whether no message is missing before this one. A new epoch is no loss in itself: the history has
   * expired, or {@link interrupted} has handled the outage.
   */
  #follows({ position: { epoch, offset }, previous = offset - 1 }: Placed): boolean {
    const last = this.#last;
    if (last === undefined || last === this.#beforeGap) return true;
    return previous <= (last.epoch === epoch ? last.offset : 0);
  }

  #deliverNext(arrival: Placed): void {
    const followsAny = this.#last === undefined || this.#last === this.#beforeGap;
    this.#lastArrivalAt = this.#link.platform.now();
    this.#deliver(arrival);
    // Unreadable bytes may come from another program. Where any message may follow, their position is
    // not trusted.
    if (arrival.envelope !== undefined || !followsAny) this.#last = arrival.position;
  }

  /**
   * Delivers a message, unless a later message of its node was delivered. Reports a gap if earlier
   * messages of its node are missing: these have never reached the engine. In a history, a digest
   * stands for a lost message, with its counter.
   */
  #deliver(arrival: Arrival): void {
    const { envelope } = arrival;
    if (envelope === undefined) return this.#reportUnreadable();
    const { node, counter, message } = envelope;
    if (counter <= this.lastOf(node)) {
      // This node's message from before the first member may still return: `deliver` decides.
      if (node !== this.#link.node || counter > this.ownBefore) return;
      return this.#link.deliver(this, envelope, arrival);
    }
    if (this.#lacks(envelope, message === undefined ? counter : counter - 1)) {
      this.#gap(this.#last);
    }
    this.#count(node, counter);
    this.#link.deliver(this, envelope, arrival);
  }

  /** Reports one gap for all unreadable messages in a row. */
  #reportUnreadable(): void {
    if (!this.#unreadableReported) this.#gap(this.#last);
    this.#unreadableReported = true;
  }

  /** Called when a node has ended. */
  forgetNode(name: string): void {
    this.#known.delete(name);
  }

  /** Counter of the last message of a node; 0 without one. */
  lastOf(node: string): number {
    return this.#known.get(node)?.counter ?? 0;
  }

  /** Stores the last counter of a node. Beyond the bound, forgets the node that was quiet longest. */
  #count(node: string, counter: number): void {
    this.#unreadableReported = false;
    const known = this.#known.get(node) ?? { counter, gaps: 0 };
    known.counter = counter;
    known.gaps = this.#gaps;
    this.#known.delete(node);
    this.#known.set(node, known);
    if (this.#known.size <= MAX_NODES) return;
    const [oldest] = this.#known.keys();
    this.#known.delete(oldest!);
  }

  /**
   * Repairs a loss: delivers the missing messages from the history, then the messages that have
   * arrived meanwhile.
   *
   * @param first - The message that has shown the loss.
   * @returns Whether no gap was reported.
   */
  async #fetchMissing(first?: Arrival): Promise<boolean> {
    const gapsBefore = this.#gaps;
    const queue = new RepairQueue(this.#last!.epoch, first);
    this.#repair = queue;
    let mayFindMore: boolean;
    do mayFindMore = await this.#readMissing(queue);
    while (mayFindMore);
    this.#repair = undefined;
    // Each of these events may start the next repair.
    for (const event of queue.later) {
      if (event === OUTAGE) this.interrupted();
      else this.arrive(event);
    }
    return gapsBefore === this.#gaps;
  }

  /** @returns Whether to read again, because the history may have more of the missing messages. */
  async #readMissing(queue: RepairQueue): Promise<boolean> {
    const since = this.#last!;
    const searchedTo = queue.beginRead(since);
    let hasFailed = false;
    const { arrivals, complete } = await this.#link.repair(this, since).catch((): Found => {
      hasFailed = true;
      return { arrivals: [], complete: false };
    });
    // A new epoch may repeat messages of the old one, with other offsets.
    const found = arrivals
      .filter(isPlaced)
      .filter(({ position: { epoch, offset } }) => epoch === since.epoch && offset > since.offset);
    const lastFound = found.at(-1)?.position.offset;
    // After a read without a result, a second read would only delay the waiting messages.
    const foundNothing = !complete && lastFound === undefined;
    // Up to this offset, another read would find no more messages.
    const end = complete ? Math.max(searchedTo, lastFound ?? -1) : (lastFound ?? Infinity);
    // These messages have offsets of the searched part, but the engine lacks them: another program has
    // sent them.
    const foreign = complete ? queue.takeAfter(lastFound ?? since.offset, searchedTo) : [];
    // Merges both lists: the history may have dropped a waiting message meanwhile.
    for (const arrival of [...queue.messages, ...found].toSorted(byOffset)) {
      if (this.#isOld(arrival)) continue;
      if (!this.#follows(arrival)) {
        if (arrival.position.offset > end) return true;
        this.#loseAll(this.#last);
      }
      this.#deliverNext(arrival);
    }
    for (const arrival of foreign) this.#deliver(arrival);
    const last = this.#last!;
    if (!queue.isWhole(last.offset, complete)) {
      // The read ended at its limit, or too many messages arrived.
      const isPart = !foundNothing && last !== since;
      // A rejected read may have caused the outage, so there is no second read after it.
      const mayReadOn = queue.next === undefined && !hasFailed;
      if (mayReadOn && (isPart || queue.isInterrupted)) return true;
      this.#loseAll(last);
    } else if (queue.next !== undefined && !this.#follows(queue.next)) this.#loseAll(last);
    return false;
  }
}

function byOffset(a: Placed, b: Placed): number {
  return a.position.offset - b.position.offset;
}

/** The channel of a room; of broadcasts if undefined. The prefix keeps a room named `all` apart. */
export function channelOf(room: string | undefined): string {
  return room === undefined ? 'all' : `room/${room}`;
}

export function roomOf(channel: string): string {
  return channel.slice(channelOf('').length);
}
