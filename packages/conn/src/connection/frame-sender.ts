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
import { DrainWaits, isTurnFull, TURN_BYTES, TURN_FRAMES } from '../writing/drain-waits.ts';
import { FIN } from '../writing/fragments.ts';
import { PendingBytesMistake } from '../writing/pending-bytes.ts';
import { type BatchSender, bytesOfBatch } from '../writing/shared-frames.ts';
import { badWriteResult, notWritten, type WriteEnd, writeFailure } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { Progress } from './progress.ts';
import { progress } from './read-ahead.ts';
import { LEND_FROM } from './shared.ts';

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
 * Gives the accepted frames of one connection to its transport, at the end of a turn or when the frames
 * fill a slab. While the transport is above its high-water mark, frames wait in the frame queue. Pings
 * and pongs then overtake queued messages between two frames.
 */
export class FrameSender implements BatchSender {
  readonly #connection: Connection;
  /** The machine is `blocked` while the transport is above its high-water mark, or has failed. */
  readonly #machine: Machine<FrameQueue>;
  /** The writes that wait for the transport or for a later turn. Created on first use. */
  #waits: DrainWaits | undefined;
  /** How the peer takes bytes since the transport was last blocked. */
  #blocked: Progress | undefined;
  /** Number of frames of this turn, and of their bytes. Encoded bytes count {@link ENCODE_COST} times. */
  #turnFrames = 0;
  #turnBytes = 0;
  #writing: typeof IDLE | typeof WRITING | typeof DRAINED = IDLE;
  #writeSide: typeof OPEN | typeof ENDING | typeof ENDED = OPEN;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#machine = connection.machine;
  }

  /** Bytes of accepted frames that the operating system does not have yet. */
  get bufferedAmount(): number {
    return this.#machine.out.bytes + this.#connection.transport.bufferedAmount;
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
    const blocked = this.#machine.blocked ? this.#blocked : undefined;
    blocked?.look(now, this.bytesFlushed);
    return blocked?.grownAt ?? now;
  }

  // Accepted frames

  /** Counts `count` queued frames with `size` bytes in all. Returns the promise of their write. */
  added(size: number, count = 1): Promise<void> {
    const connection = this.#connection;
    const frames = this.#machine.out;
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
    if (endOfTurn.bytesQueued(platform, this.#turnFrames, progress(connection))) this.pump();
  }

  /** Counts `bytes` that an extension has encoded as work of this turn. */
  countEncoded(bytes: number): void {
    this.#turnBytes += bytes * ENCODE_COST;
  }

  /**
   * Sends a ping or a pong. While the transport is blocked, the frame waits. It then overtakes queued
   * messages. At most one pong of the library and one of the application waits.
   *
   * @param ours - Whether the library itself sends the frame. No caller awaits the promise then, so a
   *   failure ends the connection.
   * @param inOrder - Whether the frame must not overtake queued messages.
   */
  control(opcode: number, payload: Uint8Array, ours: boolean, inOrder: boolean): Promise<void> {
    const connection = this.#connection;
    if (this.#machine.blocked && !inOrder) {
      const error = this.#drainWaits().addControl(opcode, payload, ours);
      if (error === undefined) return RESOLVED;
      return connection.rareParts().refuse(error, 'writeControl');
    }
    try {
      const { out } = this.#machine;
      this.countControl(opcode, out.addCopy(FIN | opcode, payload, 0, payload.length));
      this.#machine.controlIsQueued = true;
    } catch (error) {
      if (ours) connection.abort(notWritten(error));
      else connection.reportMistake(error, 'writeControl');
      return rejected(error, connection);
    }
    if (this.#machine.out.bytes >= LARGEST_SLAB) this.pump();
    else this.flushSoon();
    if (ours) return RESOLVED;
    this.#turnFrames++;
    return this.turnFull ? this.#nextTurn() : RESOLVED;
  }

  /** Counts a control frame of `size` bytes. */
  countControl(opcode: number, size: number): void {
    const connection = this.#connection;
    this.#machine.framesOut++;
    if (opcode === PingMessage) connection.rareParts().pingsOut++;
    this.#machine.bytesOut += size;
  }

  // Promises of writers

  /**
   * Whether writes to a blocked transport wait for a drain: above the high-water mark, or while all
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

  /** Resolves at the next drain. Undefined if the transport is not blocked, or has closed. */
  untilDrained(): Promise<void> | undefined {
    const mustWait = this.#machine.blocked && !this.#connection.transportClosed;
    return mustWait ? this.#drainWaits().forDrain() : undefined;
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
    if (this.#connection.outbox.writeEnd === undefined) this.#notWritten(cause, undefined);
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
    if (this.#machine.out.bytes > 0 || this.#machine.blocked || this.#waits?.empty === false)
      return;
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
    if (this.#machine.out.bytes > 0 && !awaitsTurn && !inbox.inPass) this.flush();
  }

  /** Called when a pass of the inbox has ended. Sends the frames that were written in the pass. */
  passEnded(): void {
    if (this.#machine.out.bytes > 0 && !this.#machine.blocked) this.flush();
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
    this.#machine.out.truncate();
    // Only the writes of discarded frames get this error, not those that are released later.
    waits?.setReleaseError(before);
    waits?.drained(error);
  }

  /** Called when the transport is about to be destroyed: writes reject when it releases their bytes. */
  rejectReleased(end: WriteEnd): void {
    this.#waits?.setReleaseError(end.error);
  }

  /** Called when the transport is closed. Rejects all writes, and releases all memory. */
  rejectAll(end: Pick<WriteEnd, 'error'>): void {
    this.#machine.blocked = true;
    this.#waits?.rejectAll(end.error);
    this.#machine.out.discard();
  }

  /** Gives frames to the transport until it is blocked or has all of them. */
  pump(): void {
    // The transport has called back within its `write`: the running loop sees the change.
    if (this.#writing !== IDLE) return;
    this.#writing = WRITING;
    const frames = this.#machine.out;
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
    const frames = this.#machine.out;
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
    const frames = this.#machine.out;
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
    const maskKey = masks ? this.#machine.out.nextKey() : undefined;
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
    this.#blocked = new Progress(connection.platform.now(), this.bytesFlushed);
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
}
