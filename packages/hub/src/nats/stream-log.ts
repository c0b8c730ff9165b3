import { onRejection } from '@ws/conn/internal';
import type { Backplane } from '../backplane.ts';
import type { Position } from '../position.ts';
import type {
  JetStreamClient,
  JetStreamManager,
  NatsMessage,
  StreamConfig,
  StreamInfo,
} from './client.ts';

const NS_PER_MS = 1_000_000;
/** Longest time for a fetch from the stream, in ms. */
const FETCH_MS = 4_000;

type HistoryResult = Awaited<ReturnType<NonNullable<Backplane['history']>>>;

/**
 * The messages of rooms with history, in one stream for all rooms. The stream republishes each
 * stored message on the subject that nodes subscribe to. Its headers have the sequence of the
 * message, and the sequence of the previous message in the room.
 */
export class StreamLog {
  readonly #client: JetStreamClient;
  readonly #manager: Promise<JetStreamManager>;
  readonly #name: string;
  readonly #stored: string;
  readonly #live: string;
  #epoch: string | undefined;
  /** The largest sequence that this node has seen. */
  #seen = 0;
  /** The largest bounds of all rooms. */
  #size = 1;
  #ttl = 1_000;
  /** The result of the last call of {@link open}; undefined if it failed. */
  #opened: Promise<StreamInfo> | undefined;

  /**
   * @param stored - Prefix of the subjects that the stream stores.
   * @param live - Prefix of the subjects that it republishes to.
   */
  constructor(client: JetStreamClient, name: string, stored: string, live: string) {
    this.#client = client;
    this.#manager = client.jetstreamManager(false);
    onRejection(this.#manager, () => {});
    this.#name = name;
    this.#stored = stored;
    this.#live = live;
  }

  /** Creates the stream or raises its bounds if needed, and reads its epoch. */
  open(): Promise<StreamInfo> {
    const opened = this.#open();
    this.#opened = opened;
    onRejection(opened, () => {
      if (this.#opened === opened) this.#opened = undefined;
    });
    return opened;
  }

  /** Rejects if the stream no longer has this epoch. */
  async expect(epoch: string): Promise<void> {
    if (epochOf(await this.#open()) !== epoch) throw new Error('the stream was created again');
  }

  async #open(): Promise<StreamInfo> {
    // The answer may lack messages that arrive before it, so compare with the earlier value.
    const seen = this.#seen;
    const { streams } = await this.#manager;
    let info = await this.#findOrCreate(streams);
    const { config, state } = info;
    if (config.republish?.dest !== `${this.#live}.>`) {
      throw new Error(
        `stream ${this.#name} does not republish to ${this.#live}.>; delete it, or change the option prefix`,
      );
    }
    const lostItsEnd = epochOf(info) === this.#epoch && state.last_seq < seen;
    const changed = {
      ...config,
      ...(lostItsEnd && { description: nextDescription(config) }),
      max_msgs_per_subject: raised(config.max_msgs_per_subject, this.#size),
      max_age: raised(config.max_age, this.#ttl * NS_PER_MS),
    };
    if (
      lostItsEnd ||
      changed.max_msgs_per_subject !== config.max_msgs_per_subject ||
      changed.max_age !== config.max_age
    ) {
      info = await streams.update(this.#name, changed);
    }
    const epoch = epochOf(info);
    if (epoch !== this.#epoch) this.#seen = state.last_seq;
    this.#epoch = epoch;
    return info;
  }

  #findOrCreate(streams: JetStreamManager['streams']): Promise<StreamInfo> {
    const config = {
      name: this.#name,
      description: '@ws/hub, numbering 1',
      subjects: [`${this.#stored}.>`],
      max_msgs_per_subject: this.#size,
      max_age: this.#ttl * NS_PER_MS,
      republish: { src: `${this.#stored}.>`, dest: `${this.#live}.>` },
    };
    return (
      streams
        .info(this.#name)
        .catch(() => streams.add(config))
        // Another node may have created the stream meanwhile, with other bounds.
        .catch((error) =>
          streams.info(this.#name).catch(() => {
            throw error;
          }),
        )
    );
  }

  /**
   * Resolves when the stream has at least these bounds, for all callers in the order of the calls.
   */
  async keep({ size, ttl }: { readonly size: number; readonly ttl: number }): Promise<void> {
    if (size > this.#size || ttl > this.#ttl) {
      this.#size = Math.max(size, this.#size);
      this.#ttl = Math.max(ttl, this.#ttl);
      this.#opened = undefined;
    }
    await (this.#opened ?? this.open());
  }

  async publish(token: string, bytes: Uint8Array): Promise<Position> {
    const { seq } = await this.#client.publish(`${this.#stored}.${token}`, bytes);
    this.#seen = Math.max(seq, this.#seen);
    return { epoch: this.#epoch!, offset: seq };
  }

  /** The position of a republished message; undefined for other messages. */
  positionOf({ headers }: NatsMessage): { position: Position; previous: number } | undefined {
    const offset = Number(headers?.get('Nats-Sequence'));
    if (!(offset > 0)) return undefined;
    this.#seen = Math.max(offset, this.#seen);
    const previous = Number(headers!.get('Nats-Last-Sequence'));
    return { position: { epoch: this.#epoch!, offset }, previous };
  }

  async history(token: string, since: Position | undefined, limit: number): Promise<HistoryResult> {
    const info = await this.open();
    const epoch = epochOf(info);
    const known = since === undefined || since.epoch === epoch;
    const after = known && since !== undefined ? since.offset : 0;
    let from = after + 1;
    const count = await this.#withConsumer(token, from, (_, pending) => pending);
    if (since === undefined && count > limit) from = await this.#startOfLast(token, limit, info);
    const { found, pending } = await this.#read(
      token,
      from,
      since === undefined ? Infinity : limit,
    );
    const messages = since === undefined ? found.slice(-limit) : found;
    const isAll = count <= limit && pending <= limit && found.length === pending;
    const follows = known && (await this.#isWhole(token, after, epoch));
    return { messages, epoch, complete: isAll && follows, follows };
  }

  /** A sequence from which the room has `limit` messages or more, but not many more. */
  async #startOfLast(token: string, limit: number, { state }: StreamInfo): Promise<number> {
    let [low, high] = [state.first_seq, state.last_seq + 1];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const count = await this.#withConsumer(token, middle, (_, pending) => pending);
      if (count < limit) high = middle;
      else low = middle;
      if (count >= limit && count <= 2 * limit) break;
    }
    return low;
  }

  /** Reads at most `limit` of the `pending` messages of a room from a sequence on. */
  #read(
    token: string,
    from: number,
    limit: number,
  ): Promise<{ found: HistoryResult['messages']; pending: number }> {
    return this.#withConsumer(token, from, async (name, pending) => {
      const found: { offset: number; bytes: Uint8Array }[] = [];
      const wanted = Math.min(pending, limit);
      if (wanted === 0) return { found, pending };
      const consumer = await this.#client.consumers.get(this.#name, name);
      const fetched = await consumer.fetch({ max_messages: wanted, expires: FETCH_MS });
      for await (const { seq, data } of fetched) found.push({ offset: seq, bytes: data });
      return { found, pending };
    });
  }

  /**
   * Creates a consumer of a room for one use.
   *
   * @param use - Takes its name, and the number of messages from the sequence `from` on.
   */
  async #withConsumer<T>(
    token: string,
    from: number,
    use: (name: string, pending: number) => T | Promise<T>,
  ): Promise<T> {
    const { consumers } = await this.#manager;
    const { name, num_pending: pending } = await consumers.add(this.#name, {
      filter_subject: `${this.#stored}.${token}`,
      deliver_policy: 'by_start_sequence',
      opt_start_seq: from,
      ack_policy: 'none',
      mem_storage: true,
      num_replicas: 1,
    });
    try {
      return await use(name, pending);
    } finally {
      onRejection(consumers.delete(this.#name, name), () => {});
    }
  }

  /**
   * Whether the stream has all messages of the room after the offset `after`. A stream drops the
   * oldest messages first. So it has all later messages while it has the message at `after`.
   */
  async #isWhole(token: string, after: number, epoch: string): Promise<boolean> {
    const { streams } = await this.#manager;
    const info = await streams.info(this.#name);
    if (epochOf(info) !== epoch) return false;
    const { messages, last_seq: last } = info.state;
    if (messages === last || last === after) return true;
    if (after === 0) return false;
    const query = { seq: after, next_by_subj: `${this.#stored}.${token}` };
    return (await streams.getMessage(this.#name, query))?.seq === after;
  }
}

/** The bound of a stream, raised to `wanted`. 0 or less means no bound. */
function raised(current: number, wanted: number): number {
  return current <= 0 ? current : Math.max(current, wanted);
}

/** A stream that lost its last messages reuses their sequences: its description then changes. */
function epochOf({ created, config }: StreamInfo): string {
  return `${created} ${config.description}`;
}

function nextDescription({ description = '' }: StreamConfig): string {
  const count = Number(/\d+$/.exec(description)?.[0] ?? 1);
  return `@ws/hub, numbering ${count + 1}`;
}
