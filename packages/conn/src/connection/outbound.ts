import { LARGEST_SLAB, type Lease, utf8Length } from '@ws/codec/internal';
import type { DataType } from '../message.ts';
import { rejected } from '../time/promises.ts';
import { withinLimit } from '../writing/buffer-limits.ts';
import { utf8 } from '../writing/payload.ts';
import { DetachedBytes } from '../writing/pending-bytes.ts';
import type { PreparedMessage } from '../writing/prepared-message.ts';
import { FIN, REFERENCE_FROM, sharedFrames } from '../writing/shared-frames.ts';
import type { WriteEnd } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { MessageEncoder } from './message-encoder.ts';
import { SendQueue } from './send-queue.ts';
import { WaitingForRoom, WaitingMessage } from './waiting-write.ts';
import { WriteOrder } from './write-order.ts';

/**
 * The way out of a connection: takes the messages of the callers, checks the limits and keeps the
 * order. A message becomes a frame of the {@link SendQueue} at once, or is encoded first if an
 * extension changes it. While a MessageWriter is open, or another thread encodes a large message,
 * messages wait.
 *
 * It is the last of four classes, each with one concern: `FrameQueue` of the codec holds frames;
 * `UnsentFrames` shares them with other connections, and copies those that leave the slab;
 * {@link SendQueue} gives them to the transport; this one turns messages into frames. They are one object
 * without `#` methods in this class, because each connection has one: an object beside it would take four
 * words, and private methods one.
 */
export class Outbound extends SendQueue {
  override readonly encoder: MessageEncoder | undefined;
  /** The writes that wait for an earlier message. The first of them creates it. */
  order: WriteOrder | undefined;

  constructor(connection: Connection) {
    super(connection);
    const { extension } = connection;
    this.encoder =
      extension === undefined ? undefined : new MessageEncoder(connection, this, extension);
  }

  /** Returns the writes that wait for an earlier message. The first call creates the object. */
  writeOrder(): WriteOrder {
    this.order ??= new WriteOrder(this.connection, this);
    return this.order;
  }

  /** Accepted bytes that are in no frame yet. */
  get waitingBytes(): number {
    return this.order?.bytes ?? 0;
  }

  /** The bytes that wait, as the limits count them: with the cost of each waiting write. */
  get charged(): number {
    return this.bufferedAmount + (this.order?.cost ?? 0);
  }

  /** Whether an encoded message of several frames is open. */
  get streamsEncoded(): boolean {
    return this.encoder?.streams === true;
  }

  override drained(): void {
    super.drained();
    this.order?.drained();
  }

  // Limits

  /** A rejected promise when no message is accepted any more. */
  rejectionIfClosed(): Promise<never> | undefined {
    const { connection, writeEnd } = this;
    return writeEnd === undefined ? undefined : rejectionAtEnd(connection, writeEnd);
  }

  /**
   * A rejected promise when a message must not be accepted.
   *
   * @param size - Size in bytes, or in UTF-16 units when `text` is given.
   */
  rejectionFor(size: number, text?: string): Promise<never> | undefined {
    const { connection, writeEnd } = this;
    if (writeEnd !== undefined) return rejectionAtEnd(connection, writeEnd);
    // A UTF-16 unit has three bytes at most. Only text close to the limit is measured.
    if (this.makeRoom(text === undefined ? size : size * 3)) return undefined;
    return connection.rareParts().refuseMessage(this.charged, size, text);
  }

  /**
   * Makes room for a message of `size` bytes: may hand frames to the transport.
   *
   * @returns Whether the message would be accepted now.
   */
  makeRoom(size: number): boolean {
    if (this.writeEnd !== undefined) return false;
    const { order } = this;
    const { settings } = this.connection;
    const cost = order === undefined ? 0 : order.cost;
    const least = size + cost + this.bytes;
    const isFull = this.blocked || least > settings.maxBufferedAmount;
    // As in `withinTotal`: its call would cost each message.
    if (!isFull && cost === 0 && least <= settings.highWaterMark) return true;
    if (isFull || cost > 0) {
      if (isFull) this.pump();
      // The transport may have called back, and so have changed the cost.
      if (!withinLimit(settings, this.charged, size)) return false;
    }
    return this.withinTotal(size);
  }

  /** Whether all connections together have room for `size` more bytes of this one. */
  withinTotal(size: number): boolean {
    const { connection, order } = this;
    const { settings, shared } = connection;
    const cost = order === undefined ? 0 : order.cost;
    // So few bytes leave at the end of the turn: the total does not count them.
    if (!this.blocked && size + cost + this.bytes <= settings.highWaterMark) return true;
    const { writeBudget } = shared.platform;
    return writeBudget === undefined || writeBudget.accepts(connection, size);
  }

  // Messages

  /**
   * Sends a whole text message.
   *
   * @param compress - The option of the caller.
   */
  sendText(type: DataType, text: string, compress: boolean | undefined): Promise<void> {
    const rejection = this.rejectionFor(text.length, text);
    if (rejection !== undefined) return rejection;
    const { order, encoder } = this;
    if (order?.mustWait === true) {
      const bytes = utf8(text, this.connection.platform);
      return order.add(WaitingMessage.owning(type, bytes, compress));
    }
    let sent: Promise<void>;
    if (encoder?.wantsText(text, compress) === true) {
      if (!encoder.isShort(text)) {
        const bytes = utf8(text, this.connection.platform);
        return this.writeOrder().send(WaitingMessage.owning(type, bytes, compress));
      }
      sent = encoder.shortText(type, text);
    } else sent = this.textFrame(FIN | type, text);
    this.countMessage(type, text);
    return sent;
  }

  /**
   * Sends `bytes[start, end)` as a whole message.
   *
   * @param lease - The memory of the bytes, if they are a borrowed message.
   */
  sendBytes(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
    lease?: Lease,
  ): Promise<void> {
    const size = end - start;
    const rejection = this.rejectionFor(size);
    if (rejection !== undefined) return rejection;
    const { order, encoder } = this;
    if (order?.mustWait === true) {
      return order.add(retained(this.connection, type, bytes, start, end, compress));
    }
    let sent: Promise<void>;
    if (encoder?.wants(size, compress) === true) {
      // An engine would read beyond a detached or shrunk buffer and crash the process.
      if (end > bytes.byteLength) throw new DetachedBytes();
      if (encoder.isLarge(size)) {
        const write = retained(this.connection, type, bytes, start, end, compress);
        return this.writeOrder().encodeLater(write);
      }
      sent = encoder.message(type, bytes, start, end);
    } else sent = this.callerFrame(FIN | type, bytes, start, end, lease);
    this.countMessage(type, size);
    return sent;
  }

  /** Sends a message of a backlog: `maxBufferedAmount` does not apply. The bytes never change. */
  sendBacklog(type: DataType, bytes: Uint8Array): Promise<void> {
    const rejection = this.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    const write = WaitingMessage.owning(type, bytes, undefined);
    const order = this.writeOrder();
    return order.mustWait ? order.add(write) : order.send(write);
  }

  /**
   * Sends a prepared message, which caches its encoded variants.
   *
   * @param isAccepted - Whether the caller has checked the limits.
   */
  sendPrepared(message: PreparedMessage, isAccepted = false): Promise<void> {
    const rejection = isAccepted
      ? this.rejectionIfClosed()
      : this.rejectionFor(message.bytes.length);
    if (rejection !== undefined) return rejection;
    const { order } = this;
    if (order?.mustWait === true) return order.add(WaitingMessage.prepared(message));
    return this.startPrepared(message, undefined);
  }

  /** @param write - The message, if it has waited. */
  startPrepared(message: PreparedMessage, write: WaitingMessage | undefined): Promise<void> {
    const { bytes } = message;
    const type = message.type as DataType;
    const { encoder } = this;
    const wants = encoder?.wants(bytes.length, undefined) === true;
    const sent = wants ? encoder.prepared(message) : this.sharedFrame(FIN | type, bytes);
    if (sent === undefined) {
      return this.writeOrder().encodeLater(write ?? WaitingMessage.prepared(message));
    }
    this.countMessage(type, bytes.length);
    return sent;
  }

  /**
   * Sends whole messages that other connections send too, uncompressed, if nothing is unsent and no
   * message waits. All connections pass the same array.
   *
   * @returns False when nothing was sent.
   */
  sendRun(messages: readonly PreparedMessage[]): boolean {
    const { connection } = this;
    const { settings } = connection;
    const { platform } = connection.shared;
    const changes = this.encoder !== undefined || this.coding.masks;
    const waits = this.blocked || this.unsent || this.order?.mustWait === true;
    if (changes || waits || this.writeEnd !== undefined) return false;
    const isObserved = platform.observer?.messageOut !== undefined;
    if (isObserved || settings.maxBufferedAmount < LARGEST_SLAB) return false;
    const turn = sharedFrames(platform);
    const batch = turn.run(messages);
    if (batch === undefined) return false;
    this.shareRun(batch, messages.length);
    turn.flushAtEndOfTurn(this);
    connection.messagesOut += messages.length;
    return true;
  }

  /**
   * Sends a frame that other connections send too. It is encoded once for all of them, unless this
   * connection masks or the payload exceeds the largest slab. Behind frames that are not shared, and
   * while the transport is blocked, a short one is copied.
   *
   * @param payload - Never changes.
   */
  sharedFrame(b0: number, payload: Uint8Array): Promise<void> {
    const { length } = payload;
    const { shared } = this.connection;
    const isOwn = this.coding.masks || length > LARGEST_SLAB;
    // A transport that calls back within a write may be blocked while a batch is unsent.
    const behind = this.blocked || (this.batch === undefined && this.unsent);
    if (isOwn || (behind && length < REFERENCE_FROM)) {
      return this.ownedFrame(b0, payload, 0, length);
    }
    const before = behind ? undefined : this.batch;
    const turn = sharedFrames(shared.platform);
    const batch = turn.extend(before, b0, payload);
    const size = batch.size - (before === undefined ? 0 : before.size);
    if (behind) this.unshared().addShared(batch);
    else {
      this.share(batch);
      if (before === undefined) turn.flushAtEndOfTurn(this);
    }
    return this.addedFrame(size);
  }

  /**
   * Counts a message whose frames were accepted: an error of the observer does not reject its write.
   *
   * @param payload - The text, or the size in bytes.
   */
  countMessage(type: number, payload: number | string): void {
    const connection = this.connection;
    connection.messagesOut++;
    const isObserved = connection.shared.platform.observer?.messageOut !== undefined;
    if (isObserved) observeMessage(connection, type, payload);
  }

  /**
   * Resolves when the next message may have room: after an earlier message, or at a drain.
   * Undefined when it has room now. Rejects at the end.
   */
  untilWritable(): Promise<void> | undefined {
    if (this.order?.mustWait === true) return this.order.add(new WaitingForRoom());
    return this.untilDrained();
  }

  /** Calls `send`. Its messages stay as they are, after messages that wait for another thread. */
  sendUnencoded(send: () => void): void {
    const { encoder } = this;
    const wasFlushing = encoder?.flushing === true;
    this.sendAccepted();
    try {
      send();
    } finally {
      if (encoder !== undefined) encoder.flushing = wasFlushing;
      if (!wasFlushing) this.order?.stopFlushing();
    }
  }

  /**
   * Sends all accepted messages, so that the close frame can follow. Messages that are not
   * encoded yet are sent as they are.
   */
  sendAccepted(): void {
    if (this.encoder !== undefined) this.encoder.flushing = true;
    this.order?.sendAccepted();
  }

  /** Rejects the open writer and every waiting write: no message is accepted any more. */
  rejectWaiting(): void {
    this.order?.rejectAll(this.writeEnd!);
  }
}

function rejectionAtEnd(connection: Connection, { error, expired }: WriteEnd): Promise<never> {
  // The write after the deadline ends the connection. The deadline itself does not.
  if (expired) connection.abort(error);
  return rejected(error);
}

// A function: its closure would cost each message an object.
function observeMessage(connection: Connection, type: number, payload: number | string): void {
  const bytes = typeof payload === 'string' ? utf8Length(payload) : payload;
  connection.observe((observer) => observer.messageOut?.(connection.conn, type, bytes));
}

/** A masked frame never refers to the caller's bytes, so a client copies them. */
function retained(
  connection: Connection,
  type: DataType,
  bytes: Uint8Array,
  start: number,
  end: number,
  compress: boolean | undefined,
): WaitingMessage {
  const copiesAll = connection.shared.coding.masks;
  return WaitingMessage.of(type, bytes, start, end, compress, copiesAll);
}
