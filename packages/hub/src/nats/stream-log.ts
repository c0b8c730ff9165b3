import { portablePlatform } from '@ws/conn';
import { onRejection } from '@ws/conn/internal';
import type { HistoryAnswer, Keep } from '../backplane/backplane.ts';
import { Limit } from '../backplane/limit.ts';
import { sleep } from '../backplane/with-timeout.ts';
import type { Position } from '../position.ts';
import type {
  ConsumerInfo,
  JetStreamClient,
  JetStreamManager,
  NatsMessage,
  StreamInfo,
} from './client.ts';
import { descriptionOf, epochOf, type Known, nextNumbering, numberingOf } from './numbering.ts';

const NS_PER_MS = 1_000_000;
/**
 * First pause before the bounds of the stream are read again, in ms; each further pause is twice as
 * long. Meanwhile other nodes write bounds that they computed from earlier reads.
 */
const PAUSE_MS = 20;
/** Largest number of attempts to raise the bounds of the stream. */
const MAX_RAISES = 8;
/** A search may stop with this many unwanted messages, because that saves steps of the search. */
const MAX_SURPLUS = 50;
/** Longest time for a fetch from the stream, in ms. */
const FETCH_MS = 4_000;

const MIB = 1_048_576;
/** Default bound of the bytes of the stream. */
const MAX_BYTES = 256 * MIB;
/** After this many bytes a read ends. The hub continues with another read. */
const PART_BYTES = 2 * MIB;
/**
 * Bounds of the messages of one fetch, and of the fetches at a time. By default a message has at most
 * 1 MiB, and a server disconnects a client with 64 MiB of waiting data.
 */
const MAX_FETCHED = 16;
const MAX_FETCHES = 3;
/** A room drops its oldest messages in parts. This many parts make up the room's bound of bytes. */
const PARTS = 8;
/** Bound of the rooms with counted bytes. */
const MAX_COUNTED = 10_000;
/** Number of attempts of a read during which the stream is created again. */
const MAX_ATTEMPTS = 3;

/** A read fetches this many messages one by one. A consumer costs the server as much as 20 messages. */
const MAX_SINGLE = 8;

type Stored = HistoryAnswer['messages'][number];

/** Consecutive messages of a room. */
interface Part {
  readonly messages: readonly Stored[];
  /** Whether the room has no later messages. */
  readonly ends: boolean;
  /** Whether the room has earlier messages. */
  readonly isLast?: boolean;
}

const NO_PART: Part = { messages: [], ends: true };

/** The bytes that this node has stored for a room. */
interface Counted {
  total: number;
  /** The last message of each part, with the total after it, in order. */
  readonly totals: { readonly seq: number; readonly total: number }[];
}

/**
 * The messages of all rooms with history, in one stream. The stream republishes each stored message on
 * the subject to which nodes subscribe. The headers of a republished message have its sequence in the
 * stream, and the sequence of the previous message of the room.
 */
export class StreamLog {
  readonly #client: JetStreamClient;
  readonly #manager: Promise<JetStreamManager>;
  readonly #name: string;
  readonly #storedPrefix: string;
  readonly #livePrefix: string;
  /** Undefined before the first answer of the server. */
  #known: Known | undefined;
  /** Number of requests for the state of the stream, and the request that `#known` answers. */
  #asked = 0;
  #applied = 0;
  /** The largest bounds of all rooms: number of messages, ms, and bytes. */
  #size = 1;
  #ttl = 1_000;
  #bytes = MIB;
  readonly #counted = new Map<string, Counted>();
  readonly #fetches = new Limit(MAX_FETCHES);
  /** Resolves when the stream has the bounds of all rooms; undefined after a failure. */
  #ensured: Promise<unknown> | undefined;
  /** For {@link #stateFromNow}: the last request, and the next one. */
  #state: Promise<StreamInfo> | undefined;
  #nextState: Promise<StreamInfo> | undefined;

  /**
   * @param name - The name of the stream.
   * @param storedPrefix - Prefix of the subjects that the stream stores.
   * @param livePrefix - Prefix of the subjects on which the stream republishes.
   */
  constructor(client: JetStreamClient, name: string, storedPrefix: string, livePrefix: string) {
    this.#client = client;
    this.#manager = client.jetstreamManager(false);
    onRejection(this.#manager, () => {});
    this.#name = name;
    this.#storedPrefix = storedPrefix;
    this.#livePrefix = livePrefix;
  }

  /**
   * Creates the stream or raises its bounds if needed, and reads its epoch.
   *
   * @param subject - If given, the result has the number of messages of this subject.
   */
  async open(subject?: string): Promise<StreamInfo> {
    // The answer may lack messages that arrive before it, and another call may learn of a new epoch
    // meanwhile. So compare with the values before the request.
    const known = this.#known;
    const seen = known?.last ?? 0;
    const { streams } = await this.#manager;
    let asked = 0;
    const ask = (): Promise<StreamInfo> => {
      asked = ++this.#asked;
      return subject === undefined
        ? streams.info(this.#name)
        : streams.info(this.#name, { subjects_filter: subject });
    };
    let info = await this.#findOrCreate(streams, ask);
    for (let raises = 0; ; raises++) {
      const { config } = info;
      if (config.republish?.dest !== `${this.#livePrefix}.>`) {
        throw new Error(
          `stream ${this.#name} does not republish to ${this.#livePrefix}.>; delete it, or change the option prefix`,
        );
      }
      const next = nextNumbering(info, known, seen);
      const changed = {
        ...config,
        ...(next && { description: descriptionOf(next) }),
        max_msgs_per_subject: raised(config.max_msgs_per_subject, this.#size),
        max_age: raised(config.max_age, this.#ttl * NS_PER_MS),
        max_bytes: raised(config.max_bytes ?? -1, this.#bytes),
      };
      if (
        next === undefined &&
        changed.max_msgs_per_subject === config.max_msgs_per_subject &&
        changed.max_age === config.max_age &&
        changed.max_bytes === (config.max_bytes ?? -1)
      ) {
        break;
      }
      if (raises === MAX_RAISES) throw new Error(`other nodes lower the bounds of ${this.#name}`);
      await streams.update(this.#name, changed);
      // Another node may have read the same old bounds, and may write lower ones after this update.
      await sleep(portablePlatform, (1 + Math.random()) * PAUSE_MS * 2 ** raises);
      info = await ask();
    }
    this.#apply(info, asked);
    return info;
  }

  /** Learns the epoch from an answer, unless this node knows the answer to a later request. */
  #apply(info: StreamInfo, asked: number): void {
    if (asked < this.#applied) return;
    this.#applied = asked;
    const epoch = epochOf(info);
    if (epoch === this.#known?.epoch) return;
    this.#known = { ...numberingOf(info)!, epoch, last: info.state.last_seq };
  }

  /** Rejects if the stream has another epoch. */
  async expect(epoch: string): Promise<void> {
    if (epochOf(await this.open()) !== epoch) throw new Error(CREATED_AGAIN);
  }

  #findOrCreate(
    streams: JetStreamManager['streams'],
    ask: () => Promise<StreamInfo>,
  ): Promise<StreamInfo> {
    const config = {
      name: this.#name,
      // Of two nodes that create the stream, the second one gets an error for its other description.
      description: descriptionOf({ id: crypto.randomUUID(), count: 1, after: 0 }),
      subjects: [`${this.#storedPrefix}.>`],
      max_msgs_per_subject: this.#size,
      max_age: this.#ttl * NS_PER_MS,
      max_bytes: this.#bytes,
      republish: { src: `${this.#storedPrefix}.>`, dest: `${this.#livePrefix}.>` },
    };
    return (
      ask()
        .catch(() => streams.add(config))
        // Another node may have created the stream meanwhile, with other bounds.
        .catch((error) =>
          ask().catch(() => {
            throw error;
          }),
        )
    );
  }

  /**
   * Resolves when the stream has at least these bounds. Calls resolve in order.
   */
  async update({ size, ttl, total = MAX_BYTES }: Keep): Promise<void> {
    const isMore = size > this.#size || ttl > this.#ttl || total > this.#bytes;
    if (isMore || this.#ensured === undefined) {
      this.#size = Math.max(size, this.#size);
      this.#ttl = Math.max(ttl, this.#ttl);
      this.#bytes = Math.max(total, this.#bytes);
      // Waits for the earlier calls, because their messages come first.
      const ensured = Promise.resolve(this.#ensured).then(
        () => this.open(),
        () => this.open(),
      );
      this.#ensured = ensured;
      onRejection(ensured, () => {
        if (this.#ensured === ensured) this.#ensured = undefined;
      });
    }
    await this.#ensured;
  }

  /** Called when the connection is lost: a request may get no answer. */
  lost(): void {
    this.#ensured = undefined;
  }

  /**
   * @param maxBytes - Bound of the bytes that this node stores for the room.
   * @returns Undefined if the stream was created again meanwhile: the epoch of the message is unknown.
   */
  async publish(
    token: string,
    bytes: Uint8Array,
    maxBytes?: number,
  ): Promise<Position | undefined> {
    const subject = `${this.#storedPrefix}.${token}`;
    const known = this.#known!;
    const seen = known.last;
    const { seq } = await this.#client.publish(subject, bytes);
    known.last = Math.max(seq, known.last);
    if (maxBytes !== undefined) this.#count(subject, seq, bytes.length, maxBytes);
    if (known !== this.#known || seq <= seen) return undefined;
    return { epoch: known.epoch, offset: seq };
  }

  /** Counts a message, and drops the oldest ones of the room beyond its bound of bytes. */
  #count(subject: string, seq: number, bytes: number, maxBytes: number): void {
    const counted = this.#counted.get(subject) ?? { total: 0, totals: [] };
    counted.total += bytes;
    this.#counted.delete(subject);
    this.#counted.set(subject, counted);
    for (const oldest of this.#counted.keys()) {
      if (this.#counted.size <= MAX_COUNTED) break;
      this.#counted.delete(oldest);
    }
    const { total, totals } = counted;
    if (total - (totals.at(-1)?.total ?? 0) >= maxBytes / PARTS) totals.push({ seq, total });
    const firstKept = totals.findIndex((each) => total - each.total <= maxBytes);
    // Never drops the last message.
    const dropped = totals.splice(0, firstKept < 0 ? totals.length - 1 : firstKept);
    const first = totals[0];
    if (dropped.length === 0 || first === undefined) return;
    const before = first.seq === seq ? seq : first.seq + 1;
    const purged = this.#manager.then(({ streams }) =>
      streams.purge(this.#name, { filter: subject, seq: before }),
    );
    // After a failure, the bound of messages and the stream's own bounds still apply.
    onRejection(purged, () => {});
  }

  /** The position of a republished message; undefined for other messages. */
  position({ headers }: NatsMessage): { position: Position; previous: number } | undefined {
    const offset = Number(headers?.get('Nats-Sequence'));
    if (!(offset > 0)) return undefined;
    const known = this.#known!;
    known.last = Math.max(offset, known.last);
    const previous = Number(headers!.get('Nats-Last-Sequence'));
    return { position: { epoch: known.epoch, offset }, previous };
  }

  /**
   * Reads messages of a room. A `since` of another epoch begins at the present numbering, so that a
   * client gets no message of an earlier one again. A `since` without an epoch begins at the first message.
   *
   * @param maxBytes - Bound of the bytes of the room.
   */
  async history(
    token: string,
    since: Position | undefined,
    limit: number,
    maxBytes: number = Infinity,
  ): Promise<HistoryAnswer> {
    const subject = `${this.#storedPrefix}.${token}`;
    for (let attempt = 1; ; attempt++) {
      const isKnown = since !== undefined && since.epoch === this.#known?.epoch;
      const before = isKnown ? undefined : await this.open(subject);
      const epoch = before === undefined ? since!.epoch : epochOf(before);
      const part =
        before === undefined
          ? await this.#after(subject, since!.offset, limit)
          : await this.#first(subject, since, limit, before);
      // The messages are of this epoch if the stream still has it after the read.
      const after = await this.#stateFromNow();
      if (epochOf(after) === epoch) {
        const from = isKnown ? since.offset : 0;
        const mayFollow = isKnown || (since === undefined && !part.isLast);
        const follows = mayFollow && (await this.#isWhole(subject, from, after, part, maxBytes));
        // The position of a room without messages. A `since` ahead of the stream is of another history.
        const last = isKnown ? Math.min(from, after.state.last_seq) : before!.state.last_seq;
        return { ...resultOf(part, limit, epoch, follows), last };
      }
      if (attempt === MAX_ATTEMPTS) throw new Error(CREATED_AGAIN);
    }
  }

  /** Reads the last messages of a room or, for a `since` of another epoch, the first ones. */
  async #first(
    subject: string,
    since: Position | undefined,
    limit: number,
    info: StreamInfo,
  ): Promise<Part> {
    if ((info.state.subjects?.[subject] ?? 0) === 0) return NO_PART;
    const last = since === undefined ? await this.#lastOf(subject, limit, info) : undefined;
    if (last !== undefined) return last;
    const isForeign = since !== undefined && since.epoch !== '';
    return this.#from(subject, isForeign ? numberingOf(info)!.after + 1 : 1, limit);
  }

  /** Reads the first `limit` messages of a room after a sequence, one by one or by a consumer. */
  async #after(subject: string, after: number, limit: number): Promise<Part> {
    const { streams } = await this.#manager;
    const messages: Stored[] = [];
    let bytes = 0;
    for (let seq = after + 1; ; seq = messages.at(-1)!.offset + 1) {
      if (bytes >= PART_BYTES) return { messages, ends: false };
      const next = await streams.getMessage(this.#name, { seq, next_by_subj: subject });
      if (next === null) return { messages, ends: true };
      if (messages.length === limit) return { messages, ends: false };
      if (messages.length === MAX_SINGLE) {
        const rest = await this.#from(subject, next.seq, limit - messages.length);
        return { messages: [...messages, ...rest.messages], ends: rest.ends };
      }
      messages.push({ offset: next.seq, bytes: next.data });
      bytes += next.data.length;
    }
  }

  /** Reads the first `limit` messages of a room from a sequence on, by a consumer. */
  async #from(subject: string, seq: number, limit: number): Promise<Part> {
    const consumer = await this.#consumer(subject, seq);
    const { num_pending: pending } = consumer;
    const messages = await this.#read(consumer, 0, Math.min(pending, limit));
    return { messages, ends: pending <= limit && messages.length === pending };
  }

  /** Searches for the last `limit` messages of a room. Undefined if the room has no earlier messages. */
  async #lastOf(subject: string, limit: number, { state }: StreamInfo): Promise<Part | undefined> {
    const count = state.subjects?.[subject] ?? 0;
    if (count <= limit) return undefined;
    // The room has `fromLow` messages from `low` on, and `fromHigh` messages from `high` on.
    let [low, high] = [state.first_seq, state.last_seq + 1];
    let [fromLow, fromHigh] = [count, 0];
    for (let step = 0; ; step++) {
      // Guesses that messages are spread evenly, as in a busy room. For other rooms, every second step
      // halves the range.
      const share = step % 2 === 0 ? (1.5 * limit + 1 - fromHigh) / (fromLow - fromHigh) : 0.5;
      const guess = high - Math.ceil((high - low) * share);
      const start = Math.min(Math.max(guess, low), high - 1);
      const consumer = await this.#consumer(subject, start);
      const { num_pending: pending } = consumer;
      if (pending >= limit && (pending <= MAX_SURPLUS + 3 * limit || high - low <= 1)) {
        const messages = await this.#read(consumer, pending - limit, limit);
        return { messages, ends: messages.length === limit, isLast: true };
      }
      this.#delete(consumer);
      if (pending >= limit) [low, fromLow] = [start, pending];
      else [high, fromHigh] = [start, pending];
      // If the range is empty, the stream has dropped messages of the room meanwhile.
      if (high <= state.first_seq || fromLow <= fromHigh) return undefined;
    }
  }

  /** Skips `skipped` messages, reads at most `wanted` messages, then deletes the consumer. */
  async #read(
    consumer: ConsumerInfo,
    skipped: number,
    wanted: number,
  ): Promise<HistoryAnswer['messages']> {
    const found: Stored[] = [];
    let bytes = 0;
    let toSkip = skipped;
    try {
      while (found.length < wanted && bytes < PART_BYTES) {
        const count = Math.min(toSkip + wanted - found.length, MAX_FETCHED);
        const delivered = skipped - toSkip + found.length;
        const fetched = await this.#fetches.run(() => this.#fetch(consumer, delivered, count));
        const kept = fetched.slice(toSkip);
        toSkip -= fetched.length - kept.length;
        found.push(...kept);
        for (const message of kept) bytes += message.bytes.length;
        if (fetched.length < count) break;
      }
      return found;
    } finally {
      this.#delete(consumer);
    }
  }

  /**
   * Fetches the next messages of a consumer, which delivers no message twice. If the connection breaks,
   * messages are lost: the result ends before the first lost message.
   *
   * @param delivered - The number of messages that have arrived from this consumer.
   */
  async #fetch(consumer: ConsumerInfo, delivered: number, count: number): Promise<Stored[]> {
    const { consumers } = this.#client;
    const messages = await (
      consumers.getConsumerFromInfo?.(consumer) ?? (await consumers.get(this.#name, consumer.name))
    ).fetch({ max_messages: count, expires: FETCH_MS });
    const found: Stored[] = [];
    for await (const { seq, data, info } of messages) {
      if (info !== undefined && info.deliverySequence > delivered + found.length + 1) break;
      found.push({ offset: seq, bytes: data });
      // Fewer than `count` messages remain, because the stream has dropped some. Do not wait for more.
      if (info?.pending === 0) break;
    }
    return found;
  }

  /** Creates a consumer of a room from a sequence on, for one read. */
  async #consumer(subject: string, from: number): Promise<ConsumerInfo> {
    const { consumers } = await this.#manager;
    return consumers.add(this.#name, {
      filter_subject: subject,
      deliver_policy: 'by_start_sequence',
      opt_start_seq: from,
      ack_policy: 'none',
      mem_storage: true,
      num_replicas: 1,
    });
  }

  #delete({ name }: ConsumerInfo): void {
    const deleted = this.#manager.then(({ consumers }) => consumers.delete(this.#name, name));
    onRejection(deleted, () => {});
  }

  /**
   * Whether the stream has all messages of the room after the offset `after`. A stream drops the oldest
   * messages first: as long as it has the message at `after`, it has all later messages. If the room has
   * no message at `after`, all bounds must show that none was dropped.
   */
  async #isWhole(
    subject: string,
    after: number,
    info: StreamInfo,
    { messages: found, ends }: Part,
    maxBytes: number,
  ): Promise<boolean> {
    const { messages, first_seq: first, last_seq: last } = info.state;
    // The caller's position is ahead of the stream.
    if (after > last) return false;
    if (messages === last || last === after) return true;
    if (after === 0) return false;
    const { streams } = await this.#manager;
    const query = { seq: after, next_by_subj: subject };
    if ((await streams.getMessage(this.#name, query))?.seq === after) return true;
    const { max_msgs_per_subject: size } = info.config;
    const bytes = found.reduce((sum, each) => sum + each.bytes.length, 0);
    // A node that drops messages beyond `maxBytes` keeps at least half of `maxBytes`.
    const isBelow = (size <= 0 || found.length < size) && bytes < maxBytes / 2;
    return ends && first <= after + 1 && isBelow;
  }

  /**
   * The state of the stream at a time after this call. Calls during a request share the next request.
   */
  #stateFromNow(): Promise<StreamInfo> {
    this.#nextState ??= (async () => {
      await this.#state?.catch(() => {});
      this.#nextState = undefined;
      this.#state = this.open();
      return this.#state;
    })();
    return this.#nextState;
  }
}

function resultOf(
  { messages, ends }: Part,
  limit: number,
  epoch: string,
  follows: boolean,
): HistoryAnswer {
  const more = !ends && messages.length < limit;
  return { messages, epoch, complete: ends && follows, follows, more };
}

/** The bound of a stream, raised to `wanted`. 0 or less means no bound. */
function raised(current: number, wanted: number): number {
  return current <= 0 ? current : Math.max(current, wanted);
}

const CREATED_AGAIN = 'the stream was created again';
