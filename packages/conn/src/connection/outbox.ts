import { type Extension, PingMessage, type WebSocketError } from '@ws/codec';
import {
  type FrameQueue,
  LARGEST_SLAB,
  Lease,
  lengthOf,
  noRelease,
  utf8Length,
  viewOf,
} from '@ws/codec/internal';
import { COPY_BELOW } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import type { Platform } from '../platform/platform.ts';
import { Deferred, RESOLVED, rejected } from '../time/promises.ts';
import { withinLimit } from '../writing/buffer-limits.ts';
import {
  encodePart,
  outputRsv,
  wantsMessage,
  wantsPrepared,
  wantsText,
} from '../writing/encoding.ts';
import { encodeFragments, FIN, RSV } from '../writing/fragments.ts';
import { utf8 } from '../writing/payload.ts';
import { PendingBytesMistake } from '../writing/pending-bytes.ts';
import type { PreparedMessage } from '../writing/prepared-message.ts';
import { ReferencedWrite } from '../writing/referenced-write.ts';
import { REFERENCE_FROM, sharedFrames } from '../writing/shared-frames.ts';
import type { WriteEnd } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { FrameSender } from './frame-sender.ts';
import { WriteQueue } from './write-queue.ts';

/**
 * Sends for one connection: accepts the messages of callers, checks the limits and keeps the order. A
 * message becomes a frame at once; an extension may encode the message first. Messages wait while a
 * MessageWriter is open. The {@link FrameSender} gives the frames to the transport.
 */
export class Outbox {
  /** The accepted frames that the transport does not have. */
  readonly frames: FrameQueue;
  readonly sender: FrameSender;
  /** The calls that wait for an earlier message. Created on first use. */
  queue: WriteQueue | undefined;
  /** If set, messages reject with its error. Set by this class, and by the write deadline. */
  writeEnd: WriteEnd | undefined;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.frames = connection.machine.out;
    this.sender = new FrameSender(connection);
  }

  queueOrNew(): WriteQueue {
    this.queue ??= new WriteQueue(this.#connection);
    return this.queue;
  }

  /** Bytes that count against the limits: the buffered bytes, and a cost for each waiting write. */
  get charged(): number {
    return this.sender.bufferedAmount + (this.queue?.cost ?? 0);
  }

  // Limits

  /** A rejected promise if no message is accepted any more, else undefined. */
  rejectionIfClosed(): Promise<never> | undefined {
    const { writeEnd } = this;
    return writeEnd === undefined ? undefined : rejectionAtEnd(this.#connection, writeEnd);
  }

  /**
   * A rejected promise if a message must not be accepted, else undefined.
   *
   * @param size - Size in bytes, or in UTF-16 units when `text` is given.
   */
  rejectionFor(size: number, text?: string): Promise<never> | undefined {
    const { writeEnd } = this;
    if (writeEnd !== undefined) return rejectionAtEnd(this.#connection, writeEnd);
    // A UTF-16 unit has at most three bytes. Only a text close to the limit must be measured.
    if (this.flushForRoom(text === undefined ? size : size * 3)) return undefined;
    return this.#connection.rareParts().refuseMessage(this.charged, size, text);
  }

  /**
   * Makes room for a message of `size` bytes: if necessary, gives frames to the transport.
   *
   * @returns Whether the message would be accepted now.
   */
  flushForRoom(size: number): boolean {
    if (this.writeEnd !== undefined) return false;
    const { queue, sender } = this;
    const { machine, settings } = this.#connection;
    const cost = queue === undefined ? 0 : queue.cost;
    const buffered = size + cost + this.frames.bytes;
    const isFull = machine.blocked || buffered > settings.maxBufferedAmount;
    // Repeats a check of `withinTotal`, because a call would cost each message.
    if (!isFull && cost === 0 && buffered <= settings.highWaterMark) return true;
    if (isFull || cost > 0) {
      if (isFull) sender.pump();
      // `pump` may have changed the cost, because the transport may call back.
      if (!withinLimit(settings, this.charged, size)) return false;
    }
    return this.withinTotal(size);
  }

  /** Whether all connections together have room for `size` more bytes of this connection. */
  withinTotal(size: number): boolean {
    const connection = this.#connection;
    const { settings, shared } = connection;
    const cost = this.queue?.cost ?? 0;
    const isLittle = size + cost + this.frames.bytes <= settings.highWaterMark;
    // The total does not count so few bytes: the transport takes them at the end of the turn.
    if (!connection.machine.blocked && isLittle) return true;
    const { writeBudget } = shared.platform;
    return writeBudget === undefined || writeBudget.accepts(connection, size);
  }

  /**
   * Undefined if the next message may have room now, or if the transport has closed. Otherwise a promise
   * that resolves when the message may have room: after an earlier message, or at a drain. Rejects when
   * the connection ends.
   */
  untilWritable(): Promise<void> | undefined {
    if (this.queue?.mustWait === true) return this.queue.untilRoom();
    return this.sender.untilDrained();
  }

  // Messages

  /**
   * Sends a whole text message.
   *
   * @param compress - The caller's option `compress`.
   */
  sendText(type: DataType, text: string, compress: boolean | undefined): Promise<void> {
    const rejection = this.rejectionFor(text.length, text);
    if (rejection !== undefined) return rejection;
    const { queue } = this;
    const { extension, settings, shared } = this.#connection;
    if (queue?.mustWait === true) {
      return queue.addOwned(type, utf8(text, shared.platform), compress);
    }
    let sent: Promise<void>;
    if (extension !== undefined && wantsText(extension, text, compress)) {
      sent = encodedText(this, extension, shared.platform, type, text);
    } else if (text.length * 3 > settings.writing.fragmentationThreshold) {
      const bytes = utf8(text, shared.platform);
      sent = this.copiedFrame(FIN | type, bytes, 0, bytes.length);
    } else sent = this.sender.added(this.frames.addText(FIN | type, text));
    this.countMessage(type, text);
    return sent;
  }

  /**
   * Sends `bytes[start, end)` as a whole message.
   *
   * @param lease - The pooled memory of the bytes, if they belong to a borrowed message.
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
    const { queue } = this;
    if (queue?.mustWait === true) return queue.addBytes(type, bytes, start, end, compress);
    const { extension } = this.#connection;
    let sent: Promise<void>;
    if (extension !== undefined && wantsMessage(extension, size, compress)) {
      // An engine would read beyond a detached or shrunk buffer and crash the process.
      if (end > lengthOf(bytes)) throw new PendingBytesMistake();
      sent = this.encodedFrame(extension, type, bytes, start, end);
    } else sent = this.callerFrame(FIN | type, bytes, start, end, lease);
    this.countMessage(type, size);
    return sent;
  }

  /** Sends a message of a backlog: `maxBufferedAmount` does not apply. No code may change `bytes`. */
  sendBacklog(type: DataType, bytes: Uint8Array): Promise<void> {
    const rejection = this.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    if (this.queue?.mustWait === true) return this.queue.addOwned(type, bytes, undefined);
    return this.startBytes(type, bytes, 0, bytes.length, undefined, true);
  }

  /**
   * Sends a whole message that has waited.
   *
   * @param isOwned - Whether no other code uses `bytes`.
   */
  startBytes(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    compress: boolean | undefined,
    isOwned: boolean,
  ): Promise<void> {
    const rejection = this.rejectionIfClosed();
    if (rejection !== undefined) return rejection;
    const { extension } = this.#connection;
    let sent: Promise<void>;
    if (extension !== undefined && wantsMessage(extension, end - start, compress)) {
      if (end > lengthOf(bytes)) throw new PendingBytesMistake();
      sent = this.encodedFrame(extension, type, bytes, start, end);
    } else if (isOwned) sent = this.ownedFrame(FIN | type, bytes, start, end);
    else sent = this.callerFrame(FIN | type, bytes, start, end, undefined);
    this.countMessage(type, end - start);
    return sent;
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
    if (this.queue?.mustWait === true) return this.queue.addPrepared(message);
    return this.startPrepared(message);
  }

  /** Sends a prepared message that need not wait. */
  startPrepared(message: PreparedMessage): Promise<void> {
    const { bytes } = message;
    const type = message.type as DataType;
    const { extension } = this.#connection;
    const wants = extension !== undefined && wantsPrepared(extension, bytes.length);
    const sent = wants
      ? encodedPrepared(this, extension, message)
      : this.sharedFrame(FIN | type, bytes, message);
    this.countMessage(type, bytes.length);
    return sent;
  }

  /**
   * Sends whole uncompressed messages that other connections send too, unless a frame is unsent or a
   * message waits. All these connections pass the same array.
   *
   * @returns False when nothing was sent.
   */
  sendAll(messages: readonly PreparedMessage[]): boolean {
    const { sender } = this;
    const connection = this.#connection;
    const { settings, platform, shared } = connection;
    const changesBytes = connection.extension !== undefined || shared.coding.masks;
    const waits =
      connection.machine.blocked || this.frames.bytes > 0 || this.queue?.mustWait === true;
    if (changesBytes || waits || this.writeEnd !== undefined) return false;
    const isObserved = platform.observer?.messageOut !== undefined;
    const { maxBufferedAmount, writing } = settings;
    if (isObserved || Math.min(maxBufferedAmount, writing.fragmentationThreshold) < LARGEST_SLAB) {
      return false;
    }
    const batches = sharedFrames(platform);
    const batch = batches.batchOf(messages);
    if (batch === undefined) return false;
    this.frames.share(batch);
    void sender.added(batch.size, messages.length);
    batches.flushAtEndOfTurn(sender);
    connection.messagesOut += messages.length;
    return true;
  }

  /**
   * Counts a message whose frames were accepted. An error of the observer does not reject the write.
   *
   * @param payload - The text, or the size in bytes.
   */
  countMessage(type: number, payload: number | string): void {
    const connection = this.#connection;
    connection.messagesOut++;
    const isObserved = connection.shared.platform.observer?.messageOut !== undefined;
    if (isObserved) observeMessage(connection, type, payload);
  }

  // Frames

  /** Sends a frame with a copy of `bytes[start, end)`. The first byte of its header is `b0`. */
  copiedFrame(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const connection = this.#connection;
    if (end - start > connection.settings.writing.fragmentationThreshold) {
      return fragments(connection, b0, viewOf(bytes, start, end));
    }
    return this.sender.added(this.frames.addCopy(b0, bytes, start, end));
  }

  /** Sends a frame with `bytes[start, end)`. No code may change these bytes. */
  ownedFrame(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const { settings, shared } = this.#connection;
    const size = end - start;
    const isWhole = size <= settings.writing.fragmentationThreshold;
    return size >= COPY_BELOW && isWhole && !shared.coding.masks
      ? this.sender.added(this.frames.addReference(b0, bytes, start, end, noRelease))
      : this.copiedFrame(b0, bytes, start, end);
  }

  /**
   * Sends a frame with `bytes[start, end)` of a caller. A server references {@link COPY_BELOW} bytes or
   * more: the promise then resolves when the transport has released the bytes.
   *
   * @param lease - The pooled memory of the bytes, if they belong to a borrowed message. The frame pins
   *   this memory, so the promise need not wait.
   */
  callerFrame(
    b0: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    lease: Lease | undefined,
  ): Promise<void> {
    const connection = this.#connection;
    const length = end - start;
    if (length > connection.settings.writing.fragmentationThreshold) {
      return fragments(connection, b0, viewOf(bytes, start, end));
    }
    const references = length >= COPY_BELOW && !connection.shared.coding.masks;
    const { frames, sender } = this;
    if (!references) return sender.added(frames.addCopy(b0, bytes, start, end));
    if (lease !== undefined && start === 0 && lease.takesHeader(b0)) {
      const write = new ReferencedWrite(sender, lease.bytes, 0, end, lease, undefined);
      const size = frames.addPinned(b0, lease.bytes, end, write.release);
      write.added();
      return sender.added(size);
    }
    const written = new Deferred<void>();
    const write = new ReferencedWrite(sender, bytes, start, end, Lease.holding(bytes), written);
    const size = frames.addReference(b0, bytes, start, end, write.release);
    write.added();
    void sender.added(size);
    return written.promise;
  }

  /** Encodes `bytes[start, end)`, a whole message, by the extension and sends it. */
  encodedFrame(
    extension: Extension,
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): Promise<void> {
    let sent = false;
    try {
      const size = encodePart(extension, bytes, start, end, true, true);
      if (size < 0) {
        sent = true;
        return this.callerFrame(FIN | type, bytes, start, end, undefined);
      }
      this.sender.countEncoded(end - start);
      const rsv = outputRsv(extension);
      const accepted = this.copiedFrame(FIN | rsv | type, extension.output, 0, size);
      sent = true;
      return accepted;
    } finally {
      extension.endOutput(sent);
    }
  }

  /**
   * Sends a message that other connections send too. All of them share one serialized frame, unless this
   * connection masks or the payload exceeds the largest slab. While the transport is blocked, and after
   * frames that are not shared, a short frame is copied.
   *
   * @param payload - A form of `message`. No code may change these bytes.
   */
  sharedFrame(b0: number, payload: Uint8Array, message: PreparedMessage): Promise<void> {
    const { length } = payload;
    const { frames, sender } = this;
    const { machine, settings, shared } = this.#connection;
    if (length > settings.writing.fragmentationThreshold) {
      return fragments(this.#connection, b0, payload, message);
    }
    const isUnshared = shared.coding.masks || length > LARGEST_SLAB;
    // A transport that calls back within `write` may be blocked while a batch is unsent.
    const mustQueue = machine.blocked || (frames.batch === undefined && frames.bytes > 0);
    if (isUnshared || (mustQueue && length < REFERENCE_FROM)) {
      return this.ownedFrame(b0, payload, 0, length);
    }
    const before = mustQueue ? undefined : frames.batch;
    const batches = sharedFrames(shared.platform);
    const batch = batches.extend(before, b0, payload);
    const size = batch.size - (before === undefined ? 0 : before.size);
    if (mustQueue) frames.addShared(batch);
    else {
      frames.share(batch);
      if (before === undefined) batches.flushAtEndOfTurn(sender);
    }
    return sender.added(size);
  }

  // Control frames

  /**
   * Sends a ping or a pong.
   *
   * @param ours - Whether the library itself sends the frame. No caller awaits the promise then, so a
   *   failure ends the connection. After the close frame such a call has no effect.
   */
  control(opcode: number, payload: Uint8Array, ours = false): Promise<void> {
    if (!this.open) return ours ? RESOLVED : rejected(this.writeEnd!.error);
    // A ping of the heartbeat must not come between frames of a compressed message: see `heartbeat.ts`.
    const inOrder = ours && opcode === PingMessage && this.queue?.encodedUnsent === true;
    return this.sender.control(opcode, payload, ours, inOrder);
  }

  /** The machine has queued our close frame: later writes and waiting writes reject with `end`. */
  closeFrameSent(end: WriteEnd): void {
    const connection = this.#connection;
    this.writeEnd = end;
    connection.rare?.noteWriteEnd();
    this.queue?.rejectAll(end);
    this.sender.flushSoon();
  }

  // The end of writing

  /** Whether control frames are accepted. An expired write deadline stops messages only. */
  get open(): boolean {
    return this.writeEnd === undefined || this.writeEnd.expired;
  }

  /** Rejects all later messages and control frames. The first error stays. */
  stopAccepting(error: WebSocketError): void {
    // After an expired deadline too: from now on control frames are refused as well, and no new
    // deadline reopens the outbox.
    if (!this.open) return;
    this.writeEnd = { error: this.writeEnd?.error ?? error, expired: false };
    this.#connection.rare?.noteWriteEnd();
  }

  /**
   * Called when the transport is about to be destroyed. Rejects later writes. Earlier writes reject
   * when the transport releases their bytes.
   */
  fail(error: WebSocketError): void {
    this.stopAccepting(error);
    this.sender.rejectReleased(this.writeEnd!);
  }

  /** Rejects the open writer and every waiting write. No message is accepted any more. */
  rejectWaiting(): void {
    this.queue?.rejectAll(this.writeEnd!);
  }

  /**
   * Called when the transport is closed. Rejects all writes and releases all memory. `error` is
   * undefined after our close frame.
   */
  rejectAll(error: WebSocketError | undefined): void {
    if (error !== undefined) this.stopAccepting(error);
    this.sender.rejectAll(error === undefined ? this.writeEnd! : { error });
    this.rejectWaiting();
  }
}

function rejectionAtEnd(connection: Connection, { error, expired }: WriteEnd): Promise<never> {
  // An expired deadline alone does not end the connection. The next write does.
  if (expired) connection.abort(error);
  return rejected(error);
}

// A separate function: its closure would cost each message an object.
function observeMessage(connection: Connection, type: number, payload: number | string): void {
  const bytes = typeof payload === 'string' ? utf8Length(payload) : payload;
  connection.observe((observer) => observer.messageOut?.(connection.conn, type, bytes));
}

// Functions: `#` methods would cost each connection a word of memory.

function encodedText(
  outbox: Outbox,
  extension: Extension,
  platform: Platform,
  type: DataType,
  text: string,
): Promise<void> {
  const most = text.length * 3;
  if (most >= COPY_BELOW) {
    const bytes = utf8(text, platform);
    return outbox.encodedFrame(extension, type, bytes, 0, bytes.length);
  }
  const { bytes, release } = Lease.acquire(most);
  try {
    const size = platform.writeUtf8(bytes, 0, text);
    return outbox.encodedFrame(extension, type, bytes, 0, size);
  } finally {
    release();
  }
}

/**
 * Sends `payload` in several frames: it exceeds the option `fragmentationThreshold`. All are added in one
 * step, so that no other message can come between them. They are encoded before: functions of the
 * application for keys and memory may send.
 *
 * @param message - The prepared message of which `payload` is a form.
 */
function fragments(
  { machine, outbox, settings, shared }: Connection,
  b0: number,
  payload: Uint8Array,
  message?: PreparedMessage,
): Promise<void> {
  const { fragmentationThreshold: most } = settings.writing;
  const nextKey = shared.coding.masks ? () => machine.out.nextKey() : undefined;
  const kept = nextKey === undefined ? message?.fragmentsOf(b0, payload, most) : undefined;
  const frames = kept ?? encodeFragments(b0, payload, most, nextKey);
  let size = 0;
  for (const frame of frames) size += machine.out.addEncoded(frame);
  const sent = outbox.sender.added(size, frames.length);
  if ((b0 & RSV) !== 0) outbox.queueOrNew().encodedEnd = machine.bytesOut;
  return sent;
}

/** Sends a prepared message that the extension encodes. */
function encodedPrepared(
  outbox: Outbox,
  extension: Extension,
  message: PreparedMessage,
): Promise<void> {
  const { bytes } = message;
  const { length } = bytes;
  const type = message.type as DataType;
  const { shared, rsv } = extension;
  if (shared === undefined) return outbox.encodedFrame(extension, type, bytes, 0, length);
  const variant = message.variantOf(shared);
  if (variant.length === 0) {
    return wantsMessage(extension, length, false)
      ? outbox.encodedFrame(extension, type, bytes, 0, length)
      : outbox.sharedFrame(FIN | type, bytes, message);
  }
  shared.recordSent(bytes, 0, length);
  try {
    outbox.sender.countEncoded(length);
    return outbox.sharedFrame(FIN | rsv | type, variant, message);
  } catch (error) {
    shared.forget();
    throw error;
  }
}
