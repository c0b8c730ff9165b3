import { portablePlatform } from '@ws/conn';
import { Deferred, onRejection, RESOLVED } from '@ws/conn/internal';
import type { Backplane, BackplaneSink, Keep } from '../backplane/backplane.ts';
import { ANSWER_MS, CHECK_MS, setAnswerTimer, sleep } from '../backplane/with-timeout.ts';
import type { Position } from '../position.ts';
import type { NatsConnection, NatsMessage, NatsStatus, NatsSubscription } from './client.ts';
import type { StreamLog } from './stream-log.ts';

/**
 * Longest token, in characters. A server closes a connection that sends a protocol line of more than
 * 4,096 bytes (option `max_control_line` of the server).
 */
const MAX_TOKEN = 3_000;
/** Pause before a failed call is tried again, in ms. */
const RETRY_MS = 500;

/** A channel that the hub has subscribed to. */
interface Subscribed {
  readonly subscription: NatsSubscription;
  /** The error with which the server refused the subscription. */
  error: Error | undefined;
  /** Position of the last message since the last outage; undefined without one. */
  last: Position | undefined;
}

/** A publication or round trip that rejects when the connection is lost. */
interface Pending {
  /** The subject of a publication; undefined for a round trip. */
  readonly subject: string | undefined;
  readonly answer: { reject(error: unknown): void };
}

/** A backplane over one NATS connection, which the application owns. */
export class NatsBackplane implements Backplane {
  readonly history?: NonNullable<Backplane['history']>;
  readonly #connection: NatsConnection;
  /** Prefix of the subjects. */
  readonly #prefix: string;
  readonly #loadLog: (() => Promise<StreamLog>) | undefined;
  /** The histories; undefined without JetStream, and before the start. */
  #log: StreamLog | undefined;
  readonly #statuses: AsyncIterable<NatsStatus> & { stop?(): void };
  readonly #channels = new Map<string, Subscribed>();
  readonly #pending = new Set<Pending>();
  #sink: BackplaneSink | undefined;
  #state: 'starting' | 'up' | 'down' | 'ended' = 'starting';
  #cancelCheck: (() => void) | undefined;
  /** Whether a call of {@link #checkStream} waits for the server. */
  #isCheckingStream = false;
  /** The promise that all calls of {@link #flushed} of this turn share. */
  #roundTrip: Promise<void> | undefined;

  constructor(
    connection: NatsConnection,
    prefix: string,
    loadLog: (() => Promise<StreamLog>) | undefined,
  ) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#loadLog = loadLog;
    this.#statuses = connection.status();
    if (loadLog !== undefined) {
      this.history = (channel, since, limit, keep) =>
        this.#log!.history(subjectToken(channel), since, limit, keep?.bytes);
    }
  }

  async start(sink: BackplaneSink): Promise<void> {
    // The hub calls `start` again after a failure.
    if (this.#sink === undefined) void this.#watch();
    this.#sink = sink;
    this.#log ??= await this.#loadLog?.();
    await this.#confirm();
    // The hub may have been closed meanwhile.
    if (this.#state === 'ended') return;
    this.#state = 'up';
    this.#checkLater();
  }

  async publish(channel: string, bytes: Uint8Array, keep?: Keep): Promise<Position | undefined> {
    const token = subjectToken(channel);
    if (this.#state !== 'up') throw new Error('NATS is away');
    if (this.#log !== undefined && keep !== undefined) {
      return this.#store(this.#log, token, bytes, keep);
    }
    const subject = `${this.#prefix}.${token}`;
    this.#connection.publish(subject, bytes);
    await this.#unlessLost(this.#flushed(), subject);
    return undefined;
  }

  async #store(
    log: StreamLog,
    token: string,
    bytes: Uint8Array,
    keep: Keep,
  ): Promise<Position | undefined> {
    try {
      // A disconnected client never rejects a request.
      await this.#unlessLost(log.update(keep), undefined);
      return await this.#unlessLost(log.publish(token, bytes, keep.bytes), undefined);
    } catch (error) {
      const { name } = error as Error;
      // The stream or its leader is away. As in any outage, later publications then fail at once.
      if (name === 'TimeoutError' || name === 'JetStreamNotEnabled') this.#lost(error as Error);
      throw error;
    }
  }

  async subscribe(channel: string): Promise<void> {
    if (this.#connection.isClosed()) return;
    const subscribed = this.#open(channel);
    // During an outage a round trip is useless. After the outage the hub reports a gap anyway.
    if (this.#state === 'up') await this.#flushed().catch(() => {});
    if (this.#channels.get(channel) !== subscribed) throw endError(subscribed);
  }

  unsubscribe(channel: string): Promise<void> {
    const subscribed = this.#channels.get(channel);
    this.#channels.delete(channel);
    subscribed?.subscription.unsubscribe();
    return Promise.resolve();
  }

  /** Drains the subscriptions of the hub. The connection stays open. */
  async close(): Promise<void> {
    const subscriptions = [...this.#channels.values()].map(({ subscription }) => subscription);
    this.#channels.clear();
    if (this.#state === 'up') {
      for (const subscription of subscriptions) onRejection(subscription.drain(), () => {});
      await this.#flushed().catch(() => {});
    }
    this.#state = 'ended';
    this.#cancelCheck?.();
    for (const subscription of subscriptions) {
      if (!subscription.isClosed()) subscription.unsubscribe();
    }
    this.#statuses.stop?.();
  }

  // Subscriptions

  #open(channel: string): Subscribed {
    const subscription = this.#connection.subscribe(`${this.#prefix}.${subjectToken(channel)}`, {
      callback: (error, message) => {
        if (error === null) this.#receive(channel, subscribed, message);
        else subscribed.error = error;
      },
    });
    const subscribed: Subscribed = { subscription, error: undefined, last: undefined };
    this.#channels.set(channel, subscribed);
    const ended = (): void => this.#ended(channel, subscribed);
    subscription.closed.then(ended, ended);
    return subscribed;
  }

  /** A subscription has ended. The gap makes the hub subscribe again, unless it has unsubscribed. */
  #ended(channel: string, subscribed: Subscribed): void {
    if (this.#channels.get(channel) !== subscribed) return;
    this.#channels.delete(channel);
    this.#sink?.gap(channel, endError(subscribed));
  }

  #receive(channel: string, subscribed: Subscribed, message: NatsMessage): void {
    // Drops a message that arrives during an outage. The gap of the outage reports it.
    if (this.#state !== 'up') return;
    const found = this.#log?.position(message);
    if (found === undefined) {
      this.#sink?.message(channel, message.data);
      return;
    }
    const { position, previous } = found;
    const { last } = subscribed;
    if (last !== undefined && position.offset <= last.offset) void this.#checkStream(last.epoch);
    else subscribed.last = position;
    this.#sink?.message(channel, message.data, position, previous);
  }

  /**
   * Called for an offset that has not grown, to find out whether the stream was created again. The
   * other cause is harmless: nats-server 2.9 may republish the messages of two nodes in wrong order.
   */
  async #checkStream(epoch: string): Promise<void> {
    if (this.#isCheckingStream) return;
    this.#isCheckingStream = true;
    try {
      await this.#unlessLost(this.#log!.expect(epoch), undefined);
    } catch (error) {
      this.#lost(error as Error);
    }
    this.#isCheckingStream = false;
  }

  // The connection

  /** Schedules round trips. They notice a silent network on a node that publishes nothing. */
  #checkLater(): void {
    this.#cancelCheck = portablePlatform.setTimer(CHECK_MS, () => {
      if (this.#state === 'up') this.#flushed().catch(() => {});
      this.#checkLater();
    });
  }

  async #watch(): Promise<void> {
    try {
      for await (const { type, error } of this.#statuses) {
        if (type === 'disconnect') this.#lost(new Error('NATS is disconnected'));
        if (type === 'error') this.#refused(error);
      }
    } catch {
      // The connection has ended.
    }
    if (this.#state === 'ended') return;
    this.#lost(new Error('the NATS connection is closed (option maxReconnectAttempts)'));
    this.#state = 'ended';
  }

  /** The server has refused a publication. */
  #refused(error: (Error & { operation?: string; subject?: string }) | undefined): void {
    if (error?.operation !== 'publish') return;
    for (const { subject, answer } of this.#pending) {
      if (subject === error.subject) answer.reject(error);
    }
  }

  /** Rejects the pending calls, reports the outage, and waits for the server. */
  #lost(error: Error): void {
    for (const { answer } of this.#pending) answer.reject(error);
    if (this.#state !== 'up') return;
    this.#state = 'down';
    this.#log?.lost();
    this.#sink?.down(error);
    void this.#recover();
  }

  async #recover(): Promise<void> {
    while (this.#state === 'down') {
      try {
        await this.#confirm();
        break;
      } catch {
        await sleep(portablePlatform, RETRY_MS);
      }
    }
    if (this.#state !== 'down') return;
    this.#state = 'up';
    for (const subscribed of this.#channels.values()) subscribed.last = undefined;
    this.#sink?.up();
  }

  /** Resolves when the server has all subscriptions and the stream exists. */
  async #confirm(): Promise<void> {
    await this.#flushed();
    if (this.#log !== undefined) await this.#unlessLost(this.#log.open(), undefined);
  }

  /** Resolves when the server has processed all that this node sends before the end of this turn. */
  #flushed(): Promise<void> {
    this.#roundTrip ??= this.#flush();
    return this.#roundTrip;
  }

  async #flush(): Promise<void> {
    await RESOLVED;
    this.#roundTrip = undefined;
    const cancelTimer = setAnswerTimer(portablePlatform, ANSWER_MS, () => {
      this.#lost(new Error(`NATS has not answered for ${ANSWER_MS} ms`));
    });
    try {
      await this.#unlessLost(this.#connection.flush(), undefined);
    } finally {
      cancelTimer();
    }
    // The iterator of statuses reports an error some microtasks after the answer.
    await new Promise<void>((resolve) => portablePlatform.defer(resolve));
  }

  /** Settles like `promise`, or rejects when the connection is lost. */
  async #unlessLost<T>(promise: Promise<T>, subject: string | undefined): Promise<T> {
    const answer = new Deferred<T>();
    const pending = { subject, answer };
    this.#pending.add(pending);
    promise.then(
      (value) => answer.resolve(value),
      (error) => answer.reject(error),
    );
    try {
      return await answer.promise;
    } finally {
      this.#pending.delete(pending);
    }
  }
}

/** Why a subscription has ended. */
function endError({ error }: Subscribed): Error {
  return error ?? new Error('the subscription has ended');
}

/**
 * The name of a channel as one token of a subject. Different channels have different tokens. ASCII
 * letters, digits and `_ / : @ -` stay. Any other UTF-16 unit becomes `=` and four hexadecimal digits.
 *
 * @throws RangeError for a channel that is too long.
 */
function subjectToken(channel: string): string {
  const token = channel.replace(
    /[^\w/:@-]/g,
    (unit) => `=${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  if (token.length <= MAX_TOKEN) return token;
  throw new RangeError(
    `the subject of the room has ${token.length} characters, more than ${MAX_TOKEN}`,
  );
}
