import type { Extension } from '@ws/codec';
import { LARGEST_SLAB, Lease, lengthOf, noRelease, utf8Length, viewOf } from '@ws/codec/internal';
import { COPY_BELOW } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import type { Platform } from '../platform/platform.ts';
import { Deferred } from '../time/promises.ts';
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
import type { Connection } from './connection.ts';

// How a message of a caller becomes frames: at once, unless it must wait for an earlier message. An extension may
// encode it first.

/**
 * Sends a whole text message.
 *
 * @param compress - The caller's option `compress`.
 */
export function sendText(
  connection: Connection,
  type: DataType,
  text: string,
  compress: boolean | undefined,
): Promise<void> {
  const { extension, outbox, settings, shared } = connection;
  const rejection = outbox.rejectionFor(text.length, text);
  if (rejection !== undefined) return rejection;
  const { queue } = outbox;
  if (queue?.mustWait === true) {
    return queue.addOwned(type, utf8(text, shared.platform), compress);
  }
  let sent: Promise<void>;
  if (extension !== undefined && wantsText(extension, text, compress)) {
    sent = encodedText(connection, extension, shared.platform, type, text);
  } else if (text.length * 3 > settings.writing.fragmentationThreshold) {
    const bytes = utf8(text, shared.platform);
    sent = outbox.copiedFrame(FIN | type, bytes, 0, bytes.length);
  } else sent = outbox.added(outbox.frames.addText(FIN | type, text));
  outbox.countMessage(type, text);
  return sent;
}

/**
 * Sends `bytes[start, end)` as a whole message.
 *
 * @param lease - The pooled memory of the bytes, if they belong to a borrowed message.
 */
export function sendBytes(
  connection: Connection,
  type: DataType,
  bytes: Uint8Array,
  start: number,
  end: number,
  compress: boolean | undefined,
  lease?: Lease,
): Promise<void> {
  const { extension, outbox } = connection;
  const size = end - start;
  const rejection = outbox.rejectionFor(size);
  if (rejection !== undefined) return rejection;
  const { queue } = outbox;
  if (queue?.mustWait === true) return queue.addBytes(type, bytes, start, end, compress);
  let sent: Promise<void>;
  if (extension !== undefined && wantsMessage(extension, size, compress)) {
    // An engine would read beyond a detached or shrunk buffer and crash the process.
    if (end > lengthOf(bytes)) throw new PendingBytesMistake();
    sent = encodedFrame(connection, extension, type, bytes, start, end);
  } else sent = callerFrame(connection, FIN | type, bytes, start, end, lease);
  outbox.countMessage(type, size);
  return sent;
}

/** Sends a message of a backlog: `maxBufferedAmount` does not apply. No code may change `bytes`. */
export function sendBacklog(
  connection: Connection,
  type: DataType,
  bytes: Uint8Array,
): Promise<void> {
  const { outbox } = connection;
  const rejection = outbox.rejectionIfClosed();
  if (rejection !== undefined) return rejection;
  if (outbox.queue?.mustWait === true) return outbox.queue.addOwned(type, bytes, undefined);
  return startBytes(connection, type, bytes, 0, bytes.length, undefined, true);
}

/**
 * Sends a whole message that has waited.
 *
 * @param isOwned - Whether no other code uses `bytes`.
 */
export function startBytes(
  connection: Connection,
  type: DataType,
  bytes: Uint8Array,
  start: number,
  end: number,
  compress: boolean | undefined,
  isOwned: boolean,
): Promise<void> {
  const { extension, outbox } = connection;
  const rejection = outbox.rejectionIfClosed();
  if (rejection !== undefined) return rejection;
  let sent: Promise<void>;
  if (extension !== undefined && wantsMessage(extension, end - start, compress)) {
    if (end > lengthOf(bytes)) throw new PendingBytesMistake();
    sent = encodedFrame(connection, extension, type, bytes, start, end);
  } else if (isOwned) sent = ownedFrame(connection, FIN | type, bytes, start, end);
  else sent = callerFrame(connection, FIN | type, bytes, start, end, undefined);
  outbox.countMessage(type, end - start);
  return sent;
}

/**
 * Sends a prepared message, which caches its encoded variants.
 *
 * @param isAccepted - Whether the caller has checked the limits.
 */
export function sendPrepared(
  connection: Connection,
  message: PreparedMessage,
  isAccepted = false,
): Promise<void> {
  const { outbox } = connection;
  const rejection = isAccepted
    ? outbox.rejectionIfClosed()
    : outbox.rejectionFor(message.bytes.length);
  if (rejection !== undefined) return rejection;
  if (outbox.queue?.mustWait === true) return outbox.queue.addPrepared(message);
  return startPrepared(connection, message);
}

/** Sends a prepared message that need not wait. */
export function startPrepared(connection: Connection, message: PreparedMessage): Promise<void> {
  const { bytes } = message;
  const type = message.type as DataType;
  const { extension } = connection;
  const wants = extension !== undefined && wantsPrepared(extension, bytes.length);
  const sent = wants
    ? encodedPrepared(connection, extension, message)
    : sharedFrame(connection, FIN | type, bytes, message);
  connection.outbox.countMessage(type, bytes.length);
  return sent;
}

/**
 * Sends whole uncompressed messages that other connections send too, unless a frame is unsent or a
 * message waits. All these connections pass the same array.
 *
 * @returns False when nothing was sent.
 */
export function sendAll(connection: Connection, messages: readonly PreparedMessage[]): boolean {
  const { machine, outbox, settings, platform, shared } = connection;
  const changesBytes = connection.extension !== undefined || shared.coding.masks;
  const waits = machine.blocked || outbox.frames.bytes > 0 || outbox.queue?.mustWait === true;
  if (changesBytes || waits || outbox.writeEnd !== undefined) return false;
  const isObserved = platform.observer?.messageOut !== undefined;
  const { maxBufferedAmount, writing } = settings;
  if (isObserved || Math.min(maxBufferedAmount, writing.fragmentationThreshold) < LARGEST_SLAB) {
    return false;
  }
  const batches = sharedFrames(platform);
  const batch = batches.batchOf(messages);
  if (batch === undefined) return false;
  outbox.frames.share(batch);
  void outbox.added(batch.size, messages.length);
  batches.flushAtEndOfTurn(outbox);
  connection.messagesOut += messages.length;
  return true;
}

/** Sends a frame with `bytes[start, end)`. No code may change these bytes. */
function ownedFrame(
  connection: Connection,
  b0: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): Promise<void> {
  const { outbox, settings, shared } = connection;
  const size = end - start;
  const isWhole = size <= settings.writing.fragmentationThreshold;
  return size >= COPY_BELOW && isWhole && !shared.coding.masks
    ? outbox.added(outbox.frames.addReference(b0, bytes, start, end, noRelease))
    : outbox.copiedFrame(b0, bytes, start, end);
}

/**
 * Sends a frame with `bytes[start, end)` of a caller. A server references {@link COPY_BELOW} bytes or
 * more: the promise then resolves when the transport has released the bytes.
 *
 * @param lease - The pooled memory of the bytes, if they belong to a borrowed message. The frame pins
 *   this memory, so the promise need not wait.
 */
function callerFrame(
  connection: Connection,
  b0: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  lease: Lease | undefined,
): Promise<void> {
  const { outbox, settings, shared } = connection;
  const length = end - start;
  if (length > settings.writing.fragmentationThreshold) {
    return fragments(connection, b0, viewOf(bytes, start, end));
  }
  const references = length >= COPY_BELOW && !shared.coding.masks;
  const { frames } = outbox;
  if (!references) return outbox.added(frames.addCopy(b0, bytes, start, end));
  if (lease !== undefined && start === 0 && lease.takesHeader(b0)) {
    const write = new ReferencedWrite(outbox, lease.bytes, 0, end, lease, undefined);
    const size = frames.addPinned(b0, lease.bytes, end, write.release);
    write.added();
    return outbox.added(size);
  }
  const written = new Deferred<void>();
  const write = new ReferencedWrite(outbox, bytes, start, end, Lease.holding(bytes), written);
  const size = frames.addReference(b0, bytes, start, end, write.release);
  write.added();
  void outbox.added(size);
  return written.promise;
}

/** Encodes `bytes[start, end)`, a whole message, by the extension and sends it. */
function encodedFrame(
  connection: Connection,
  extension: Extension,
  type: DataType,
  bytes: Uint8Array,
  start: number,
  end: number,
): Promise<void> {
  const { outbox } = connection;
  let sent = false;
  try {
    const size = encodePart(extension, bytes, start, end, true, true);
    if (size < 0) {
      sent = true;
      return callerFrame(connection, FIN | type, bytes, start, end, undefined);
    }
    outbox.countEncoded(end - start);
    const rsv = outputRsv(extension);
    const accepted = outbox.copiedFrame(FIN | rsv | type, extension.output, 0, size);
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
function sharedFrame(
  connection: Connection,
  b0: number,
  payload: Uint8Array,
  message: PreparedMessage,
): Promise<void> {
  const { machine, outbox, settings, shared } = connection;
  const { length } = payload;
  const { frames } = outbox;
  if (length > settings.writing.fragmentationThreshold) {
    return fragments(connection, b0, payload, message);
  }
  const isUnshared = shared.coding.masks || length > LARGEST_SLAB;
  // A transport that calls back within `write` may be blocked while a batch is unsent.
  const mustQueue = machine.blocked || (frames.batch === undefined && frames.bytes > 0);
  if (isUnshared || (mustQueue && length < REFERENCE_FROM)) {
    return ownedFrame(connection, b0, payload, 0, length);
  }
  const before = mustQueue ? undefined : frames.batch;
  const batches = sharedFrames(shared.platform);
  const batch = batches.extend(before, b0, payload);
  const size = batch.size - (before === undefined ? 0 : before.size);
  if (mustQueue) frames.addShared(batch);
  else {
    frames.share(batch);
    if (before === undefined) batches.flushAtEndOfTurn(outbox);
  }
  return outbox.added(size);
}

function encodedText(
  connection: Connection,
  extension: Extension,
  platform: Platform,
  type: DataType,
  text: string,
): Promise<void> {
  const most = text.length * 3;
  if (most >= COPY_BELOW) {
    const bytes = utf8(text, platform);
    return encodedFrame(connection, extension, type, bytes, 0, bytes.length);
  }
  const { bytes, release } = Lease.acquire(most);
  try {
    const size = platform.writeUtf8(bytes, 0, text);
    return encodedFrame(connection, extension, type, bytes, 0, size);
  } finally {
    release();
  }
}

/** Sends a prepared message that the extension encodes. */
function encodedPrepared(
  connection: Connection,
  extension: Extension,
  message: PreparedMessage,
): Promise<void> {
  const { bytes } = message;
  const { length } = bytes;
  const type = message.type as DataType;
  const { shared, rsv } = extension;
  if (shared === undefined) return encodedFrame(connection, extension, type, bytes, 0, length);
  const variant = message.variantOf(shared);
  if (variant.length === 0) {
    return wantsMessage(extension, length, false)
      ? encodedFrame(connection, extension, type, bytes, 0, length)
      : sharedFrame(connection, FIN | type, bytes, message);
  }
  shared.recordSent(bytes, 0, length);
  try {
    connection.outbox.countEncoded(length);
    return sharedFrame(connection, FIN | rsv | type, variant, message);
  } catch (error) {
    shared.forget();
    throw error;
  }
}

/**
 * Sends `payload` in several frames: it exceeds the option `fragmentationThreshold`. All are added in one
 * step, so that no other message can come between them. They are encoded before: functions of the
 * application for keys and memory may send.
 *
 * @param message - The prepared message of which `payload` is a form.
 */
export function fragments(
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
  const sent = outbox.added(size, frames.length);
  if ((b0 & RSV) !== 0) outbox.queueOrNew().encodedEnd = machine.bytesOut;
  return sent;
}

// A separate function: its closure would cost each message an object.
export function observeMessage(
  connection: Connection,
  type: number,
  payload: number | string,
): void {
  const bytes = typeof payload === 'string' ? utf8Length(payload) : payload;
  connection.observe((observer) => observer.messageOut?.(connection.conn, type, bytes));
}
