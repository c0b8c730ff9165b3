import { CloseMessage, encodeFrame, PingMessage, type WebSocketError } from '@ws/codec';
import { LARGEST_SLAB, type Lease, leaseOf } from '@ws/codec/internal';
import {
  BackpressureError,
  CloseError,
  CloseSentError,
  causeText,
  TransportError,
} from '../errors.ts';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import { onRejection } from '../on-rejection.ts';
import { viewOf } from '../platform/platform.ts';
import { Deferred, RESOLVED } from '../time/promises.ts';
import { type LateRejection, rejectedLater } from '../time/refusal.ts';
import type { Transport } from '../transport.ts';
import { kind } from '../validate.ts';
import { hasRoom, isTurnFull, type TurnBudget, WaitingWriters } from './backpressure.ts';
import { ControlQueue } from './control-queue.ts';
import { ChangedBytes, DetachedBytes, watchChanges } from './copy-or-reference.ts';
import type { PreparedMessage } from './prepared-message.ts';
import { type Batch, type BatchSender, REFERENCE_FROM, sharedFrames } from './shared-frames.ts';
import { keepMemory, LEND_FROM, UnsentFrames, type UnsentFramesOwner } from './unsent-frames.ts';

/** Encoding a byte takes at most as long as writing this many plain bytes: compressing does. */
const ENCODE_COST = 8;
const FIN = 0x80;

// States of the transport's writing side.
const OPEN = 0;
/** The writing side ends after all accepted frames. */
const ENDING = 1;
const ENDED = 2;

/**
 * Placeholder for a CloseSentError, which is created when a write is rejected. Most connections
 * close without a rejected write, and the error's stack trace costs more than the close.
 */
const CLOSE_SENT = 'close sent';

/** The connection of a send queue. */
export interface SendQueueOwner extends UnsentFramesOwner {
  /** Frames, bytes and pings that were accepted. The send queue counts them. */
  framesOut: number;
  bytesOut: number;
  pingsOut: number;
  readonly transport: Transport;
  /** Whether `flush` is called at the end of this turn anyway. */
  readonly flushScheduled: boolean;
  /** The connection receives broadcasts, so it soon needs this queue again. */
  markReceiver(): void;
  /** Ends the connection without a close frame: the stream of frames is broken. */
  abort(error: WebSocketError): void;
  /** Reports an error unless it is the connection's. */
  reportMistake(error: unknown, where: string): void;
  /** Returns the promise of a call that exceeds a bound. `where` is the method of the caller. */
  refuse(error: BackpressureError, where: string): LateRejection;
  /** Aborts when `result` of a transport's method is a promise that rejects. */
  watchTransport(method: 'cork' | 'uncork' | 'end', result: unknown): void;
}

/**
 * The accepted frames of one connection, in their order. The queue collects frames in slabs and
 * hands them to the transport once a turn. While the transport is blocked, that is above its
 * high-water mark, frames wait here. Pings and pongs then overtake queued messages between two
 * frames.
 */
export class SendQueue extends UnsentFrames implements BatchSender, TurnBudget {
  declare protected readonly owner: SendQueueOwner;
  /** Whether the transport is above its high-water mark. */
  #blocked = false;
  /** Whether the write loop runs. */
  #writing = false;
  /** When the transport was blocked last, in ms of the platform's clock. */
  #blockedAt = 0;
  /** {@link bytesFlushed} at that time. */
  #flushedWhenBlocked = 0;
  /** The transport reported a drain since the last write began. */
  #drained = false;
  #controls: ControlQueue | undefined;
  #waiting: WaitingWriters | undefined;
  #turnBytes = 0;
  #turnFrames = 0;
  /** Referenced bytes that the transport has released within `write`, and their frames. */
  #releasedBytes = 0;
  #releasedFrames = 0;
  /** {@link SendQueueOwner.bytesOut} after the last frame of an encoded message of several frames. */
  #encodedEnd = 0;
  /** Why no message is accepted any more. */
  #error: WebSocketError | typeof CLOSE_SENT | undefined;
  /** The error of writes after the close frame, once one was rejected. */
  #closeSent: CloseSentError | undefined;
  /** The error of a write deadline that has expired: the next message ends the connection. */
  #expired: WebSocketError | undefined;
  #end: typeof OPEN | typeof ENDING | typeof ENDED = OPEN;

  /** Why no message is accepted any more. */
  get error(): WebSocketError | undefined {
    if (this.#error === CLOSE_SENT) this.#error = this.#closeSentError();
    return this.#error;
  }

  #closeSentError(): CloseSentError {
    this.#closeSent ??= new CloseSentError();
    return this.#closeSent;
  }

  /** Whether `error` is the one with which this queue rejects writes after the close frame. */
  isCloseSent(error: unknown): boolean {
    return error !== undefined && error === this.#closeSent;
  }

  /** Bytes that were accepted and not yet handed to the operating system. */
  get bufferedAmount(): number {
    return this.unsentBytes + this.owner.transport.bufferedAmount;
  }

  /** Bytes of accepted frames that the operating system has. */
  get bytesFlushed(): number {
    return this.owner.bytesOut - this.bufferedAmount;
  }

  /**
   * Since when the transport is blocked and has sent nothing, in ms of the platform's clock.
   * Returns `now` when it is not blocked, or has sent bytes since then.
   */
  stalledSince(now: number): number {
    return this.#blocked && this.bytesFlushed === this.#flushedWhenBlocked ? this.#blockedAt : now;
  }

  /**
   * Whether a new send queue could replace this one: no frame is unsent, no writer waits, and
   * messages are accepted.
   */
  get droppable(): boolean {
    const unsent = this.unsent || this.#controlFrames() > 0;
    const held = unsent || this.#blocked || this.#writing || this.#waiting?.empty === false;
    return !held && this.#error === undefined && this.#end === OPEN;
  }

  /** Whether the transport is above its high-water mark. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Whether {@link flush} has something to write. */
  get pending(): boolean {
    return this.unsent && !this.#blocked;
  }

  /**
   * Whether some accepted frames were not yet given to the transport. Pings and pongs in the
   * control queue do not count.
   */
  get unsent(): boolean {
    return this.unsentBytes > 0;
  }

  #controlFrames(): number {
    return this.#controls === undefined ? 0 : this.#controls.length;
  }

  // Frames

  /** Sends a text message as one frame. */
  text(opcode: DataType, text: string): Promise<void> {
    return this.#paced(this.encodeText(opcode, text));
  }

  /** Sends a frame with a copy of `bytes[start, end)`. */
  copied(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    return this.#paced(this.encode(b0, bytes, start, end));
  }

  /**
   * Sends a frame with `bytes[start, end)` of a caller. A server references {@link COPY_BELOW} bytes
   * and more: the promise then waits until the transport has released them.
   *
   * @param lease - The memory of a borrowed message with these bytes. A pin keeps it, so the promise
   *   does not wait.
   */
  frame(
    b0: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    lease: Lease | undefined,
  ): Promise<void> {
    const references = end - start >= COPY_BELOW && this.owner.shared.nextKey === undefined;
    if (!references) return this.copied(b0, bytes, start, end);
    if (lease === undefined || start !== 0 || !lease.takesHeader(b0)) {
      return this.#reference(b0, bytes, start, end);
    }
    return this.#pinned(b0, lease, end);
  }

  // A method of its own: its function would cost each call of `frame` an object.
  #pinned(b0: number, lease: Lease, length: number): Promise<void> {
    const check = watchChanges(lease.bytes, 0, length);
    return this.#paced(this.encodePinned(b0, lease, length, () => this.#failIfChanged(check)));
  }

  /** Sends a frame with `bytes[start, end)`, which never change. */
  owned(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    return end - start >= COPY_BELOW && this.owner.shared.nextKey === undefined
      ? this.#paced(this.reference(b0, bytes, start, end, keepMemory))
      : this.copied(b0, bytes, start, end);
  }

  /**
   * Sends a frame that other connections send too. It is encoded once for all of them, unless this
   * connection masks or the payload exceeds the largest slab. Behind frames that are not shared, and
   * while the transport is blocked, a short one is copied.
   *
   * @param payload - Never changes.
   */
  shared(b0: number, payload: Uint8Array): Promise<void> {
    const { length } = payload;
    const { shared } = this.owner;
    const alone = shared.nextKey !== undefined || length > LARGEST_SLAB;
    // A transport that calls back within a write may be blocked while a batch is unsent.
    const behind = this.#blocked || (this.batch === undefined && this.unsentBytes > 0);
    if (alone || (behind && length < REFERENCE_FROM)) return this.owned(b0, payload, 0, length);
    const before = behind ? undefined : this.batch;
    const frames = sharedFrames(shared.platform);
    const batch = frames.extend(before, b0, payload);
    const size = batch.size - (before === undefined ? 0 : before.size);
    if (behind) this.referenceShared(batch);
    else {
      this.batch = batch;
      this.unsentBytes = batch.size;
      if (before === undefined) frames.flushAtEndOfTurn(this);
    }
    return this.#paced(size);
  }

  /**
   * Sends whole messages that other connections send too, uncompressed, if this queue is open and
   * has nothing unsent. All connections pass the same array.
   *
   * @returns False when nothing was sent.
   */
  run(messages: readonly PreparedMessage[]): boolean {
    const { owner } = this;
    const { shared } = owner;
    const idle = !this.#blocked && this.unsentBytes === 0 && this.#error === undefined;
    const fits = shared.settings.maxBufferedAmount >= LARGEST_SLAB;
    if (!idle || !fits || shared.nextKey !== undefined) return false;
    const frames = sharedFrames(shared.platform);
    const batch = frames.run(messages);
    if (batch === undefined) return false;
    this.batch = batch;
    this.unsentBytes = batch.size;
    frames.flushAtEndOfTurn(this);
    owner.framesOut += messages.length;
    owner.bytesOut += batch.size;
    this.#turnFrames += messages.length;
    this.#turnBytes += batch.size;
    return true;
  }

  /** Encoding `bytes` by an extension counts as work of this turn. */
  countEncoded(bytes: number): void {
    this.#turnBytes += bytes * ENCODE_COST;
  }

  /** The fragments that were accepted so far belong to an encoded message of several frames. */
  markEncoded(): void {
    this.#encodedEnd = this.owner.bytesOut;
  }

  #reference(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const written = new Deferred<void>();
    const lease = leaseOf(bytes);
    const waiting = this.#waitingWriters();
    const check = watchChanges(bytes, start, end);
    let isReleased = false;
    const release = (): void => {
      // A second release would free bytes that another write still refers to.
      if (isReleased) return;
      isReleased = true;
      if (check !== undefined) this.#rejectIfChanged(written, check);
      lease?.release();
      waiting.released(written);
      this.#countRelease(end - start);
      // A failing transport releases all bytes, then reports its end. When this microtask runs, the
      // write is already rejected.
      void RESOLVED.then(() => {
        waiting.resolveReference(written, this.#afterReleases());
        this.#renewBudget();
      });
    };
    const encoded = this.reference(b0, bytes, start, end, release);
    lease?.pin();
    waiting.reference(written);
    void this.#paced(encoded);
    return written.promise;
  }

  #rejectIfChanged(written: Deferred<void>, check: () => void): void {
    try {
      check();
    } catch (error) {
      written.reject(error);
      this.bytesChanged(error);
    }
  }

  #failIfChanged(check: (() => void) | undefined): void {
    try {
      check?.();
    } catch (error) {
      this.bytesChanged(error);
    }
  }

  /** Ends the connection, because its peer may have wrong bytes of a message. */
  bytesChanged(error: unknown): void {
    if (this.#error === undefined) this.#writeFailed(error);
  }

  /** A transport that releases bytes within `write` waits for no I/O, and a loop would starve it. */
  #countRelease(bytes: number): void {
    this.#releasedBytes = this.#writing ? this.#releasedBytes + bytes : 0;
    this.#releasedFrames = this.#writing ? this.#releasedFrames + 1 : 0;
  }

  /** What a write waits for after its bytes were released: the next turn, when this one is full. */
  #afterReleases(): Promise<void> | undefined {
    if (!isTurnFull(this.#releasedBytes, this.#releasedFrames)) return undefined;
    return this.#waitingWriters().forNextTurn(this.owner.shared.platform, this);
  }

  /** Counts a frame of `encoded` bytes and returns the promise of its writer. */
  #paced(encoded: number): Promise<void> {
    const owner = this.owner;
    owner.framesOut++;
    owner.bytesOut += encoded;
    this.#turnFrames++;
    this.#turnBytes += encoded;
    if (this.unsentBytes >= LARGEST_SLAB) this.#write();
    else if (!this.#blocked && this.batch === undefined) owner.flushAtEndOfTurn();
    if (this.#blocked && this.bufferedAmount >= owner.shared.settings.highWaterMark) {
      return this.#waitingWriters().forDrain();
    }
    if (!isTurnFull(this.#turnBytes, this.#turnFrames)) return RESOLVED;
    return this.#waitingWriters().forNextTurn(owner.shared.platform, this);
  }

  #waitingWriters(): WaitingWriters {
    this.#waiting ??= new WaitingWriters();
    return this.#waiting;
  }

  /** A new turn of the event loop has begun. */
  resetBudget(): void {
    this.#resetTurn();
    this.#releasedBytes = 0;
    this.#releasedFrames = 0;
  }

  /** Allows writers as much as a new turn does. */
  #resetTurn(): void {
    this.#turnBytes = 0;
    this.#turnFrames = 0;
  }

  /** Whether this turn has written enough. */
  get turnFull(): boolean {
    return isTurnFull(this.#turnBytes, this.#turnFrames);
  }

  /** Resets the budget of the turn when all earlier frames are sent and no writer waits. */
  #renewBudget(): void {
    const idle = !this.unsent && !this.#blocked;
    if (idle && (this.#waiting === undefined || this.#waiting.empty)) this.#resetTurn();
  }

  // Limits

  /**
   * Whether `size` more bytes may wait. Writes first when they may not.
   *
   * @param waiting - Bytes that were accepted earlier and are not in this queue yet.
   */
  hasRoom(size: number, waiting: number): boolean {
    const { settings } = this.owner.shared;
    if (!this.#blocked && size + waiting + this.unsentBytes <= settings.maxBufferedAmount) {
      return true;
    }
    this.#write();
    return hasRoom(settings, this.bufferedAmount + waiting, size);
  }

  /** A rejected promise when no message is accepted any more. */
  rejectionIfClosed(): LateRejection | undefined {
    const { error } = this;
    if (error === undefined) return undefined;
    // The write after the deadline ends the connection. The deadline itself does not.
    if (error === this.#expired) this.owner.abort(error);
    // The close has created the error. Its stack must name the late write instead.
    if (error instanceof CloseSentError || error instanceof CloseError) {
      Error.captureStackTrace?.(error);
    }
    return rejectedLater(this.owner.shared.platform, error);
  }

  /** Rejects all later messages and control frames. The first error stays. */
  stopAccepting(error: WebSocketError): void {
    // An expired deadline can be moved and does not stop control frames. After this call neither is
    // possible.
    this.#expired = undefined;
    this.#error ??= error;
  }

  /**
   * The transport will be destroyed: rejects later writes, and those whose bytes it then releases.
   */
  fail(error: WebSocketError): void {
    this.stopAccepting(error);
    this.#waiting?.setReleaseError(this.error);
  }

  /** Whether control frames are accepted. An expired write deadline does not stop them. */
  get open(): boolean {
    return this.#error === undefined || this.#error === this.#expired;
  }

  /**
   * The write deadline has expired: unsent messages and the next one fail with `error`.
   *
   * @param waitingBytes - Bytes that were accepted and are not in this queue yet.
   */
  expire(error: WebSocketError, waitingBytes: number): void {
    if (this.#error !== this.#expired) return;
    this.#expired = error;
    this.#error = error;
    if (this.bufferedAmount + waitingBytes > 0) this.owner.abort(error);
  }

  /** The write deadline was moved: an expired one no longer rejects messages. */
  clearExpired(): void {
    if (this.#error !== this.#expired) return;
    this.#expired = undefined;
    this.#error = undefined;
  }

  // Control frames

  /**
   * Sends a ping or a pong. While the transport is blocked, the frame waits in the control queue.
   * At most one pong of each origin waits.
   *
   * @param own - Whether the library sends the frame. No caller then checks the promise, so a
   *   failure ends the connection. After the close frame the call has no effect.
   */
  control(
    opcode: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    own = false,
  ): Promise<void> {
    if (!this.open) {
      return own ? RESOLVED : rejectedLater(this.owner.shared.platform, this.error);
    }
    // Heartbeat pings do not go between the frames of a compressed message: see `holdsHeartbeat`.
    const follows = own && opcode === PingMessage && this.#holdsEncoded();
    if (this.#blocked && !follows) return this.#enqueueControl(opcode, bytes, start, end, own);
    try {
      this.#count(opcode, this.encode(FIN | opcode, bytes, start, end));
    } catch (error) {
      if (own) this.owner.abort(unwritten(error));
      else this.owner.reportMistake(error, 'writeControl');
      return rejectedLater(this.owner.shared.platform, error);
    }
    if (this.unsentBytes >= LARGEST_SLAB) this.#write();
    else this.owner.flushAtEndOfTurn();
    if (own || !isTurnFull(this.#turnBytes, ++this.#turnFrames)) return RESOLVED;
    return this.#waitingWriters().forNextTurn(this.owner.shared.platform, this);
  }

  /** Whether frames of an encoded message of several frames are unsent. */
  #holdsEncoded(): boolean {
    return this.#encodedEnd > this.owner.bytesOut - this.unsentBytes;
  }

  #enqueueControl(
    opcode: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    own: boolean,
  ): Promise<void> {
    const { maxPendingPings } = this.owner.shared.settings;
    this.#controls ??= new ControlQueue();
    if (this.#controls.add(opcode, bytes, start, end, own, maxPendingPings)) return RESOLVED;
    const error = new BackpressureError(
      `${this.#controlFrames()} pings are already waiting for the peer (option maxPendingPings)`,
    );
    return this.owner.refuse(error, 'writeControl');
  }

  /**
   * Sends the close frame after all accepted frames. The queue accepts no frame after the close
   * frame (RFC 6455, section 5.5.1).
   *
   * @returns False when the frame could not be encoded, for example because the buffer pool failed.
   *   The connection is aborted then.
   */
  close(payload: Uint8Array): boolean {
    try {
      this.#count(CloseMessage, this.encode(FIN | CloseMessage, payload, 0, payload.length));
    } catch (error) {
      const failure = unwritten(error);
      this.#error = failure;
      this.owner.abort(failure);
      return false;
    }
    this.#error = CLOSE_SENT;
    this.owner.flushAtEndOfTurn();
    return true;
  }

  #count(opcode: number, encoded: number): void {
    const owner = this.owner;
    owner.framesOut++;
    if (opcode === PingMessage) owner.pingsOut++;
    owner.bytesOut += encoded;
  }

  // Writing

  /**
   * Hands all frames to the transport until it is blocked. The owner calls it at the end of a turn,
   * so the budget of the turn restarts.
   */
  flush(): void {
    this.#resetTurn();
    this.#write();
  }

  /**
   * The turn in which a batch was shared ends: sends the batch. If the owner flushes later in this
   * turn anyway, the batch waits, so that more frames can be sent in the same write.
   */
  flushBatch(): void {
    this.owner.markReceiver();
    // The batch may have been sent earlier.
    if (this.batch !== undefined && !this.owner.flushScheduled) this.flush();
  }

  /** A received chunk was handled: sends the answers to it at once. */
  endOfChunk(): void {
    if (this.pending) this.flush();
    else this.#renewBudget();
  }

  /** The transport is below its high-water mark again. */
  drained(): void {
    this.#drained = true;
    this.#blocked = false;
    this.#write();
    const full = this.#blocked && this.bufferedAmount >= this.owner.shared.settings.highWaterMark;
    if (!full) this.#waiting?.drained();
    this.#renewBudget();
  }

  /** Resolves at the next drain of a blocked transport; undefined when it is not blocked. */
  untilDrained(): Promise<void> | undefined {
    return this.#blocked ? this.#waitingWriters().forDrain() : undefined;
  }

  /** Ends the transport's writing side after everything that was accepted. */
  end(): void {
    if (this.#end !== OPEN) return;
    this.#end = ENDING;
    this.#write();
  }

  /**
   * Drops the frames that a blocked transport has not taken, and rejects their writers. The rest of
   * a frame that was partly written stays in the queue.
   */
  cut(): void {
    const error = this.#closeSentError();
    this.#write();
    this.#controls = undefined;
    const before = this.#waiting?.setReleaseError(error);
    this.truncate();
    // A transport that has failed within the write above still has the bytes of other writes.
    this.#waiting?.setReleaseError(before);
    this.#waiting?.drained(error);
  }

  /**
   * Rejects every writer and releases all memory, because the transport is closed. `error` is
   * undefined after our close frame.
   */
  destroy(error: WebSocketError | undefined): void {
    if (error !== undefined) this.stopAccepting(error);
    this.#controls = undefined;
    this.#blocked = true;
    this.#waiting?.rejectAll(error ?? this.error!);
    this.discard();
  }

  #write(): void {
    // A transport may call back within `write`. The running loop then sees the change.
    if (this.#writing) return;
    this.#writing = true;
    try {
      // A transport that calls back may add frames behind those that are written now.
      while (!this.#blocked && (this.unsent || this.#controlFrames() > 0)) this.#writeFrames();
      if (this.#end !== ENDING || this.#blocked || this.unsent) return;
      this.#end = ENDED;
      const ended: unknown = this.owner.transport.end();
      this.owner.watchTransport('end', ended);
    } catch (error) {
      // A part of the frame may have been sent, so no frame may follow it.
      this.owner.abort(unwritten(error));
    } finally {
      this.#writing = false;
    }
  }

  #writeFrames(): void {
    if (this.batch !== undefined) return this.#writeBatch(this.batch);
    this.joinTail();
    const { segments, owner } = this;
    const { slab } = owner.shared;
    const waiting = segments === undefined ? 0 : segments.length;
    const several = waiting > 1 || (waiting === 1 && slab.hasFramesOf(this));
    if (several) owner.watchTransport('cork', owner.transport.cork?.());
    // Pings and pongs overtake waiting messages, but never split a frame.
    while (!this.#blocked && segments !== undefined && segments.length > 0) {
      if (segments.peek()!.startsFrame) this.#writeControls();
      if (!this.#blocked) this.#writeSegment();
    }
    if (!this.#blocked) this.#writeControls();
    if (!this.#blocked && slab.hasFramesOf(this)) this.#writeSlab();
    if (several) owner.watchTransport('uncork', owner.transport.uncork?.());
  }

  #writeBatch(batch: Batch): void {
    const { arena, start, end, size } = batch;
    this.batch = undefined;
    this.unsentBytes -= size;
    const { platform } = this.owner.shared;
    if (this.#mayKeep(size, REFERENCE_FROM)) return this.#give(batch.view(platform));
    this.#give(viewOf(platform, copyOf(arena.bytes, start, end), 0, size));
  }

  #writeSlab(): void {
    const { slab, platform } = this.owner.shared;
    const { out, start } = slab;
    const { bytes, pos: end } = out;
    this.unsentBytes -= end - start;
    if (this.#mayKeep(end - start, LEND_FROM)) {
      return this.#give(viewOf(platform, bytes, start, end), slab.lend());
    }
    const copy = copyOf(bytes, start, end);
    slab.drop(this);
    this.#give(viewOf(platform, copy, 0, copy.length), keepMemory);
  }

  /**
   * Whether the transport gets a view of memory that other connections use too. A slow one would keep
   * more memory alive than its bytes, unless they are many.
   */
  #mayKeep(bytes: number, many: number): boolean {
    return this.owner.transport.bufferedAmount === 0 || bytes >= many;
  }

  #writeSegment(): void {
    const { bytes, start, end, release } = this.shift();
    if (end > bytes.byteLength) this.#notWritten(new DetachedBytes(), release);
    else this.#give(viewOf(this.owner.shared.platform, bytes, start, end), release);
  }

  /** A part of a frame may have been sent, so no frame may follow it. */
  #notWritten(cause: unknown, release: (() => void) | undefined): void {
    this.#blocked = true;
    this.#writeFailed(cause);
    // Not before the transport is destroyed, which may still use the bytes.
    release?.();
  }

  #writeFailed(cause: unknown): void {
    const { owner } = this;
    const isMistake = cause instanceof DetachedBytes || cause instanceof ChangedBytes;
    if (isMistake) owner.reportMistake(cause, 'writeMessage');
    if (isMistake) owner.abort(new TransportError(causeText(cause), { cause }));
    else owner.abort(cause instanceof TransportError ? cause : unwritten(cause));
  }

  #writeControls(): void {
    if (this.#controls === undefined) return;
    for (const { opcode, payload } of this.#controls.takeAll()) {
      const frame = encodeFrame(opcode, payload, { maskKey: this.owner.shared.nextKey?.() });
      this.#count(opcode, frame.length);
      this.#give(frame);
    }
  }

  #give(bytes: Uint8Array, release?: () => void): void {
    this.#drained = false;
    try {
      const hasRoom: unknown = this.owner.transport.write(bytes, release);
      if (hasRoom === true) return;
      if (hasRoom !== false) throw badResult(hasRoom);
    } catch (cause) {
      return this.#notWritten(cause, release);
    }
    if (this.#drained) return;
    this.#blocked = true;
    this.#blockedAt = this.owner.shared.platform.now();
    this.#flushedWhenBlocked = this.bytesFlushed;
  }
}

/** The error of a transport whose `write` returned neither true nor false. */
function badResult(result: unknown): TypeError {
  onRejection(result, () => {});
  return new TypeError(`transport.write: expected true or false, got ${kind(result)}`);
}

/** The error of a connection when a frame could not be encoded or the transport threw. */
function unwritten(cause: unknown): TransportError {
  return new TransportError('a frame could not be written', { cause });
}
