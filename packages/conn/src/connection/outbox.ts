import { encodeFrame, PingMessage, PongMessage, type WebSocketError } from '@ws/codec';
import {
  type Batch,
  type FrameQueue,
  LARGEST_SLAB,
  lengthOf,
  type Machine,
  revoke,
} from '@ws/codec/internal';
import { viewOf } from '../platform/platform.ts';
import { LONG_TURN } from '../scheduler/task-queue.ts';
import { type Deferred, RESOLVED, rejected } from '../time/promises.ts';
import { withinLimit } from '../writing/buffer-limits.ts';
import { DrainWaits, isTurnFull, TURN_BYTES, TURN_FRAMES } from '../writing/drain-waits.ts';
import { FIN } from '../writing/fragments.ts';
import { PendingBytesMistake } from '../writing/pending-bytes.ts';
import { type BatchSender, bytesOfBatch } from '../writing/shared-frames.ts';
import { badWriteResult, notWritten, type WriteEnd, writeFailure } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { fragments, observeMessage } from './messages.ts';
import { Progress } from './progress.ts';
import { readProgress } from './read-ahead.ts';
import { LEND_FROM } from './shared.ts';
import { WriteQueue } from './write-queue.ts';

/** Encoding a byte, for example with compression, takes as long as writing up to this many bytes. */
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
 * What one connection sends: checks the limits, keeps the accepted frames, and gives them to the transport
 * at the end of a turn or when they fill a slab. While the transport is above its high-water mark, frames
 * wait. Pings and pongs then overtake queued messages between two frames. `messages.ts` makes the frames.
 */
export class Outbox implements BatchSender {
  /** The accepted frames that the transport does not have. */
  readonly frames: FrameQueue;
  /** The calls that wait for an earlier message. Created on first use. */
  queue: WriteQueue | undefined;
  /** If set, messages reject with its error. Set by this class, and by the write deadline. */
  writeEnd: WriteEnd | undefined;
  readonly #connection: Connection;
  /** The machine is `blocked` while the transport is above its high-water mark, or has failed. */
  readonly #machine: Machine;
  /** The writes that wait for the transport or for a later turn. Created on first use. */
  #waits: DrainWaits | undefined;
  /** How the peer takes bytes since the transport was last blocked. */
  #sinceBlocked: Progress | undefined;
  /** Number of frames of this turn, and of their bytes. Encoded bytes count {@link ENCODE_COST} times. */
  #turnFrames = 0;
  #turnBytes = 0;
  #writing: typeof IDLE | typeof WRITING | typeof DRAINED = IDLE;
  #writeSide: typeof OPEN | typeof ENDING | typeof ENDED = OPEN;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#machine = connection.machine;
    this.frames = connection.machine.out;
  }

  queueOrNew(): WriteQueue {
    this.queue ??= new WriteQueue(this.#connection);
    return this.queue;
  }

  /** Bytes that count against the limits: the buffered bytes, and a cost for each waiting write. */
  get charged(): number {
    return this.bufferedAmount + (this.queue?.cost ?? 0);
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
    return this.#connection.controlOrNew().writesOrNew().refuseMessage(this.charged, size, text);
  }

  /**
   * Makes room for a message of `size` bytes: if necessary, gives frames to the transport.
   *
   * @returns Whether the message would be accepted now.
   */
  flushForRoom(size: number): boolean {
    if (this.writeEnd !== undefined) return false;
    const { queue } = this;
    const { machine, settings } = this.#connection;
    const cost = queue === undefined ? 0 : queue.cost;
    const buffered = size + cost + this.frames.bytes;
    const isFull = machine.blocked || buffered > settings.maxBufferedAmount;
    // Repeats a check of `withinTotal`, because a call would cost each message.
    if (!isFull && cost === 0 && buffered <= settings.highWaterMark) return true;
    if (isFull || cost > 0) {
      if (isFull) this.pump();
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
    const mustWait = this.#machine.blocked && !this.#connection.transportClosed;
    return mustWait ? this.#drainWaits().forDrain() : undefined;
  }

  /** Bytes of accepted frames that the operating system does not have yet. */
  get bufferedAmount(): number {
    return this.frames.bytes + this.#connection.transport.bufferedAmount;
  }

  /** Bytes of accepted frames that the operating system has. */
  get bytesFlushed(): number {
    return this.#machine.bytesOut - this.bufferedAmount;
  }

  /** Whether the transport is blocked, or at least `highWaterMark` bytes are buffered. */
  get isSlow(): boolean {
    return this.#machine.blocked || this.bufferedAmount >= this.#connection.settings.highWaterMark;
  }

  /** Since when the transport is blocked and has sent nothing, in ms of the platform's clock. Else `now`. */
  stalledSince(now: number): number {
    const blocked = this.#machine.blocked ? this.#sinceBlocked : undefined;
    blocked?.look(now, this.bytesFlushed);
    return blocked?.grownAt ?? now;
  }

  // Frames

  /** Sends a frame with a copy of `bytes[start, end)`. The first byte of its header is `b0`. */
  copiedFrame(b0: number, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const connection = this.#connection;
    if (end - start > connection.settings.writing.fragmentationThreshold) {
      return fragments(connection, b0, viewOf(connection.platform, bytes, start, end));
    }
    return this.added(this.frames.addCopy(b0, bytes, start, end));
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

  /** Counts `count` queued frames with `size` bytes in all. Returns the promise of their write. */
  added(size: number, count = 1): Promise<void> {
    const connection = this.#connection;
    const { frames } = this;
    this.#machine.framesOut += count;
    this.#machine.bytesOut += size;
    this.#turnFrames += count;
    this.#turnBytes += size;
    if (frames.bytes >= LARGEST_SLAB) this.pump();
    else if (!this.#machine.blocked) {
      if (frames.batch === undefined) this.flushSoon();
      // The batch is written at the end of the turn anyway. It has noted the time.
      else if (connection.shared.endOfTurn.bytesAt === LONG_TURN) this.pump();
    }
    if (this.#machine.blocked && this.#writesAwaitDrain()) return this.#drainWaits().forDrain();
    // Repeats `turnFull`, because a call would cost each frame.
    const isFull = this.#turnFrames >= TURN_FRAMES || this.#turnBytes >= TURN_BYTES;
    return isFull ? this.#nextTurn() : RESOLVED;
  }

  /**
   * Writes the queued frames at the end of the pass of the inbox, else of the turn. Writes them at once in
   * a long turn: code that computes between its messages would delay all of them.
   */
  flushSoon(): void {
    const connection = this.#connection;
    if (!connection.inbox.inPass) connection.scheduleEndOfTurn();
    const { endOfTurn, platform } = connection.shared;
    if (endOfTurn.bytesQueued(platform, readProgress(connection))) this.pump();
  }

  /** Counts `bytes` that an extension has encoded as work of this turn. */
  countEncoded(bytes: number): void {
    this.#turnBytes += bytes * ENCODE_COST;
  }

  // Control frames

  /**
   * Sends a ping or a pong. While the transport is blocked, the frame waits. It then overtakes queued
   * messages. At most one pong of the library and one of the application waits.
   *
   * @param ours - Whether the library itself sends the frame. No caller awaits the promise then, so a
   *   failure ends the connection. After the close frame such a call has no effect.
   */
  control(opcode: number, payload: Uint8Array, ours = false): Promise<void> {
    if (!this.open) return ours ? RESOLVED : rejected(this.writeEnd!.error);
    const connection = this.#connection;
    // A ping of the heartbeat must not come between frames of a compressed message: see `heartbeat.ts`.
    const inOrder = ours && opcode === PingMessage && this.queue?.encodedUnsent === true;
    if (this.#machine.blocked && !inOrder) {
      const error = this.#drainWaits().addControl(opcode, payload, ours);
      if (error === undefined) return RESOLVED;
      return connection.controlOrNew().writesOrNew().refuse(error, 'writeControl');
    }
    try {
      this.countControl(opcode, this.frames.addCopy(FIN | opcode, payload, 0, payload.length));
      this.#machine.controlIsQueued = true;
    } catch (error) {
      if (ours) connection.abort(notWritten(error));
      else connection.reportMistake(error, 'writeControl');
      return rejected(error, connection);
    }
    if (this.frames.bytes >= LARGEST_SLAB) this.pump();
    else this.flushSoon();
    if (ours) return RESOLVED;
    this.#turnFrames++;
    return this.turnFull ? this.#nextTurn() : RESOLVED;
  }

  /** Counts a control frame of `size` bytes. */
  countControl(opcode: number, size: number): void {
    const connection = this.#connection;
    this.#machine.framesOut++;
    if (opcode === PingMessage) connection.controlOrNew().pingsOut++;
    this.#machine.bytesOut += size;
  }

  // Promises of writers

  /**
   * Whether writes to a blocked transport wait for a drain: from the option `highWaterMark` on, or while all
   * connections together buffer too much.
   */
  #writesAwaitDrain(): boolean {
    const { settings, shared } = this.#connection;
    if (this.bufferedAmount >= settings.highWaterMark) return true;
    return shared.platform.writeBudget?.exceeded === true;
  }

  #nextTurn(): Promise<void> {
    return this.#drainWaits().forNextTurn(this.#connection.platform, this);
  }

  #drainWaits(): DrainWaits {
    this.#waits ??= new DrainWaits();
    return this.#waits;
  }

  /** Adds a write whose bytes are referenced until {@link released}. */
  reference(written: Deferred<void>): void {
    this.#drainWaits().reference(written);
  }

  /** The transport has released the `bytes` of a referenced write. */
  released(written: Deferred<void>, bytes: number): void {
    const waits = this.#drainWaits();
    waits.released(written, bytes, this.#writing !== IDLE);
    // In a microtask: a failing transport releases all bytes and then reports its end, which must
    // reject the write first.
    void RESOLVED.then(() => {
      // A transport may release bytes at once. A loop of such writes must still let I/O run.
      waits.settle(written, waits.releasesFillTurn ? this.#nextTurn() : undefined);
      this.#renewBudget();
    });
  }

  /** Ends the connection, because referenced bytes have changed and the peer may get wrong bytes. */
  bytesChanged(cause: unknown): void {
    if (this.writeEnd === undefined) this.#notWritten(cause, undefined);
  }

  // The budget of a turn

  /** Whether the connection has used up the budget of this turn. */
  get turnFull(): boolean {
    return isTurnFull(this.#turnBytes, this.#turnFrames);
  }

  /** Called when a new turn of the event loop has begun. */
  resetBudget(): void {
    this.#turnBytes = this.#turnFrames = 0;
    this.#waits?.resetReleases();
  }

  /** Restarts the budget of the turn, if all frames are sent and no writer waits. */
  #renewBudget(): void {
    if (this.frames.bytes > 0 || this.#machine.blocked || this.#waits?.empty === false) return;
    this.#turnBytes = this.#turnFrames = 0;
  }

  // Writing

  /**
   * As {@link pump}, at the end of a turn: the budget of the turn restarts.
   */
  flush(): void {
    this.#turnBytes = this.#turnFrames = 0;
    this.pump();
  }

  /**
   * Called at the end of the turn in which a batch was shared. Sends the batch, unless the connection
   * flushes later in this turn anyway: one write then has all frames.
   */
  flushBatch(): void {
    // The batch may have been sent before. A later frame may also have copied the batch, and then
    // failed to encode: no flush is scheduled then.
    const { awaitsTurn, inbox } = this.#connection;
    if (this.frames.bytes > 0 && !awaitsTurn && !inbox.inPass) this.flush();
  }

  /** Called when a pass of the inbox has ended. Sends the frames that were written in the pass. */
  passEnded(): void {
    if (this.frames.bytes > 0 && !this.#machine.blocked) this.flush();
    else this.#renewBudget();
    this.#connection.shared.endOfTurn.bytesWritten();
  }

  /** The transport is below its high-water mark again. */
  drained(): void {
    const connection = this.#connection;
    if (this.#writing !== IDLE) this.#writing = DRAINED;
    this.#machine.blocked = false;
    this.pump();
    if (!this.#machine.blocked || !this.#writesAwaitDrain()) this.#waits?.drained();
    connection.platform.writeBudget?.count(connection);
    this.#renewBudget();
  }

  /** Ends the transport's writing side after all accepted frames. */
  end(): void {
    if (this.#writeSide !== OPEN) return;
    this.#writeSide = ENDING;
    this.pump();
  }

  /**
   * Discards the frames that a blocked transport has not taken, and rejects their writers with `error`.
   * The rest of a frame that was partly written stays in the queue.
   */
  discardUnsent(error: WebSocketError): void {
    this.pump();
    const waits = this.#waits;
    waits?.takeControls();
    this.#machine.takePong();
    const before = waits?.setReleaseError(error);
    this.frames.truncate();
    // Only the writes of discarded frames get this error, not those that are released later.
    waits?.setReleaseError(before);
    waits?.drained(error);
  }

  /** Gives frames to the transport until it is blocked or has all of them. */
  pump(): void {
    // The transport has called back within its `write`: the running loop sees the change.
    if (this.#writing !== IDLE) return;
    this.#writing = WRITING;
    const { frames } = this;
    try {
      // Code that the transport calls within `write` may add frames after the current ones.
      for (;;) {
        const controlsWait =
          this.#machine.waitingPong !== undefined || this.#waits?.hasControls === true;
        if (this.#machine.blocked || (frames.bytes === 0 && !controlsWait)) break;
        const inSegments = frames.first !== undefined || controlsWait;
        if (frames.batch !== undefined) this.#writeBatch(frames.takeBatch());
        else if (inSegments) this.#writeSegments();
        else this.#writeSlab();
      }
      if (frames.bytes === 0) this.#machine.controlIsQueued = false;
      if (this.#writeSide === ENDING && !this.#machine.blocked && frames.bytes === 0) {
        this.#writeSide = ENDED;
        this.#connection.watchTransport('end', this.#connection.transport.end());
      }
    } catch (error) {
      // A part of the frame may have been sent, so no frame may follow it.
      this.#connection.abort(notWritten(error));
    } finally {
      this.#writing = IDLE;
    }
  }

  #writeBatch(batch: Batch): void {
    const { transport, platform } = this.#connection;
    this.#give(bytesOfBatch(platform, batch, transport.bufferedAmount > 0));
  }

  /** Sends the frames of the slab: as a view, or as a copy for a slow transport, see {@link LEND_FROM}. */
  #writeSlab(): void {
    const { frames } = this;
    const { slab } = frames;
    const { transport, shared } = this.#connection;
    const { out, start } = slab;
    const { bytes, pos: end } = out;
    if (transport.bufferedAmount === 0 || end - start >= LEND_FROM) {
      this.#give(viewOf(shared.platform, bytes, start, end), frames.lendSlab());
    } else {
      const copy = frames.copySlab();
      this.#give(viewOf(shared.platform, copy, 0, copy.length));
    }
  }

  #writeSegments(): void {
    const { frames } = this;
    const { transport, platform } = this.#connection;
    frames.slabToTail();
    const { first } = frames;
    const several =
      first !== undefined && (first.next !== undefined || frames.slab.hasFramesOf(frames));
    if (several) this.#connection.watchTransport('cork', transport.cork?.());
    // Pings and pongs overtake waiting messages, but never split a frame, nor an earlier control frame.
    const isOrdered = this.#machine.controlIsQueued;
    while (!this.#machine.blocked && frames.first !== undefined) {
      if (frames.first.startsFrame && !isOrdered) this.#writeControls();
      if (!this.#machine.blocked) {
        const { bytes, start, end, release } = frames.shift();
        if (end > lengthOf(bytes)) this.#notWritten(new PendingBytesMistake(), release);
        else this.#give(viewOf(platform, bytes, start, end), release);
      }
    }
    if (!this.#machine.blocked && !isOrdered) this.#writeControls();
    if (!this.#machine.blocked && frames.slab.hasFramesOf(frames)) this.#writeSlab();
    if (!this.#machine.blocked && isOrdered) this.#writeControls();
    if (several) this.#connection.watchTransport('uncork', transport.uncork?.());
  }

  #writeControls(): void {
    const pong = this.#machine.takePong();
    if (pong !== undefined) this.#writeControl(PongMessage, pong);
    const waits = this.#waits;
    if (waits?.hasControls !== true) return;
    for (const { opcode, payload } of waits.takeControls()) this.#writeControl(opcode, payload);
  }

  #writeControl(opcode: number, payload: Uint8Array): void {
    const { masks } = this.#connection.shared.coding;
    const maskKey = masks ? this.frames.nextKey() : undefined;
    const frame = encodeFrame(opcode, payload, { maskKey });
    this.countControl(opcode, frame.length);
    this.#give(frame);
  }

  #give(bytes: Uint8Array, release?: () => void): void {
    this.#writing = WRITING;
    const connection = this.#connection;
    try {
      const takesMore: unknown = connection.transport.write(bytes, release);
      if (takesMore === true) return;
      if (takesMore !== false) throw badWriteResult(takesMore);
    } catch (cause) {
      return this.#notWritten(cause, release);
    }
    // The transport has reported a drain within its `write`.
    if ((this.#writing as number) === DRAINED) return;
    this.#machine.blocked = true;
    this.#sinceBlocked = new Progress(connection.platform.now(), this.bytesFlushed);
    connection.platform.writeBudget?.count(connection);
  }

  /** Ends the connection: a part of a frame may have been sent, so no frame may follow. */
  #notWritten(cause: unknown, release: (() => void) | undefined): void {
    this.#machine.blocked = true;
    if (cause instanceof PendingBytesMistake) this.#connection.reportMistake(cause, 'writeMessage');
    this.#connection.abort(writeFailure(cause));
    // Only now: until it was destroyed, the transport may have used the bytes.
    if (release !== undefined) revoke(release);
  }

  // The end of writing

  /** The machine has queued our close frame: later writes and waiting writes reject with `end`. */
  closeFrameSent(end: WriteEnd): void {
    const connection = this.#connection;
    this.writeEnd = end;
    connection.control?.writes?.ended();
    this.queue?.rejectAll(end);
    this.flushSoon();
  }

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
    this.#connection.control?.writes?.ended();
  }

  /**
   * Called when the transport is about to be destroyed. Rejects later writes. Earlier writes reject
   * when the transport releases their bytes.
   */
  fail(error: WebSocketError): void {
    this.stopAccepting(error);
    this.#waits?.setReleaseError(this.writeEnd!.error);
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
    this.#machine.blocked = true;
    this.#waits?.rejectAll(error ?? this.writeEnd!.error);
    this.frames.discard();
    this.rejectWaiting();
  }
}

function rejectionAtEnd(connection: Connection, { error, expired }: WriteEnd): Promise<never> {
  // An expired deadline alone does not end the connection. The next write does.
  if (expired) connection.abort(error);
  return rejected(error);
}
