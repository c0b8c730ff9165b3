import { CloseMessage, encodeFrame, PingMessage, type WebSocketError } from '@ws/codec';
import { LARGEST_SLAB, type Lease, noRelease } from '@ws/codec/internal';
import { CloseSentError } from '../errors.ts';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';
import { viewOf } from '../platform/platform.ts';
import { type Deferred, RESOLVED, rejected } from '../time/promises.ts';
import { ControlQueue } from '../writing/control-queue.ts';
import { DrainWaits, isTurnFull } from '../writing/drain-waits.ts';
import { DetachedBytes, isChanged } from '../writing/pending-bytes.ts';
import { type Batch, type BatchSender, FIN, REFERENCE_FROM } from '../writing/shared-frames.ts';
import { LEND_FROM, UnsentFrames } from '../writing/unsent-frames.ts';
import { badResult, unwritten, WriteEnd, writeFailure } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import type { MessageEncoder } from './message-encoder.ts';
import { ReferencedWrite } from './referenced-write.ts';

/** Encoding a byte costs up to this many plain writes; compression does. */
const ENCODE_COST = 8;

// States of the transport's writing side.
const OPEN = 0;
/** The writing side ends after all accepted frames. */
const ENDING = 1;
const ENDED = 2;

// States of the write loop.
const IDLE = 0;
const WRITING = 1;
/** The transport has reported a drain since the last write began. */
const DRAINED = 2;

/**
 * The accepted frames of one connection, in their order, and their way to the transport: at the end
 * of a turn, or when they fill a slab. While the transport is above its high-water mark, frames wait
 * here. Pings and pongs then overtake queued messages between two frames.
 */
export abstract class SendQueue extends UnsentFrames implements BatchSender {
  /** Why no message is accepted any more. Only this queue changes it. */
  writeEnd: WriteEnd | undefined;
  /**
   * Whether the transport gets no frame: it is above its high-water mark, or has failed. Only this
   * queue changes it.
   */
  blocked = false;
  protected readonly connection: Connection;
  /** Absent without an extension. */
  abstract readonly encoder: MessageEncoder | undefined;
  /** What waits for the transport or for a turn. The first of them creates it. */
  #waits: DrainWaits | undefined;
  /** Frames of this turn, and the bytes that they cost. */
  #turnFrames = 0;
  #turnBytes = 0;
  #writing: typeof IDLE | typeof WRITING | typeof DRAINED = IDLE;
  #writeSide: typeof OPEN | typeof ENDING | typeof ENDED = OPEN;

  constructor(connection: Connection) {
    const { settings, shared } = connection;
    super(shared.writeMemory(settings).slab, shared.coding);
    this.connection = connection;
  }

  /** Bytes that were accepted and not yet handed to the operating system. */
  get bufferedAmount(): number {
    return this.bytes + this.connection.transport.bufferedAmount;
  }

  /** Bytes of accepted frames that the operating system has. */
  get bytesFlushed(): number {
    return this.connection.bytesOut - this.bufferedAmount;
  }

  /**
   * Since when the transport is blocked and has sent nothing, in ms of the platform's clock.
   * Returns `now` when it is not blocked, or has sent bytes since then.
   */
  stalledSince(now: number): number {
    const waits = this.#waits;
    if (!this.blocked || waits === undefined) return now;
    return this.bytesFlushed === waits.flushedWhenBlocked ? waits.blockedAt : now;
  }

  /**
   * Whether some accepted frames were not yet given to the transport. Pings and pongs in the
   * control queue do not count.
   */
  get unsent(): boolean {
    return this.bytes > 0;
  }

  // Frames

  /** Sends a text message as one frame. */
  textFrame(b0: number, text: string): Promise<void> {
    return this.addedFrame(this.unshared().addText(b0, text));
  }

  /** Sends a frame with a copy of `bytes[start, end)`. */
  copiedFrame(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    return this.addedFrame(this.unshared().addCopy(b0, bytes, start, end));
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
    const references = end - start >= COPY_BELOW && !this.coding.masks;
    if (!references) return this.addedFrame(this.unshared().addCopy(b0, bytes, start, end));
    if (lease === undefined || start !== 0 || !lease.takesHeader(b0)) {
      return this.#reference(b0, bytes, start, end);
    }
    return this.#pinned(b0, lease, end);
  }

  #pinned(b0: number, lease: Lease, length: number): Promise<void> {
    const write = ReferencedWrite.ofLease(this, lease, length);
    const size = this.unshared().addPinned(b0, lease.bytes, length, write.release);
    write.pin();
    return this.addedFrame(size);
  }

  /** Sends a frame with `bytes[start, end)`, which never change. */
  ownedFrame(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    return end - start >= COPY_BELOW && !this.coding.masks
      ? this.addedFrame(this.unshared().addReference(b0, bytes, start, end, noRelease))
      : this.copiedFrame(b0, bytes, start, end);
  }

  /** Makes `batch` of `messages` frames the unsent frames. There are no others. */
  protected shareRun(batch: Batch, messages: number): void {
    const { connection } = this;
    this.share(batch);
    connection.framesOut += messages;
    connection.bytesOut += batch.size;
    this.#turnFrames += messages;
    this.#turnBytes += batch.size;
  }

  /** Encoding `bytes` by an extension counts as work of this turn. */
  countEncoded(bytes: number): void {
    this.#turnBytes += bytes * ENCODE_COST;
  }

  #reference(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const write = ReferencedWrite.ofCaller(this, bytes, start, end);
    const written = write.written!;
    const size = this.unshared().addReference(b0, bytes, start, end, write.release);
    write.pin();
    this.#drainWaits().reference(written);
    void this.addedFrame(size);
    return written.promise;
  }

  /** The transport has released the `bytes` of a referenced write. */
  released(written: Deferred<void>, bytes: number): void {
    const waits = this.#drainWaits();
    waits.released(written, bytes, this.#writing !== IDLE);
    // A failing transport releases all bytes, then reports its end. When this microtask runs, the
    // write is already rejected.
    void RESOLVED.then(() => {
      // A loop of writes that release their bytes at once waits for no I/O.
      waits.settle(written, waits.releasesFillTurn ? this.#nextTurn() : undefined);
      this.#renewBudget();
    });
  }

  /** Ends the connection, because its peer may have wrong bytes of a message. */
  bytesChanged(error: unknown): void {
    if (this.writeEnd === undefined) this.#writeFailed(error);
  }

  /** Counts a frame of `size` bytes and returns the promise of its writer. */
  protected addedFrame(size: number): Promise<void> {
    const connection = this.connection;
    connection.framesOut++;
    connection.bytesOut += size;
    this.#turnFrames++;
    this.#turnBytes += size;
    if (this.bytes >= LARGEST_SLAB) this.pump();
    else if (!this.blocked && this.batch === undefined) connection.scheduleFlush();
    if (this.blocked && this.#writersWait()) return this.#drainWaits().forDrain();
    return isTurnFull(this.#turnBytes, this.#turnFrames) ? this.#nextTurn() : RESOLVED;
  }

  /**
   * Whether writers wait for a drain of the blocked transport. While all connections together have too
   * much, also below the mark: a writer that waits holds no more than its share.
   */
  #writersWait(): boolean {
    const { settings, shared } = this.connection;
    if (this.bufferedAmount >= settings.highWaterMark) return true;
    return shared.platform.writeBudget?.exceeded === true;
  }

  #nextTurn(): Promise<void> {
    return this.#drainWaits().forNextTurn(this.connection.platform, this);
  }

  #drainWaits(): DrainWaits {
    this.#waits ??= new DrainWaits();
    return this.#waits;
  }

  /** A new turn of the event loop has begun. */
  resetBudget(): void {
    this.#resetTurn();
    this.#waits?.resetReleases();
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
    if (this.unsent || this.blocked || this.#waits?.empty === false) return;
    this.#resetTurn();
  }

  // The end of writing

  /** Rejects all later messages and control frames. The first error stays. */
  stopAccepting(error: WebSocketError): void {
    // An expired deadline can be moved and does not stop control frames. After this call neither is
    // possible.
    if (!this.open) return;
    this.writeEnd = WriteEnd.ofError(this.writeEnd?.error ?? error);
    this.connection.rare?.noteWriteEnd();
  }

  /**
   * The transport will be destroyed: rejects later writes, and those whose bytes it then releases.
   */
  fail(error: WebSocketError): void {
    this.stopAccepting(error);
    this.#waits?.setReleaseError(this.writeEnd!.error);
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
    if (this.bufferedAmount + waitingBytes > 0) this.connection.abort(error);
  }

  /** The write deadline was moved: an expired one no longer rejects messages. */
  clearExpired(): void {
    if (this.open) this.writeEnd = undefined;
  }

  /** The end by our close frame, also before it is sent: rejected writes have the same error. */
  #endOfCloseFrame(): WriteEnd {
    const { outcome } = this.connection.closingOrNew();
    outcome.writeEnd ??= WriteEnd.ofCloseFrame();
    return outcome.writeEnd;
  }

  /** Whether `error` is the one with which writes reject after the close frame. */
  isCloseSent(error: unknown): boolean {
    const writeEnd = this.connection.closing?.outcome.writeEnd;
    return error instanceof CloseSentError && error === writeEnd?.error;
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
      return own ? RESOLVED : rejected(this.writeEnd!.error);
    }
    // Heartbeat pings do not go between the frames of a compressed message: see `heartbeat.ts`.
    const follows = own && opcode === PingMessage && this.encoder?.isUnsent === true;
    if (this.blocked && !follows) return this.#enqueueControl(opcode, bytes, start, end, own);
    try {
      this.#count(opcode, this.unshared().addCopy(FIN | opcode, bytes, start, end));
    } catch (error) {
      if (own) this.connection.abort(unwritten(error));
      else this.connection.reportMistake(error, 'writeControl');
      return rejected(error, this.connection);
    }
    if (this.bytes >= LARGEST_SLAB) this.pump();
    else this.connection.scheduleFlush();
    if (own || !isTurnFull(this.#turnBytes, ++this.#turnFrames)) return RESOLVED;
    return this.#nextTurn();
  }

  #enqueueControl(
    opcode: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    own: boolean,
  ): Promise<void> {
    const waits = this.#drainWaits();
    waits.controls ??= new ControlQueue();
    const error = waits.controls.add(opcode, bytes, start, end, own);
    if (error === undefined) return RESOLVED;
    return this.connection.rareParts().refuse(error, 'writeControl');
  }

  /**
   * Sends the close frame after all accepted frames. The queue accepts no frame after the close
   * frame (RFC 6455, section 5.5.1).
   *
   * @returns False when the frame could not be encoded, for example because the buffer pool failed.
   *   The connection is aborted then.
   */
  closeFrame(payload: Uint8Array): boolean {
    try {
      this.#count(
        CloseMessage,
        this.unshared().addCopy(FIN | CloseMessage, payload, 0, payload.length),
      );
    } catch (error) {
      this.connection.abort(unwritten(error));
      return false;
    }
    this.writeEnd = this.#endOfCloseFrame();
    this.connection.rare?.noteWriteEnd();
    this.connection.scheduleFlush();
    return true;
  }

  #count(opcode: number, encoded: number): void {
    const connection = this.connection;
    connection.framesOut++;
    if (opcode === PingMessage) connection.rareParts().pingsOut++;
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
    const { awaitsTurn, inbound } = this.connection;
    if (this.unsent && !awaitsTurn && !inbound.inPass) this.flush();
  }

  /** A pass of the input has ended: sends what was written in it at once. */
  passEnded(): void {
    if (this.bytes > 0 && !this.blocked) this.flush();
    else this.#renewBudget();
  }

  /** The transport is below its high-water mark again. */
  drained(): void {
    if (this.#writing !== IDLE) this.#writing = DRAINED;
    this.blocked = false;
    this.pump();
    if (!this.blocked || !this.#writersWait()) this.#waits?.drained();
    this.reportToBudget();
    this.#renewBudget();
  }

  /** Resolves at the next drain of a blocked transport; undefined when it is not blocked. */
  untilDrained(): Promise<void> | undefined {
    return this.blocked ? this.#drainWaits().forDrain() : undefined;
  }

  /** Ends the transport's writing side after everything that was accepted. */
  end(): void {
    if (this.#writeSide !== OPEN) return;
    this.#writeSide = ENDING;
    this.pump();
  }

  /**
   * Drops the frames that a blocked transport has not taken, and rejects their writers. The rest of
   * a frame that was partly written stays in the queue.
   */
  cut(): void {
    const { error } = this.#endOfCloseFrame();
    this.pump();
    const waits = this.#waits;
    if (waits !== undefined) waits.controls = undefined;
    const before = waits?.setReleaseError(error);
    this.truncate();
    // A transport that has failed within the write above still has the bytes of other writes.
    waits?.setReleaseError(before);
    waits?.drained(error);
  }

  /**
   * Rejects every writer and releases all memory, because the transport is closed. `error` is
   * undefined after our close frame.
   */
  rejectAll(error: WebSocketError | undefined): void {
    if (error !== undefined) this.stopAccepting(error);
    this.blocked = true;
    this.#waits?.rejectAll(error ?? this.writeEnd!.error);
    this.discard();
  }

  /** Hands all frames to the transport until it is blocked. */
  pump(): void {
    // A transport may call back within `write`. The running loop then sees the change.
    if (this.#writing !== IDLE) return;
    this.#writing = WRITING;
    try {
      // A transport that calls back may add frames after the current ones.
      while (!this.blocked && (this.bytes > 0 || this.#waits?.controls !== undefined)) {
        const inSegments = this.first !== undefined || this.#waits?.controls !== undefined;
        if (this.batch !== undefined) this.#writeBatch();
        else if (inSegments) this.#writeSegments();
        else this.#writeSlab();
      }
      if (this.#writeSide === ENDING && !this.blocked && this.bytes === 0) this.#endTransport();
    } catch (error) {
      // A part of the frame may have been sent, so no frame may follow it.
      this.connection.abort(unwritten(error));
    } finally {
      this.#writing = IDLE;
    }
  }

  #endTransport(): void {
    this.#writeSide = ENDED;
    const ended: unknown = this.connection.transport.end();
    this.connection.watchTransport('end', ended);
  }

  #writeBatch(): void {
    const { platform } = this.connection.shared;
    const batch = this.takeBatch();
    const { arena, start, end, size } = batch;
    if (this.#lendsView(size, REFERENCE_FROM)) return this.#give(batch.view(platform));
    this.#give(viewOf(platform, copyOf(arena.bytes, start, end), 0, size));
  }

  #writeSegments(): void {
    const { transport } = this.connection;
    this.joinTail();
    const { first } = this;
    const several =
      first !== undefined && (first.next !== undefined || this.slab.hasFramesOf(this));
    if (several) this.connection.watchTransport('cork', transport.cork?.());
    // Pings and pongs overtake waiting messages, but never split a frame.
    while (!this.blocked && this.first !== undefined) {
      if (this.first.startsFrame) this.#writeControls();
      if (!this.blocked) this.#writeSegment();
    }
    if (!this.blocked) this.#writeControls();
    if (!this.blocked) this.#writeSlab();
    if (several) this.connection.watchTransport('uncork', transport.uncork?.());
  }

  #writeSlab(): void {
    const { slab } = this;
    const { platform } = this.connection.shared;
    if (!slab.hasFramesOf(this)) return;
    const { out, start } = slab;
    const { bytes, pos: end } = out;
    if (this.#lendsView(end - start, LEND_FROM)) {
      return this.#give(viewOf(platform, bytes, start, end), this.lendSlab());
    }
    const copy = this.copySlab();
    this.#give(viewOf(platform, copy, 0, copy.length), noRelease);
  }

  /**
   * Whether the transport gets a view of memory that other connections use too. A slow one would keep
   * more memory alive than its bytes, unless they are `from` or more.
   */
  #lendsView(size: number, from: number): boolean {
    return this.connection.transport.bufferedAmount === 0 || size >= from;
  }

  #writeSegment(): void {
    const { bytes, start, end, release } = this.shift();
    if (end > bytes.byteLength) this.#notWritten(new DetachedBytes(), release);
    else this.#give(viewOf(this.connection.shared.platform, bytes, start, end), release);
  }

  /** A part of a frame may have been sent, so no frame may follow it. */
  #notWritten(cause: unknown, release: (() => void) | undefined): void {
    this.blocked = true;
    this.#writeFailed(cause);
    // Not before the transport is destroyed, which may still use the bytes.
    release?.();
  }

  #writeFailed(cause: unknown): void {
    if (isChanged(cause)) this.connection.reportMistake(cause, 'writeMessage');
    this.connection.abort(writeFailure(cause));
  }

  #writeControls(): void {
    const waits = this.#waits;
    const controls = waits?.controls;
    if (controls === undefined) return;
    waits!.controls = undefined;
    for (const { opcode, payload } of controls.takeAll()) {
      const maskKey = this.coding.masks ? this.nextKey() : undefined;
      const frame = encodeFrame(opcode, payload, { maskKey });
      this.#count(opcode, frame.length);
      this.#give(frame);
    }
  }

  #give(bytes: Uint8Array, release?: () => void): void {
    this.#writing = WRITING;
    try {
      const takesMore: unknown = this.connection.transport.write(bytes, release);
      if (takesMore === true) return;
      if (takesMore !== false) throw badResult(takesMore);
    } catch (cause) {
      return this.#notWritten(cause, release);
    }
    if (this.#hasDrained()) return;
    this.blocked = true;
    const waits = this.#drainWaits();
    waits.blockedAt = this.connection.platform.now();
    waits.flushedWhenBlocked = this.bytesFlushed;
    this.reportToBudget();
  }

  /** Whether the transport has reported a drain within its `write`. */
  #hasDrained(): boolean {
    return this.#writing === DRAINED;
  }

  /** The bytes that wait in this connection have changed. */
  reportToBudget(): void {
    this.connection.platform.writeBudget?.count(this.connection);
  }
}
