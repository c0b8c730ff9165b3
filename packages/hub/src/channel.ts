import type { Platform } from '@ws/conn';
import type { Envelope } from './envelope.ts';
import type { Position } from './position.ts';
import type { HistoryBounds } from './room-history.ts';

/** Bounds of the messages that wait for the end of a repair. */
const MAX_HELD = 10_000;
const MAX_HELD_BYTES = 16_777_216;
/** Bound of the nodes whose counters are remembered. */
const MAX_NODES = 1_000;
/**
 * A message is missing if its node published it after the subscription. Both times have the delays
 * of two machines in them, so a busy node needs this margin, in ms. A message without a later one
 * for the second time needs none: its node is not busy.
 */
const MARGIN_MS = 1_000;
const QUIET_MS = 2_500;
/** A gap also covers messages that were published so many ms after it. */
const COVERED_MS = 500;

/**
 * A message that has arrived from the engine, of another node or of this one. With a digest it is
 * the record of a loss in a history.
 */
export interface Arrival {
  readonly envelope: Envelope;
  readonly position: Position | undefined;
  /** Offset of the previous message, if the engine's offsets have holes. */
  readonly previous?: number | undefined;
}

type Numbered = Pick<Arrival, 'position' | 'previous'>;

/** The last message of a node. */
interface Known {
  counter: number;
  /** How many gaps the channel had before this message. */
  gaps: number;
}

/** The settings of a channel's room. */
export interface ChannelSettings {
  readonly history: HistoryBounds | undefined;
  readonly through: boolean;
}

export interface ChannelOwner {
  /** The name of this node. */
  readonly node: string;
  readonly platform: Platform;
  /** Delivers a message to the members of this node. */
  deliver(channel: Channel, arrival: Arrival): void;
  /** Reads the history of the engine after `since`. */
  repair(
    channel: Channel,
    since: Position | undefined,
  ): Promise<{ arrivals: readonly Arrival[]; complete: boolean }>;
  gap(channel: Channel, from: Position | undefined): void;
}

/**
 * Puts the messages of all nodes on one channel in order, and drops duplicates. Detects missing
 * messages by the offsets of the engine or, without offsets, by the counters of the nodes. A
 * channel with history reads missing messages from it, and reports a gap only when that fails.
 */
export class Channel {
  readonly name: string;
  /** The room; undefined for the channel of all sessions. */
  readonly room: string | undefined;
  readonly history: HistoryBounds | undefined;
  /** The members of this node get its messages when they return from the engine. */
  readonly through: boolean;
  /** Counter of this node's last message before its first member joined. */
  readonly ownBefore: number;
  readonly #owner: ChannelOwner;
  /**
   * Messages that were published after this time arrive, or their loss is reported. In ms of the
   * platform's clock: when the channel was subscribed, or the time of the last gap.
   */
  #since: number;
  readonly #known = new Map<string, Known>();
  /** Number of gaps that this channel has reported. */
  #gaps = 0;
  /** The same at the last gap that stands for messages of every node. */
  #allLost = 0;
  #last: Position | undefined;
  /** The last message before a gap of unknown size: any other message follows it. */
  #beforeGap: Position | undefined;
  /** A gap was reported for the latest unreadable messages. */
  #unreadableReported = false;
  /** The messages that arrive during a repair; undefined without one. */
  #held: Arrival[] | undefined;
  #heldBytes = 0;
  /** Number of outages during the repair, or right before it. */
  #outages = 0;
  /** The message that has arrived last since then. */
  #arrived: Position | undefined;

  constructor(
    owner: ChannelOwner,
    name: string,
    room: string | undefined,
    { history, through }: ChannelSettings,
    ownBefore: number,
  ) {
    this.#owner = owner;
    this.name = name;
    this.room = room;
    this.history = history;
    this.through = through;
    this.ownBefore = ownBefore;
    this.#since = owner.platform.now();
  }

  /** The engine sends the messages of this channel from now on. */
  subscribed(): void {
    this.#since = this.#owner.platform.now();
  }

  arrive(arrival: Arrival): void {
    if (this.#held === undefined) return this.#accept(arrival);
    this.#arrived = arrival.position;
    this.#hold(arrival);
  }

  #hold(arrival: Arrival): void {
    this.#heldBytes += arrival.envelope.message?.bytes.length ?? 0;
    if (!this.#heldTooMuch) this.#held!.push(arrival);
  }

  get #heldTooMuch(): boolean {
    return this.#held!.length >= MAX_HELD || this.#heldBytes > MAX_HELD_BYTES;
  }

  /** A digest has arrived: the counter of a node's last message. */
  digest(digest: Envelope): void {
    const { node, counter } = digest;
    // During a repair the next digest is early enough.
    if (counter <= this.lastOf(node) || this.#held !== undefined) return;
    if (this.#lacks(digest, counter)) void this.#fetchUpTo(node, counter);
    // With history the digest may overtake the message, which then must not look like a duplicate.
    // A later digest decides about a message at about the time of the subscription.
    else if (this.history === undefined && this.#headStart(digest) < 0) this.#count(node, counter);
  }

  /** Messages of a node are missing, up to this counter: repairs or reports it. */
  async #fetchUpTo(node: string, counter: number): Promise<void> {
    if (this.history !== undefined && this.#last !== undefined) {
      const isWhole = await this.#fetchMissing();
      // Another repair may have started. Then the next digest checks again.
      if (!isWhole || this.#held !== undefined || this.lastOf(node) >= counter) return;
    }
    // A message that the history lacks too has never reached the engine.
    this.#gap(this.#last);
    this.#count(node, counter);
  }

  /** Whether messages of a node are missing, up to the counter `last`. */
  #lacks(envelope: Envelope, last: number): boolean {
    const { node, previousMs, exact } = envelope;
    // This node has already delivered its own messages.
    if (previousMs === undefined || (node === this.#owner.node && !this.through)) return false;
    const known = this.#known.get(node);
    if (known !== undefined && last <= known.counter) return false;
    if (known?.gaps === this.#gaps) return true;
    // The last gap covers what was published before it: an outage may cost each node a message.
    const isCurrent = known !== undefined && known.gaps >= this.#allLost;
    const margin = exact || isCurrent || previousMs >= QUIET_MS ? 0 : MARGIN_MS;
    return this.#headStart(envelope) >= margin;
  }

  /** Ms from the subscription to the previous message of a node; negative if it came before. */
  #headStart({ previousMs = 0 }: Envelope): number {
    return this.#owner.platform.now() - this.#since - previousMs;
  }

  /** A message has arrived that this version cannot read. */
  unreadable(position: Position | undefined, previous: number | undefined): void {
    if (
      this.#held === undefined &&
      position !== undefined &&
      !this.#isOld(position) &&
      this.#follows({ position, previous })
    ) {
      this.#last = position;
    }
    if (!this.#unreadableReported) this.#gap(this.#last);
    this.#unreadableReported = true;
  }

  /** The engine was away: messages may be missing. */
  interrupted(): void {
    if (this.#held === undefined && (this.history === undefined || this.#last === undefined)) {
      return this.#loseAll(this.#last);
    }
    this.#outages++;
    this.#arrived = undefined;
    if (this.#held === undefined) void this.#fetchMissing();
  }

  /**
   * Reports that messages of every node may be missing. The counters stay known: a message that
   * follows the last one of its node shows no loss, however late it is.
   */
  #loseAll(from: Position | undefined): void {
    this.#gap(from);
    this.#allLost = this.#gaps;
    this.#since += COVERED_MS;
    this.#beforeGap = from;
  }

  #gap(from: Position | undefined): void {
    this.#gaps++;
    this.#since = this.#owner.platform.now();
    this.#owner.gap(this, from);
  }

  #accept(arrival: Arrival): void {
    const { position } = arrival;
    if (position === undefined || this.history === undefined) return this.#deliver(arrival);
    if (this.#isOld(position)) return;
    if (this.#follows(arrival)) return this.#deliverNext(arrival);
    void this.#fetchMissing();
    this.arrive(arrival);
  }

  #isOld({ epoch, offset }: Position): boolean {
    const last = this.#last;
    return last !== undefined && last.epoch === epoch && offset <= last.offset;
  }

  #deliverNext(arrival: Arrival): void {
    this.#deliver(arrival);
    this.#last = arrival.position;
  }

  /**
   * Delivers a message, unless a later one of its node was delivered. Reports missing messages
   * before it: with history, its offset follows, so they never reached the engine. A digest has no
   * message, and repeats the counter of a lost one.
   */
  #deliver(arrival: Arrival): void {
    const { envelope } = arrival;
    const { node, counter, message } = envelope;
    if (counter <= this.lastOf(node)) return;
    if (this.#lacks(envelope, message === undefined ? counter : counter - 1)) {
      this.#gap(this.#last);
    }
    this.#count(node, counter);
    this.#owner.deliver(this, arrival);
  }

  /** Counter of the last message of a node; 0 without one. */
  lastOf(node: string): number {
    return this.#known.get(node)?.counter ?? 0;
  }

  /**
   * Stores the last counter of a node. Drops the node that has been quiet longest if there are
   * many.
   */
  #count(node: string, counter: number): void {
    this.#unreadableReported = false;
    const known = this.#known.get(node) ?? { counter, gaps: 0 };
    known.counter = counter;
    known.gaps = this.#gaps;
    this.#known.delete(node);
    this.#known.set(node, known);
    if (this.#known.size <= MAX_NODES) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      return;
    }
  }

  /**
   * Delivers the missing messages from the history, and the ones that have arrived meanwhile.
   *
   * @returns Whether no message is missing.
   */
  async #fetchMissing(): Promise<boolean> {
    const gaps = this.#gaps;
    let held: readonly Arrival[] = [];
    let isUnfinished: boolean;
    let lastRead: Position | undefined;
    do {
      const since = this.#last!;
      const outages = this.#outages;
      this.#held = [];
      this.#heldBytes = 0;
      for (const arrival of held) this.#hold(arrival);
      isUnfinished = await this.#repair(since, since === lastRead);
      // After an outage the same read may find more.
      lastRead = this.#outages === outages ? since : undefined;
      held = this.#held.filter(({ position }) => position === undefined || !this.#isOld(position));
    } while (isUnfinished);
    this.#held = undefined;
    this.#outages = 0;
    for (const arrival of held) this.arrive(arrival);
    return gaps === this.#gaps;
  }

  /**
   * @param isRepeated - The previous read was the same, so another one would find no more.
   * @returns Whether the history may have more of the missing messages: it is read again.
   */
  async #repair(since: Position, isRepeated: boolean): Promise<boolean> {
    const outages = this.#outages;
    const { arrivals, complete } = await this.#owner
      .repair(this, since)
      .catch(() => ({ arrivals: [], complete: false }));
    // A new epoch may repeat messages of the old one, with other offsets.
    const isLater = ({ position }: Arrival): boolean =>
      position?.epoch === since.epoch && position.offset > since.offset;
    const found = arrivals.filter(isLater);
    // A held message may be late, and the history may have dropped it meanwhile.
    const held = this.#held!.filter(isLater);
    // A hole after this offset was lost during the read. A read that failed is not repeated, since that
    // would only delay the held messages.
    const lastFound = found.at(-1)?.position!.offset ?? (complete ? 0 : Infinity);
    let hasGap = false;
    for (const arrival of [...held, ...found].toSorted(byOffset)) {
      if (this.#isOld(arrival.position!)) continue;
      if (!this.#follows(arrival)) {
        const mayFindMore = this.#last !== since || !isRepeated;
        if (mayFindMore && arrival.position!.offset > lastFound) return true;
        this.#loseAll(this.#last);
        hasGap = true;
      }
      this.#deliverNext(arrival);
    }
    const other = this.#held!.find(
      ({ position: at }) => at !== undefined && at.epoch !== since.epoch,
    );
    const isHole = other !== undefined && !this.#follows(other);
    if (!isHole) {
      // The last held message shows whether one before it is missing, if no outage came after it.
      const follows = this.#outages === 0 || this.#arrived?.offset === this.#last!.offset;
      const isKnown = complete || (held.length > 0 && follows);
      // The history has more: the read ended at its limit, or too many messages have arrived.
      const hasMore = found.length > 0 || (complete && this.#last !== since);
      if ((!isKnown || this.#heldTooMuch) && hasMore) return true;
      // An outage during the read may have cost later messages.
      if (hasGap || (isKnown && !this.#heldTooMuch)) return this.#outages > outages;
    }
    this.#loseAll(this.#last);
    return false;
  }

  /**
   * Whether no message is missing before `arrival`. A new epoch without an outage means that the
   * history has expired: no message is missing. After an outage {@link interrupted} reports a gap.
   */
  #follows(arrival: Numbered): boolean {
    const last = this.#last;
    if (last === undefined || last === this.#beforeGap) return true;
    const { epoch, offset } = before(arrival);
    return offset <= (last.epoch === epoch ? last.offset : 0);
  }
}

function byOffset(a: Arrival, b: Arrival): number {
  return a.position!.offset - b.position!.offset;
}

function before({ position, previous }: Numbered): Position {
  const { epoch, offset } = position!;
  return { epoch, offset: previous ?? offset - 1 };
}
