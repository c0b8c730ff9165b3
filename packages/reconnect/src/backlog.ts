import {
  BackpressureError,
  CloseError,
  type CloseInfo,
  Message,
  type MessageData,
  portablePlatform,
  TextMessage,
  TimeoutError,
  TransportError,
} from '@ws/conn';
import { bytesOf, CallPromise, copyOf, dataTypeOf, utf8 } from '@ws/conn/internal';
import type { LivePlan } from './options.ts';
import { ResendWindow } from './resend.ts';

/** Number of connections in a row that a message ends by {@link REFUSALS} until it is rejected. */
const MAX_REFUSALS = 3;
/**
 * The close codes of a peer that refuses a message: 1002 and 1003 for its kind, 1007 for its content,
 * 1009 for its size.
 */
const REFUSALS: readonly number[] = [1002, 1003, 1007, 1009];
/**
 * The close code of a peer that has failed. It may be the message, or a database that is away. Our own
 * server closes with it when a handler throws.
 */
const PEER_FAILED = 1011;
/** Number of connections that end so at a message until that is reported, and until it is rejected. */
const REPORTED_FAILURES = 5;
const MAX_FAILURES = 10;
/** Errors of such a connection: a peer that refuses a message may not read the rest of it. */
const REFUSAL_ERRORS = [CloseError, TimeoutError, TransportError];
/** Number of acknowledged ids that are remembered. */
const REMEMBERED_IDS = 10_000;

/** A message that waits: without an id for a connection, with an id for its acknowledgement. */
export interface QueuedMessage {
  readonly id: string | undefined;
  readonly message: Message;
  /** Settles the promise of `send`. */
  readonly sent: CallPromise<void>;
  /** Number of the last connection that got the message; 0 for none. */
  connection: number;
  previous: QueuedMessage | undefined;
  next: QueuedMessage | undefined;
}

type Bounds = Pick<LivePlan, 'maxQueuedBytes' | 'maxQueuedMessages' | 'resend'>;

/**
 * Copies of the waiting messages, in the order of the calls. Messages without an id wait for a
 * connection, messages with an id for their acknowledgement.
 */
export class Backlog {
  /** Undefined without the option `resend`. */
  readonly window: ResendWindow | undefined;
  readonly #bounds: Bounds;
  // A linked list: to remove the first entry of a long Set or array costs as much as to copy it.
  #first: QueuedMessage | undefined;
  #last: QueuedMessage | undefined;
  /** The next message for the current connection. */
  #next: QueuedMessage | undefined;
  /** Number of the current connection. */
  #connection = 0;
  /** Number and bytes of the messages without an id. */
  #plainCount = 0;
  #plainBytes = 0;
  /** The messages with an id, and their bytes. */
  readonly #byId = new Map<string, QueuedMessage>();
  #idBytes = 0;
  /** The last acknowledged ids, and the same as a ring, in their order. */
  readonly #acknowledgedIds = new Set<string>();
  readonly #ring: string[] = [];
  #ringAt = 0;
  /** The message that the peer may have refused, and the number of its refusals in a row. */
  #refusedMessage: QueuedMessage | undefined;
  #refusals = 0;
  /** The message at which the peer has failed, the number of these failures, and the time of the first. */
  #failingMessage: QueuedMessage | undefined;
  #failures = 0;
  #failingSince = 0;
  /** The rejected messages with an id. */
  readonly #rejected: Message[] = [];

  /** @param onSilence - Called when the peer acknowledges no message for a long time. */
  constructor(bounds: Bounds, onSilence: (error: Error) => void) {
    this.#bounds = bounds;
    this.window = bounds.resend && new ResendWindow(onSilence);
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  /** The last message. A change shows that a message was added. */
  get last(): QueuedMessage | undefined {
    return this.#last;
  }

  /** Whether a message waits for its acknowledgement. */
  get hasUnacknowledged(): boolean {
    return this.#byId.size > 0;
  }

  get unacknowledged(): Message[] {
    return Array.from(this.#byId.values(), ({ message }) => message);
  }

  /** The messages of {@link ReconnectingEnd.unsent}. */
  get unsent(): Message[] {
    const all = [...this.#rejected, ...this.unacknowledged];
    for (let entry = this.#first; entry !== undefined; entry = entry.next) {
      if (entry.id === undefined) all.push(entry.message);
    }
    return all;
  }

  /** The next message for the current connection; undefined when it has all messages. */
  get next(): QueuedMessage | undefined {
    return this.#next;
  }

  /**
   * Adds a copy of `data`.
   *
   * @throws TypeError for other data, or for an id that was used; BackpressureError above a bound.
   */
  add(data: MessageData, id: string | undefined): QueuedMessage {
    if (id !== undefined) this.#checkId(id);
    const message = copyMessage(data);
    const { length } = message.data;
    this.#checkBounds(length, id !== undefined);
    const previous = this.#last;
    const sent = new CallPromise<void>();
    const entry: QueuedMessage = { id, message, sent, connection: 0, previous, next: undefined };
    if (previous === undefined) this.#first = entry;
    else previous.next = entry;
    this.#last = entry;
    this.#next ??= entry;
    if (id === undefined) {
      this.#plainCount++;
      this.#plainBytes += length;
    } else {
      this.#byId.set(id, entry);
      this.#idBytes += length;
    }
    return entry;
  }

  #checkId(id: string): void {
    const isAcknowledged = this.#acknowledgedIds.has(id);
    if (!isAcknowledged && !this.#byId.has(id)) return;
    const state = isAcknowledged ? 'was acknowledged' : 'has no acknowledgement yet';
    throw new TypeError(
      `resend.id: a message with the id ${JSON.stringify(id)} ${state}; give each message its own id`,
    );
  }

  #checkBounds(more: number, hasId: boolean): void {
    const { maxQueuedBytes, maxQueuedMessages, resend } = this.#bounds;
    const awaited = hasId ? 'an acknowledgement' : 'a connection';
    const [messages, maxMessages, ofMessages] = hasId
      ? [this.#byId.size, resend!.maxMessages, 'resend.maxMessages']
      : [this.#plainCount, maxQueuedMessages, 'maxQueuedMessages'];
    if (messages >= maxMessages) {
      throw new BackpressureError(
        `the message was not sent: ${messages} messages wait for ${awaited}, as many as ${ofMessages} allows`,
      );
    }
    const [bytes, maxBytes, ofBytes] = hasId
      ? [this.#idBytes, resend!.maxBytes, 'resend.maxBytes']
      : [this.#plainBytes, maxQueuedBytes, 'maxQueuedBytes'];
    if (bytes + more > maxBytes) {
      throw new BackpressureError(
        `the message was not sent: ${bytes} bytes wait for ${awaited}; ${more} more would exceed ${ofBytes} (${maxBytes})`,
      );
    }
  }

  /** Called for a new connection, which gets all messages. */
  opened(): void {
    this.#connection++;
    this.#next = this.#first;
    this.window?.opened(this.#refusals > 0 || this.#failures > 0);
  }

  /** Called when the current connection gets `entry`, the next message. */
  took(entry: QueuedMessage): void {
    this.#next = entry.next;
    if (entry.id === undefined) return this.#remove(entry);
    entry.connection = this.#connection;
    this.window!.took(entry.message.data.length);
  }

  /** Takes an acknowledgement. An unknown id was acknowledged before, on another connection. */
  acknowledge(id: string): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    this.#remove(entry);
    this.#remember(id);
    if (entry === this.#failingMessage) this.#failures = 0;
    if (entry.connection === this.#connection) this.window!.acknowledged(entry.message.data.length);
    entry.sent.resolve();
  }

  #remember(id: string): void {
    this.#acknowledgedIds.delete(this.#ring[this.#ringAt]!);
    this.#acknowledgedIds.add(id);
    this.#ring[this.#ringAt] = id;
    this.#ringAt = (this.#ringAt + 1) % REMEMBERED_IDS;
  }

  #remove(entry: QueuedMessage): void {
    const { id, previous, next, message } = entry;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    if (this.#next === entry) this.#next = next;
    const { length } = message.data;
    if (id === undefined) {
      this.#plainCount--;
      this.#plainBytes -= length;
    } else {
      this.#byId.delete(id);
      this.#idBytes -= length;
    }
  }

  /**
   * Called when the current connection has ended. When the peer has refused the first message
   * {@link MAX_REFUSALS} times in a row, or has failed at it {@link MAX_FAILURES} times over a long time,
   * rejects that message: it would block all others.
   *
   * @returns The error to report, if there is one.
   */
  closed({ code, reason, error }: CloseInfo): CloseError | undefined {
    const [first] = this.#byId.values();
    // This end closes with the same codes for messages of the peer, but with other errors.
    const isOfPeer =
      error === undefined || REFUSAL_ERRORS.some((Refusal) => error instanceof Refusal);
    const isAtFirst = isOfPeer && first?.connection === this.#connection;
    if (isAtFirst && code === PEER_FAILED) return this.#peerFailed(first, reason);
    if (!isAtFirst || !REFUSALS.includes(code)) {
      this.#refusals = 0;
      this.#refusedMessage = undefined;
      return undefined;
    }
    this.#refusals = first === this.#refusedMessage ? this.#refusals + 1 : 1;
    this.#refusedMessage = first;
    if (this.#refusals < MAX_REFUSALS) return undefined;
    return this.#rejectFirst(first, code, reason, MAX_REFUSALS);
  }

  /** The peer has failed, perhaps at `first`. Returns the error to report, if there is one. */
  #peerFailed(first: QueuedMessage, reason: string): CloseError | undefined {
    const now = performance.now();
    if (first !== this.#failingMessage || this.#failures === 0) {
      this.#failingMessage = first;
      this.#failures = 0;
      this.#failingSince = now;
    }
    this.#failures++;
    const isPoison = now - this.#failingSince >= this.#bounds.resend!.poisonAfter;
    if (isPoison && this.#failures >= MAX_FAILURES) {
      return this.#rejectFirst(first, PEER_FAILED, reason, this.#failures);
    }
    if (this.#failures !== REPORTED_FAILURES) return undefined;
    const id = JSON.stringify(first.id);
    return new CloseError(
      PEER_FAILED,
      reason,
      `${REPORTED_FAILURES} connections ended at the message with the id ${id}; it is sent again, see resend.poisonAfter`,
    );
  }

  /** Rejects the first message with an id, so that later messages are sent. Returns the error. */
  #rejectFirst(first: QueuedMessage, code: number, reason: string, times: number): CloseError {
    this.#refusals = this.#failures = 0;
    this.#remove(first);
    if (this.#rejected.push(first.message) > this.#bounds.resend!.maxMessages) {
      this.#rejected.shift();
    }
    const id = JSON.stringify(first.id);
    const refusal = new CloseError(
      code,
      reason,
      `${times} connections ended at the message with the id ${id}; it is not sent again`,
    );
    first.sent.reject(refusal);
    return refusal;
  }

  /** Rejects all messages. Returns whether code awaits one of their promises. */
  rejectAll(reason: unknown): boolean {
    this.window?.closed();
    let isAwaited = false;
    for (let entry = this.#first; entry !== undefined; entry = entry.next) {
      isAwaited ||= entry.sent.isAwaited;
      entry.sent.reject(reason);
    }
    return isAwaited;
  }
}

/** @throws TypeError for other data. */
function copyMessage(data: MessageData): Message {
  // React Native has no TextDecoder.
  if (typeof data === 'string')
    return new Message(TextMessage, utf8(data), { decodeUtf8: () => data });
  return new Message(dataTypeOf(data), copyOf(bytesOf(data, 'send')), portablePlatform);
}
