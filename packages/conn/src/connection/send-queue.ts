import { CloseMessage, encodeFrame, PingMessage, type WebSocketError } from '@ws/codec';
import { keepMemory, LARGEST_SLAB, type Lease } from '@ws/codec/internal';
import { CloseSentError } from '../errors.ts';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import { viewOf } from '../platform/platform.ts';
import { type Deferred, RESOLVED } from '../time/promises.ts';
import { rejectedLater } from '../time/refusal.ts';
import { isTurnFull, WritePromises } from '../writing/backpressure.ts';
import { ControlQueue } from '../writing/control-queue.ts';
import { DetachedBytes, isChanged } from '../writing/pending-bytes.ts';
import type { PreparedMessage } from '../writing/prepared-message.ts';
import { type BatchSender, FIN, REFERENCE_FROM, sharedFrames } from '../writing/shared-frames.ts';
import { LEND_FROM, UnsentFrames } from '../writing/unsent-frames.ts';
import { badResult, unwritten, WriteEnd, writeFailure } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { ReferencedWrite } from './referenced-write.ts';

/** To encode a byte takes at most as long as to write this many plain bytes. To compress it does. */
const ENCODE_COST = 8;

// States of the transport's writing side.
const OPEN = 0;
/** The writing side ends after all accepted frames. */
const ENDING = 1;
const ENDED = 2;

/**
 * The accepted frames of one connection, in their order. The queue collects frames in slabs and
 * hands them to the transport at the end of a turn, or when they fill a slab. While the transport is
 * above its high-water mark, frames wait here. Pings and pongs then overtake queued messages between
 * two frames.
 */
export class SendQueue implements BatchSender {
  readonly #connection: Connection;
  /** The accepted frames that the transport does not have yet. */
  readonly frames: UnsentFrames;
  /** Why no message is accepted any more. Only this queue changes it. */
  writeEnd: WriteEnd | undefined;
  /**
   * Whether the transport gets no frame: it is above its high-water mark, or has failed. Only this
   * queue changes it.
   */
  blocked = false;
  /** When the transport was blocked last, in ms of the platform's clock. */
  #blockedAt = 0;
  /** {@link bytesFlushed} at that time. */
  #flushedWhenBlocked = 0;
  /** Whether the write loop runs. */
  #writing = false;
  /** The transport reported a drain since the last write began. */
  #drained = false;
  /** Pings and pongs that wait for a blocked transport. */
  #controls: ControlQueue | undefined;
  #waiting: WritePromises | undefined;
  /** Frames of this turn, and the bytes that they cost. */
  #turnFrames = 0;
  #turnBytes = 0;
  /** {@link Connection.bytesOut} after the last frame of an encoded message of several frames. */
  #encodedEnd = 0;
  /** The end by our close frame, also before it is sent: rejected writes have the same error. */
  #closeFrameEnd: WriteEnd | undefined;
  #end: typeof OPEN | typeof ENDING | typeof ENDED = OPEN;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.frames = new UnsentFrames(connection.shared.slab, connection.shared);
  }

  /** Bytes that were accepted and not yet handed to the operating system. */
  get bufferedAmount(): number {
    return this.frames.bytes + this.#connection.transport.bufferedAmount;
  }

  /** Bytes of accepted frames that the operating system has. */
  get bytesFlushed(): number {
    return this.#connection.bytesOut - this.bufferedAmount;
  }

  /**
   * Since when the transport is blocked and has sent nothing, in ms of the platform's clock.
   * Returns `now` when it is not blocked, or has sent bytes since then.
   */
  stalledSince(now: number): number {
    return this.blocked && this.bytesFlushed === this.#flushedWhenBlocked ? this.#blockedAt : now;
  }

  /**
   * Whether some accepted frames were not yet given to the transport. Pings and pongs in the
   * control queue do not count.
   */
  get unsent(): boolean {
    return this.frames.bytes > 0;
  }

  // Frames

  /** Sends a text message as one frame. */
  textFrame(opcode: DataType, text: string): Promise<void> {
    return this.#addedFrame(this.frames.alone().addText(FIN | opcode, text));
  }

  /** Sends a frame with a copy of `bytes[start, end)`. */
  copiedFrame(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    return this.#addedFrame(this.frames.alone().addCopy(b0, bytes, start, end));
  }

  /**
   * Sends a frame with `bytes[start, end)` of a caller. A server references {@link COPY_BELOW} bytes
   * and more: the promise then waits until the transport has released them.
   *
   * @param lease - The memory of a borrowed message with these bytes. A pin keeps it, so the promise
   *   does not wait.
   */
  callerFrame(
    b0: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    lease: Lease | undefined,
  ): Promise<void> {
    const references = end - start >= COPY_BELOW && this.#connection.shared.nextKey === undefined;
    if (!references) return this.#addedFrame(this.frames.alone().addCopy(b0, bytes, start, end));
    if (lease === undefined || start !== 0 || !lease.takesHeader(b0)) {
      return this.#reference(b0, bytes, start, end);
    }
    return this.#pinned(b0, lease, end);
  }

  #pinned(b0: number, lease: Lease, length: number): Promise<void> {
    const write = ReferencedWrite.ofLease(this, lease, length);
    const size = this.frames.alone().addPinned(b0, lease.bytes, length, write.release);
    write.pin();
    return this.#addedFrame(size);
  }

  /** Sends a frame with `bytes[start, end)`, which never change. */
  ownedFrame(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    return end - start >= COPY_BELOW && this.#connection.shared.nextKey === undefined
      ? this.#addedFrame(this.frames.alone().addReference(b0, bytes, start, end, keepMemory))
      : this.copiedFrame(b0, bytes, start, end);
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
    const { frames } = this;
    const { shared } = this.#connection;
    const alone = shared.nextKey !== undefined || length > LARGEST_SLAB;
    // A transport that calls back within a write may be blocked while a batch is unsent.
    const behind = this.blocked || (frames.batch === undefined && frames.bytes > 0);
    if (alone || (behind && length < REFERENCE_FROM)) {
      return this.ownedFrame(b0, payload, 0, length);
    }
    const before = behind ? undefined : frames.batch;
    const turn = sharedFrames(shared.platform);
    const batch = turn.extend(before, b0, payload);
    const size = batch.size - (before === undefined ? 0 : before.size);
    if (behind) frames.alone().addShared(batch);
    else {
      frames.share(batch);
      if (before === undefined) turn.flushAtEndOfTurn(this);
    }
    return this.#addedFrame(size);
  }

  /**
   * Sends whole messages that other connections send too, uncompressed, if this queue is open and
   * has nothing unsent. All connections pass the same array.
   *
   * @returns False when nothing was sent.
   */
  sharedRun(messages: readonly PreparedMessage[]): boolean {
    const connection = this.#connection;
    const { shared } = connection;
    const idle = !this.blocked && !this.unsent && this.writeEnd === undefined;
    const fits = shared.settings.maxBufferedAmount >= LARGEST_SLAB;
    if (!idle || !fits || shared.nextKey !== undefined) return false;
    const turn = sharedFrames(shared.platform);
    const batch = turn.run(messages);
    if (batch === undefined) return false;
    this.frames.share(batch);
    turn.flushAtEndOfTurn(this);
    connection.framesOut += messages.length;
    connection.bytesOut += batch.size;
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
    this.#encodedEnd = this.#connection.bytesOut;
  }

  #reference(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const write = ReferencedWrite.ofCaller(this, bytes, start, end);
    const written = write.written!;
    const size = this.frames.alone().addReference(b0, bytes, start, end, write.release);
    write.pin();
    this.#waitingWriters().reference(written);
    void this.#addedFrame(size);
    return written.promise;
  }

  /** The transport has released the `bytes` of a referenced write. */
  released(written: Deferred<void>, bytes: number): void {
    const waiting = this.#waitingWriters();
    waiting.released(written, bytes, this.#writing);
    // A failing transport releases all bytes, then reports its end. When this microtask runs, the
    // write is already rejected.
    void RESOLVED.then(() => {
      // A loop of writes whose bytes are released at once waits for no I/O.
      waiting.settle(written, waiting.releasesFillTurn ? this.#nextTurn() : undefined);
      this.#renewBudget();
    });
  }

  /** Ends the connection, because its peer may have wrong bytes of a message. */
  bytesChanged(error: unknown): void {
    if (this.writeEnd === undefined) this.#writeFailed(error);
  }

  /** Counts a frame of `size` bytes and returns the promise of its writer. */
  #addedFrame(size: number): Promise<void> {
    const connection = this.#connection;
    connection.framesOut++;
    connection.bytesOut += size;
    this.#turnFrames++;
    this.#turnBytes += size;
    if (this.frames.bytes >= LARGEST_SLAB) this.pump();
    else if (!this.blocked && this.frames.batch === undefined) connection.flushAtEndOfTurn();
    if (this.blocked && this.bufferedAmount >= connection.shared.settings.highWaterMark) {
      return this.#waitingWriters().forDrain();
    }
    return isTurnFull(this.#turnBytes, this.#turnFrames) ? this.#nextTurn() : RESOLVED;
  }

  #nextTurn(): Promise<void> {
    return this.#waitingWriters().forNextTurn(this.#connection.platform, this);
  }

  #waitingWriters(): WritePromises {
    this.#waiting ??= new WritePromises();
    return this.#waiting;
  }

  /** A new turn of the event loop has begun. */
  resetBudget(): void {
    this.#resetTurn();
    this.#waiting?.resetReleases();
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
    if (this.unsent || this.blocked || this.#waiting?.empty === false) return;
    this.#resetTurn();
  }

  // The end of writing

  /** Rejects all later messages and control frames. The first error stays. */
  stopAccepting(error: WebSocketError): void {
    // An expired deadline can be moved and does not stop control frames. After this call neither is
    // possible.
    if (!this.open) return;
    this.writeEnd = WriteEnd.ofError(this.writeEnd?.error ?? error);
    this.#connection.writesEnded();
  }

  /**
   * The transport will be destroyed: rejects later writes, and those whose bytes it then releases.
   */
  fail(error: WebSocketError): void {
    this.stopAccepting(error);
    this.#waiting?.setReleaseError(this.writeEnd!.error);
  }

  /** Whether control frames are accepted. An expired write deadline does not stop them. */
  get open(): boolean {
    return this.writeEnd === undefined || this.writeEnd.expired;
  }

  /**
   * The write deadline has expired: unsent messages and the next one fail with `error`.
   *
   * @param waitingBytes - Bytes that were accepted and are not in this queue yet.
   */
  expire(error: WebSocketError, waitingBytes: number): void {
    if (!this.open) return;
    this.writeEnd = WriteEnd.ofDeadline(error);
    if (this.bufferedAmount + waitingBytes > 0) this.#connection.abort(error);
  }

  /** The write deadline was moved: an expired one no longer rejects messages. */
  clearExpired(): void {
    if (this.open) this.writeEnd = undefined;
  }

  #endOfCloseFrame(): WriteEnd {
    this.#closeFrameEnd ??= WriteEnd.ofCloseFrame();
    return this.#closeFrameEnd;
  }

  /** Whether `error` is the one with which this queue rejects writes after the close frame. */
  isCloseSent(error: unknown): boolean {
    return error instanceof CloseSentError && error === this.#closeFrameEnd?.error;
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
      return own ? RESOLVED : rejectedLater(this.#connection.platform, this.writeEnd!.error);
    }
    // Heartbeat pings do not go between the frames of a compressed message: see `HeartbeatMonitor`.
    const follows = own && opcode === PingMessage && this.#holdsEncoded();
    if (this.blocked && !follows) return this.#enqueueControl(opcode, bytes, start, end, own);
    try {
      this.#count(opcode, this.frames.alone().addCopy(FIN | opcode, bytes, start, end));
    } catch (error) {
      if (own) this.#connection.abort(unwritten(error));
      else this.#connection.reportMistake(error, 'writeControl');
      return rejectedLater(this.#connection.platform, error);
    }
    if (this.frames.bytes >= LARGEST_SLAB) this.pump();
    else this.#connection.flushAtEndOfTurn();
    if (own || !isTurnFull(this.#turnBytes, ++this.#turnFrames)) return RESOLVED;
    return this.#nextTurn();
  }

  /** Whether frames of an encoded message of several frames are unsent. */
  #holdsEncoded(): boolean {
    return this.#encodedEnd > this.#connection.bytesOut - this.frames.bytes;
  }

  #enqueueControl(
    opcode: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    own: boolean,
  ): Promise<void> {
    const { maxPendingPings } = this.#connection.shared.settings;
    this.#controls ??= new ControlQueue();
    const error = this.#controls.add(opcode, bytes, start, end, own, maxPendingPings);
    if (error === undefined) return RESOLVED;
    return this.#connection.refuse(error, 'writeControl');
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
      this.#count(
        CloseMessage,
        this.frames.alone().addCopy(FIN | CloseMessage, payload, 0, payload.length),
      );
    } catch (error) {
      this.#connection.abort(unwritten(error));
      return false;
    }
    this.writeEnd = this.#endOfCloseFrame();
    this.#connection.writesEnded();
    this.#connection.flushAtEndOfTurn();
    return true;
  }

  #count(opcode: number, encoded: number): void {
    const connection = this.#connection;
    connection.framesOut++;
    if (opcode === PingMessage) connection.pingsOut++;
    connection.bytesOut += encoded;
  }

  // Writing

  /**
   * Hands all frames to the transport until it is blocked. The connection calls it at the end of a
   * turn, so the budget of the turn restarts.
   */
  flush(): void {
    this.#turnBytes = 0;
    this.#turnFrames = 0;
    this.pump();
  }

  /**
   * The turn in which a batch was shared ends: sends the batch. If the connection flushes later in
   * this turn anyway, the batch waits, so that more frames can be sent in the same write.
   */
  flushBatch(): void {
    // The batch may have been sent earlier. If the frame after it could not be encoded, the batch was
    // copied, and no flush is scheduled.
    if (this.unsent && !this.#connection.flushScheduled) this.flush();
  }

  /** A pass of the input has ended: sends what was written in it at once. */
  endOfPass(): void {
    if (this.frames.bytes > 0 && !this.blocked) this.flush();
    else this.#renewBudget();
  }

  /** The transport is below its high-water mark again. */
  drained(): void {
    this.#drained = true;
    this.blocked = false;
    this.pump();
    const { highWaterMark } = this.#connection.settings;
    const full = this.blocked && this.bufferedAmount >= highWaterMark;
    if (!full) this.#waiting?.drained();
    this.#connection.countWaiting();
    this.#renewBudget();
  }

  /** Resolves at the next drain of a blocked transport; undefined when it is not blocked. */
  untilDrained(): Promise<void> | undefined {
    return this.blocked ? this.#waitingWriters().forDrain() : undefined;
  }

  /** Ends the transport's writing side after everything that was accepted. */
  end(): void {
    if (this.#end !== OPEN) return;
    this.#end = ENDING;
    this.pump();
  }

  /**
   * Drops the frames that a blocked transport has not taken, and rejects their writers. The rest of
   * a frame that was partly written stays in the queue.
   */
  cut(): void {
    const { error } = this.#endOfCloseFrame();
    this.pump();
    this.#controls = undefined;
    const before = this.#waiting?.setReleaseError(error);
    this.frames.truncate();
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
    this.blocked = true;
    this.#waiting?.rejectAll(error ?? this.writeEnd!.error);
    this.frames.discard();
  }

  /** Hands all frames to the transport until it is blocked. */
  pump(): void {
    // A transport may call back within `write`. The running loop then sees the change.
    if (this.#writing) return;
    this.#writing = true;
    try {
      // A transport that calls back may add frames behind those that are written now.
      while (!this.blocked && (this.frames.bytes > 0 || this.#controls !== undefined)) {
        this.#writeFrames();
      }
      if (this.#end === ENDING && !this.blocked && this.frames.bytes === 0) this.#endTransport();
    } catch (error) {
      // A part of the frame may have been sent, so no frame may follow it.
      this.#connection.abort(unwritten(error));
    } finally {
      this.#writing = false;
    }
  }

  #endTransport(): void {
    this.#end = ENDED;
    const ended: unknown = this.#connection.transport.end();
    this.#connection.watchTransport('end', ended);
  }

  #writeFrames(): void {
    const { first, batch } = this.frames;
    if (batch !== undefined) this.#writeBatch();
    else if (this.#controls === undefined && first === undefined) {
      // Nearly always.
      this.#writeSlab();
    } else this.#writeSegments();
  }

  #writeBatch(): void {
    const { platform } = this.#connection.shared;
    const batch = this.frames.takeBatch();
    const { arena, start, end, size } = batch;
    if (this.#mayKeep(size, REFERENCE_FROM)) return this.#give(batch.view(platform));
    this.#give(viewOf(platform, copyOf(arena.bytes, start, end), 0, size));
  }

  #writeSegments(): void {
    const { frames } = this;
    const { shared, transport } = this.#connection;
    frames.joinTail();
    const { first } = frames;
    const several =
      first !== undefined && (first.next !== undefined || shared.slab.hasFramesOf(frames));
    if (several) this.#connection.watchTransport('cork', transport.cork?.());
    // Pings and pongs overtake waiting messages, but never split a frame.
    while (!this.blocked && frames.first !== undefined) {
      if (frames.first.startsFrame) this.#writeControls();
      if (!this.blocked) this.#writeSegment();
    }
    if (!this.blocked) this.#writeControls();
    if (!this.blocked) this.#writeSlab();
    if (several) this.#connection.watchTransport('uncork', transport.uncork?.());
  }

  #writeSlab(): void {
    const { slab, platform } = this.#connection.shared;
    const { frames } = this;
    if (!slab.hasFramesOf(frames)) return;
    const { out, start } = slab;
    const { bytes, pos: end } = out;
    if (this.#mayKeep(end - start, LEND_FROM)) {
      return this.#give(viewOf(platform, bytes, start, end), frames.lendSlab());
    }
    const copy = frames.copySlab();
    this.#give(viewOf(platform, copy, 0, copy.length), keepMemory);
  }

  /**
   * Whether the transport gets a view of memory that other connections use too. A slow one would keep
   * more memory alive than its bytes, unless they are many.
   */
  #mayKeep(bytes: number, many: number): boolean {
    return this.#connection.transport.bufferedAmount === 0 || bytes >= many;
  }

  #writeSegment(): void {
    const { bytes, start, end, release } = this.frames.shift();
    if (end > bytes.byteLength) this.#notWritten(new DetachedBytes(), release);
    else this.#give(viewOf(this.#connection.shared.platform, bytes, start, end), release);
  }

  /** A part of a frame may have been sent, so no frame may follow it. */
  #notWritten(cause: unknown, release: (() => void) | undefined): void {
    this.blocked = true;
    this.#writeFailed(cause);
    // Not before the transport is destroyed, which may still use the bytes.
    release?.();
  }

  #writeFailed(cause: unknown): void {
    if (isChanged(cause)) this.#connection.reportMistake(cause, 'writeMessage');
    this.#connection.abort(writeFailure(cause));
  }

  #writeControls(): void {
    const controls = this.#controls;
    if (controls === undefined) return;
    this.#controls = undefined;
    for (const { opcode, payload } of controls.takeAll()) {
      const frame = encodeFrame(opcode, payload, { maskKey: this.#connection.shared.nextKey?.() });
      this.#count(opcode, frame.length);
      this.#give(frame);
    }
  }

  #give(bytes: Uint8Array, release?: () => void): void {
    this.#drained = false;
    try {
      const hasRoom: unknown = this.#connection.transport.write(bytes, release);
      if (hasRoom === true) return;
      if (hasRoom !== false) throw badResult(hasRoom);
    } catch (cause) {
      return this.#notWritten(cause, release);
    }
    if (this.#drained) return;
    this.blocked = true;
    this.#blockedAt = this.#connection.shared.platform.now();
    this.#flushedWhenBlocked = this.bytesFlushed;
    this.#connection.countWaiting();
  }
}
