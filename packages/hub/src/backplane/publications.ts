import type { PreparedMessage } from '@ws/conn';
import { Deferred, rejected } from '@ws/conn/internal';
import { BackplaneError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Keep } from './backplane.ts';
import type { BackplaneLink } from './backplane-link.ts';
import { encodeEnvelope } from './envelope.ts';
import type { Except } from './origins.ts';
import { setAnswerTimer } from './with-timeout.ts';

/** Longest wait of a publication for the engine, in ms. */
const PUBLISH_TIMEOUT_MS = 5_000;
/** Bound of the publications that wait while the engine is away. */
const MAX_WAITING = 1_000;
/** Bounds of the publications that the engine has not answered. */
const MAX_UNANSWERED = 10_000;
const MAX_UNANSWERED_BYTES = 134_217_728;
/** Bound of the channels in {@link Publications.sent}. */
const MAX_CHANNELS = 1_000_000;
/** Bound of the quiet channels with remembered counters. Each costs about 150 bytes. */
const MAX_QUIET = 100_000;
/** Number of digests after the last message of a channel. A digest may be lost too. */
const DIGESTS = 3;
/**
 * Number of digests after a message that did not reach its history: one every 5 s for a minute. A
 * node that returns from an outage meanwhile learns of the loss.
 */
const DIGESTS_OF_LOSS = 12;

/** When the promise of a publication rejects: at once or in a later turn of the event loop. */
type When = typeof AT_ONCE | typeof LATER;
const AT_ONCE = 'at once';
/** A caller that retries in a loop then lets timers and sockets run between. */
const LATER = 'later';

/** A message for the engine. */
export interface Outgoing {
  readonly channel: string;
  readonly message: PreparedMessage;
  readonly key: string | undefined;
  readonly keep: Keep | undefined;
  /** Whether the room has a history. Only there other nodes notice the loss of the message. */
  readonly isCounted: boolean;
  /** With `through` only: the members of this node get the returning message. */
  readonly origin: { readonly except: Except } | undefined;
}

/** The publications of this node on the channel of a room with history. */
export interface Sent {
  /** Counter of the first message. */
  readonly first: number;
  /** Counter of the last message, and the time of its publication by the platform's clock. */
  counter: number;
  publishedAt: number;
  /** Counter of the last message that did not reach the engine. */
  lost: number;
  /** Number of messages without an answer of the engine, except those that have timed out. */
  unanswered: number;
  /** Number of digests still to send. */
  digests: number;
}

/** The part of {@link Sent} that a quiet channel keeps. */
type Counted = Pick<Sent, 'first' | 'counter' | 'publishedAt' | 'lost'>;

/**
 * Numbers the messages of this node, and gives them to the engine in order. In a room with history the
 * counter shows a loss. Elsewhere it only grows, so that other nodes drop doubled and late messages.
 */
export class Publications {
  /** The channels of rooms with history with messages in the last 20 s. */
  readonly sent: Map<string, Sent> = new Map();
  readonly #link: BackplaneLink;
  /** The publications that the engine does not have yet, in order. */
  readonly #waiting = new Set<Publication>();
  /** The publications that the engine has, but has not answered yet. */
  readonly #given = new Set<Publication>();
  /** Number of the publications in both sets, and the bytes of their messages. */
  #unanswered = 0;
  #unansweredBytes = 0;
  /**
   * The counters of channels without a message in the last 20 s, the oldest first. A later message
   * continues the counter, so a node that missed the message before detects the loss.
   */
  readonly #quiet = new Map<string, Counted>();
  /** Counter of the last message in a room without history; at least those dropped from `#quiet`. */
  #highest = 0;
  /** Number of callers that wait for the return of a message with `through`. */
  #returning = 0;

  constructor(link: BackplaneLink) {
    this.#link = link;
  }

  /** @throws (rejects) {@link BackplaneError} */
  publish(outgoing: Outgoing): Promise<Position | undefined> {
    const { channel, isCounted } = outgoing;
    if (isCounted && !this.sent.has(channel) && this.sent.size >= MAX_CHANNELS) {
      const text = `${MAX_CHANNELS} rooms with history had messages in the last 20 s`;
      const error = new BackplaneError(text);
      return rejected(error, this);
    }
    const publication = this.#number(outgoing);
    const [messages, bytes] = [this.#unanswered++, this.#unansweredBytes];
    this.#unansweredBytes += outgoing.message.bytes.length;
    publication.cancelTimer = setAnswerTimer(this.#link.platform, PUBLISH_TIMEOUT_MS, () => {
      this.#timedOut(publication);
    });
    const isUp = this.#link.state === 'up';
    const isTooMuch = this.#unansweredBytes > MAX_UNANSWERED_BYTES && messages > 0;
    if (messages >= MAX_UNANSWERED || isTooMuch) {
      const already = `${messages} messages (${bytes} bytes)`;
      this.#refuse(publication, `${already} already wait for the backplane; await publish`, LATER);
    } else if (isUp || this.#waiting.size < MAX_WAITING) {
      this.#waiting.add(publication);
      if (isUp) this.#sendWhenSubscribed(publication);
    } else
      this.#refuse(publication, `${MAX_WAITING} messages already wait for the backplane`, LATER);
    const { result, returned } = publication;
    return returned === undefined ? result.promise : this.#afterReturn(result.promise, returned);
  }

  /** Resolves to the answer of the engine, once the members of this node have the message too. */
  async #afterReturn(
    answer: Promise<Position | undefined>,
    returned: Deferred<void>,
  ): Promise<Position | undefined> {
    this.#returning++;
    try {
      const position = await answer;
      await this.#returnOf([returned]);
      return position;
    } finally {
      this.#returning--;
    }
  }

  /**
   * Resolves when the messages have returned. A message may be lost on its way, so the wait for it ends
   * after {@link PUBLISH_TIMEOUT_MS}, and no later wait begins.
   */
  async #returnOf(underWay: readonly Deferred<void>[]): Promise<void> {
    if (underWay.length === 0) return;
    const giveUp = (): void => {
      for (const returned of underWay) returned.resolve();
    };
    const cancel = setAnswerTimer(this.#link.platform, PUBLISH_TIMEOUT_MS, giveUp);
    await Promise.all(underWay.map(({ promise }) => promise));
    cancel();
  }

  /** Called when the engine is up again. Sends the waiting publications. */
  sendWaiting(): void {
    for (const publication of this.#waiting) this.#sendWhenSubscribed(publication);
  }

  rejectWaiting(): void {
    for (const publication of this.#waiting) this.#refuse(publication, CLOSED, AT_ONCE);
    this.#waiting.clear();
  }

  /** Resolves when the engine has answered its publications: all, or of a channel up to a counter. */
  async untilAnswered(channel?: string, counter: number = Infinity): Promise<void> {
    const given = [...this.#given].filter((each) => {
      const isOfChannel = channel === undefined || each.outgoing.channel === channel;
      return isOfChannel && each.counter <= counter;
    });
    await Promise.allSettled(given.map(({ result }) => result.promise));
  }

  /** Called when the engine is closed. Rejects the publications that it has not answered. */
  rejectGiven(): void {
    for (const publication of this.#given) this.#fail(publication, CLOSED, AT_ONCE);
  }

  /** Whether a caller waits for the return of a message with `through`. */
  get awaitsReturn(): boolean {
    return this.#returning > 0;
  }

  /** Resolves when each message that is on its way through the engine has returned, see {@link #returnOf}. */
  untilReturned(channel: string): Promise<void> {
    return this.#returnOf(this.#link.channels.get(channel)?.origins?.returning() ?? []);
  }

  /** Counter of the last message of this node on a channel, or a counter above it. */
  lastCounter(channel: string): number {
    return (this.sent.get(channel) ?? this.#quiet.get(channel))?.counter ?? this.#highest;
  }

  /**
   * Called when the first member of this node has joined a room with history. Keeps the origins of
   * unanswered messages: a session that resumes gets these messages on their return, as its read of the
   * history may miss them.
   */
  keepOrigins(channel: string): void {
    const { origins } = this.#link.channels.get(channel)!;
    if ((this.sent.get(channel)?.unanswered ?? 0) === 0) return;
    for (const { outgoing, counter } of [...this.#given, ...this.#waiting]) {
      if (outgoing.channel === channel && outgoing.origin !== undefined) {
        origins!.add(counter, { ...outgoing.origin, returned: undefined });
      }
    }
  }

  /**
   * Called when a channel had no message in the last 20 s. Its next message continues the counter. If
   * the channel was dropped from `#quiet` meanwhile, its counter continues above the old one.
   */
  markQuiet(channel: string, { first, counter, publishedAt, lost }: Sent): void {
    this.sent.delete(channel);
    this.#quiet.set(channel, { first, counter, publishedAt, lost });
    if (this.#quiet.size <= MAX_QUIET) return;
    const [oldest] = this.#quiet;
    this.#highest = Math.max(this.#highest, oldest![1].counter);
    this.#quiet.delete(oldest![0]);
  }

  /**
   * The bytes of a message, or of a digest if `outgoing` is undefined.
   *
   * @param sent - Undefined in a room without history: each message starts to count, so that no node,
   *   also of an older version, finds a loss.
   * @param next - Counter of the message; for a digest, counter of the next message.
   * @param previousAt - Time of the publication before `next`.
   */
  encode(
    sent: Sent | undefined,
    next: number,
    previousAt: number,
    outgoing: Outgoing | undefined,
  ): Uint8Array {
    const { node, platform } = this.#link;
    const isFirst = sent === undefined || next === sent.first;
    return encodeEnvelope({
      node,
      counter: outgoing === undefined ? next - 1 : next,
      previousMs: isFirst ? undefined : platform.now() - previousAt,
      exact: sent !== undefined && (next - 1 === sent.first || next - 1 === sent.lost),
      key: outgoing?.key,
      message: outgoing?.message,
    });
  }

  /** Gives a message its counter. Even a refused message gets one, so that other nodes see the loss. */
  #number(outgoing: Outgoing): Publication {
    const { channel, isCounted, origin } = outgoing;
    const sent = isCounted ? (this.sent.get(channel) ?? this.#createSent(channel)) : undefined;
    const previousAt = sent?.publishedAt ?? 0;
    const counter = sent === undefined ? ++this.#highest : ++sent.counter;
    if (sent !== undefined) {
      sent.digests = DIGESTS;
      sent.publishedAt = this.#link.platform.now();
      sent.unanswered++;
    }
    const result = new Deferred<Position | undefined>();
    const origins = this.#link.channels.get(channel)?.origins;
    const returned = origins && new Deferred<void>();
    origins?.add(counter, { except: origin?.except, returned });
    return { outgoing, sent, counter, previousAt, result, returned, isUnanswered: true };
  }

  #createSent(channel: string): Sent {
    const counted = this.#quiet.get(channel) ?? {
      first: this.#highest + 1,
      counter: this.#highest,
      publishedAt: 0,
      lost: 0,
    };
    this.#quiet.delete(channel);
    const sent: Sent = { ...counted, unanswered: 0, digests: 0 };
    this.sent.set(channel, sent);
    return sent;
  }

  /**
   * Sends a message to the engine. With `through`, first waits for the engine's answer to all changes
   * of the subscription, so that the members get the returning messages in order.
   */
  #sendWhenSubscribed(publication: Publication): void {
    const { channel, origin } = publication.outgoing;
    const send = (): void => {
      // In an outage the message waits until the engine is up.
      if (this.#link.state === 'up' && this.#waiting.delete(publication)) {
        void this.#send(publication);
      }
    };
    if (origin === undefined) send();
    else this.#link.whenSubscribed(channel, send);
  }

  async #send(publication: Publication): Promise<void> {
    const { outgoing, result, sent, counter, previousAt } = publication;
    this.#given.add(publication);
    try {
      const bytes = this.encode(sent, counter, previousAt, outgoing);
      result.resolve(await this.#link.backplane.publish(outgoing.channel, bytes, outgoing.keep));
    } catch (error) {
      this.#fail(publication, 'the backplane refused a message', LATER, error);
    }
    this.#given.delete(publication);
    this.#settle(publication);
  }

  /** Rejects a publication after its timeout. If the engine has the message, it may still arrive. */
  #timedOut(publication: Publication): void {
    const why = `the backplane has not answered for ${PUBLISH_TIMEOUT_MS} ms`;
    if (this.#waiting.delete(publication)) return this.#refuse(publication, why, AT_ONCE);
    publication.result.reject(new BackplaneError(why));
    this.#countAnswered(publication);
  }

  /** Rejects a publication that the engine does not have. */
  #refuse(publication: Publication, why: string, when: When): void {
    this.#link.channels.get(publication.outgoing.channel)?.origins?.forget(publication.counter);
    this.#fail(publication, why, when);
    this.#settle(publication);
  }

  #fail(
    { outgoing, sent, counter, result }: Publication,
    why: string,
    when: When,
    cause?: unknown,
  ): void {
    if (sent !== undefined) {
      sent.lost = Math.max(sent.lost, counter);
      if (outgoing.keep !== undefined) sent.digests = DIGESTS_OF_LOSS;
    }
    const error = new BackplaneError(why, cause === undefined ? {} : { cause });
    if (when === LATER) result.resolve(rejected(error, this));
    else result.reject(error);
  }

  #settle(publication: Publication): void {
    publication.cancelTimer?.();
    this.#unanswered--;
    this.#unansweredBytes -= publication.outgoing.message.bytes.length;
    this.#countAnswered(publication);
  }

  #countAnswered(publication: Publication): void {
    const { sent, isUnanswered } = publication;
    if (sent !== undefined && isUnanswered) sent.unanswered--;
    publication.isUnanswered = false;
  }
}

const CLOSED = 'the hub was closed';

/** A message with its counter. */
interface Publication {
  readonly outgoing: Outgoing;
  /** Undefined in a room without history. */
  readonly sent: Sent | undefined;
  readonly counter: number;
  /** Time at which the previous message of the channel was published. */
  readonly previousAt: number;
  /** The answer of the engine. */
  readonly result: Deferred<Position | undefined>;
  /** See `Origin`. */
  readonly returned: Deferred<void> | undefined;
  /** Whether `sent.unanswered` counts this message. */
  isUnanswered: boolean;
  cancelTimer?: () => void;
}
