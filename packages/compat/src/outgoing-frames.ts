import { AsyncResource } from 'node:async_hooks';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { sharedSlabPool } from '@ws/codec';
import {
  type Batch,
  type FrameCoding,
  FrameQueue,
  FrameSlab,
  LARGEST_SLAB,
  lengthOf,
  Pool,
} from '@ws/codec/internal';
import {
  bytesOfBatch,
  LONG_TURN,
  schedulerOf,
  sharedFrames,
  TurnCallback,
} from '@ws/conn/internal';
import { bufferOver, copyOf, EMPTY } from './bytes.ts';
import type { SendCallback } from './connection.ts';
import { maskKeys } from './frame-list.ts';
import { isUnchanged } from './owned-socket.ts';
import { nextTick, platform } from './platform.ts';

/** First byte of a frame: the last of its message (RFC 6455, section 5.2). */
const FIN = 0x80;
/** Unmasked payloads of more bytes than this are not copied. */
const COPIED_UP_TO = 32 * 1024 - 1;
/**
 * Bytes, or UTF-16 units of a text. A larger frame does not wait for others: the time for a write
 * is less than the time for the memory of many frames that wait.
 */
const MAX_SMALL = 4096;
/**
 * Turns with one frame, after which a frame does not wait. engine.io sends one frame in a turn, and
 * many when that frame was written.
 */
const MIN_SINGLES = 3;
/** Least size of the memory of a queue, in bytes. */
const SLAB_BYTES = 4096;
/** Most queues that are kept for connections that send. */
const MAX_FREE = 64;

const plainQueues = new Pool<FrameQueue>(MAX_FREE);
const maskingQueues = new Pool<FrameQueue>(MAX_FREE);
const MASKED: FrameCoding = {
  masks: true,
  nextKey: () => maskKeys.next(),
  writeUtf8: (into, at, text) => platform.writeUtf8(into, at, text),
};
const PLAIN: FrameCoding = { ...MASKED, masks: false };

/**
 * The frames of one socket that are not written yet. All answers to one chunk of input leave as one
 * write, unless they take long. The first frame of another turn of the event loop waits for its end, or for
 * the second frame: that one and all later ones are written at once. {@link flush} writes all frames. A
 * socket that had one frame in each of its last turns, or had no turn with more, gets the first frame of
 * a turn without delay: a wait for the end of the turn would cost more than it saves.
 */
export class OutgoingFrames {
  /** @internal */
  awaitsTurn = false;
  /** Whether the frames are masked. */
  readonly masks: boolean;
  /** Plain bytes of the compressed messages that wait for the end of the turn. */
  compressed = 0;
  readonly #socket: Socket;
  /** TLS queues every chunk. TCP queues it only when `writableLength` is above 0. */
  readonly #isTls: boolean;
  /** Present while it has frames. */
  #queue: FrameQueue | undefined;
  /** Frames that other sockets send too. There is no queue then. */
  #batch: Batch | undefined;
  #callbacks: SendCallback[] | undefined;
  #held = false;
  /** Turns with one frame since the last turn with more. The first frame of all does not wait. */
  #singles = MIN_SINGLES;
  /** The last turn with a frame, and how many it has. */
  #turn = -1;
  #count = 1;

  constructor(socket: Socket, masks: boolean) {
    this.#socket = socket;
    this.masks = masks;
    this.#isTls = socket instanceof TLSSocket;
  }

  /**
   * Bytes of frames that will wait in the socket. Without a backlog it sends them at once, and only
   * compressed messages count, as those that wait for zlib in ws.
   */
  get unwritten(): number {
    if (!this.#mayQueue()) return this.compressed;
    return (this.#batch?.size ?? 0) + (this.#queue?.bytes ?? 0);
  }

  /** Answers to one chunk of input follow: they leave together, by {@link release}. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.flush();
    endOfTurn.bytesWritten();
  }

  add(
    opcode: number,
    fin: boolean,
    rsv: number,
    payload: string | Uint8Array,
    callback: SendCallback | undefined,
  ): void {
    if (this.#batch !== undefined) this.#writeBatch();
    const queue = (this.#queue ??= acquireQueue(this.masks));
    const length = typeof payload === 'string' ? payload.length : lengthOf(payload);
    const b0 = (fin ? FIN : 0) | rsv | opcode;
    if (typeof payload === 'string') queue.addText(b0, payload);
    else if (this.masks || length <= COPIED_UP_TO) queue.addCopy(b0, payload, 0, length);
    else queue.addReference(b0, payload, 0, length, undefined);
    const called = inContext(callback);
    if (called !== undefined) (this.#callbacks ??= []).push(called);
    // The application may change referenced bytes once `send` has returned, as with ws.
    const most = this.#held ? COPIED_UP_TO : MAX_SMALL;
    if (length > most || queue.bytes >= LARGEST_SLAB) this.flush();
    else if (!this.#held && this.#leavesAtOnce() && !this.compressed) this.flush();
    // Code that computes between its messages would delay all of them.
    else if (endOfTurn.bytesQueued(platform)) this.flush();
    else if (!this.#held) endOfTurn.add(this);
  }

  /**
   * Adds a frame that other sockets send in this turn too. It is encoded once for all of them.
   *
   * @param b0 - The first byte of its header.
   * @param payload - Identifies the frame until the turn ends.
   */
  addShared(b0: number, payload: Uint8Array, callback: SendCallback | undefined): void {
    if (this.#queue !== undefined) this.flush();
    const frames = sharedFrames(platform);
    const before = this.#batch;
    this.#batch = frames.extend(before, b0, payload);
    if (before === undefined) frames.flushAtEndOfTurn(this);
    // Without a context: it would cost a sixth of the speed of a room.
    if (typeof callback === 'function') (this.#callbacks ??= []).push(callback);
    if (endOfTurn.bytesAt === LONG_TURN) this.flushBatch();
  }

  /** Writes all frames to the socket. */
  flush(): void {
    this.compressed = 0;
    if (this.#batch !== undefined) this.#writeBatch();
    const queue = this.#queue;
    if (queue === undefined) return;
    const callbacks = this.#callbacks;
    // Before the first write, which calls this method too.
    this.#queue = this.#callbacks = undefined;
    const socket = this.#socket;
    let corked = false;
    for (let chunk = queue.take(); chunk !== undefined; chunk = queue.take()) {
      const isLast = queue.bytes === 0;
      if (!isLast && !corked) {
        corked = true;
        socket.cork();
      }
      const bytes = bufferOver(chunk.bytes, chunk.start, chunk.end);
      this.#give(bytes, chunk.release, isLast ? callbacks : undefined);
    }
    if (corked) socket.uncork();
    freeQueues(this.masks).release(queue);
  }

  /**
   * Writes the frames that other sockets send too, at the end of the turn. engine.io sends its next
   * frames in the callback of the last one. The callbacks come first when the socket takes all
   * bytes at once, so that those frames are part of this write.
   */
  flushBatch(): void {
    const callbacks = this.#callbacks;
    const takesAll = this.#socket.writable && !this.#mayQueue();
    if (this.#batch !== undefined && callbacks !== undefined && takesAll) {
      this.#callbacks = undefined;
      callAll(callbacks);
    }
    this.#writeBatch();
  }

  #writeBatch(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    const callbacks = this.#callbacks;
    this.#batch = this.#callbacks = undefined;
    const bytes = bytesOfBatch(platform, batch, this.#socket.writableLength > 0);
    this.#give(bytes, undefined, callbacks);
  }

  /** The end of a turn with frames. */
  onTurn(): void {
    this.flush();
  }

  /** Whether a frame does not wait for others of its turn. */
  #leavesAtOnce(): boolean {
    if (this.#turn !== turn) {
      this.#turn = turn;
      this.#singles = this.#count === 1 ? this.#singles + 1 : 0;
      this.#count = 0;
      countTurn();
    }
    return ++this.#count > 1 || this.#singles >= MIN_SINGLES;
  }

  #give(
    bytes: Uint8Array,
    release: (() => void) | undefined,
    callbacks: SendCallback[] | undefined,
  ): void {
    const socket = this.#socket;
    if (release !== undefined && !isUnchanged(socket)) {
      const copy = copyOf(bytes, 0, bytes.length);
      release();
      return this.#give(copy, undefined, callbacks);
    }
    if (callbacks !== undefined || release === undefined || this.#mayQueue()) {
      // As with the two writes of a frame in ws, the error of a write after the end comes before
      // the callback.
      if (socket.writableEnded) socket.write(EMPTY);
      socket.write(bytes, onWritten(release, callbacks));
    } else {
      socket.write(bytes);
      // The usual case: the kernel has taken all bytes.
      if (socket.writableLength === 0) release();
      else socket.write(EMPTY, release);
    }
  }

  #mayQueue(): boolean {
    const { writableLength, writableCorked } = this.#socket;
    return this.#isTls || writableLength > 0 || writableCorked > 0;
  }
}

/**
 * One write, and one job, has the frames of several callers. Each callback runs in the context of
 * its caller. Programs pass null for no callback, which ws takes.
 */
export function inContext(callback: SendCallback | null | undefined): SendCallback | undefined {
  if (typeof callback !== 'function') return undefined;
  const context = new AsyncResource('ws.send');
  return (...args) => context.runInAsyncScope(callback, undefined, ...args);
}

function onWritten(
  release: (() => void) | undefined,
  callbacks: SendCallback[] | undefined,
): SendCallback | undefined {
  if (callbacks === undefined) return release;
  return (error) => {
    release?.();
    callAll(callbacks, error);
  };
}

/** Calls all functions from index `from` on. What one throws is uncaught before the next is called. */
function callAll(callbacks: readonly SendCallback[], error?: Error | null, from = 0): void {
  for (let i = from; i < callbacks.length; i++) {
    try {
      callbacks[i]!(error);
    } catch (thrown) {
      nextTick(() => {
        throw thrown;
      });
      nextTick(callAll, callbacks, error, i + 1);
      return;
    }
  }
}

function freeQueues(masks: boolean): Pool<FrameQueue> {
  return masks ? maskingQueues : plainQueues;
}

function acquireQueue(masks: boolean): FrameQueue {
  const free = freeQueues(masks).acquire();
  if (free !== undefined) return free;
  const slab = new FrameSlab(sharedSlabPool(), SLAB_BYTES, false);
  return new FrameQueue(slab, masks ? MASKED : PLAIN);
}

const { endOfTurn } = schedulerOf(platform);
/** Counts the turns with frames. */
let turn = 0;
const turnEnd = new TurnCallback(() => void turn++);
let flushesAtExit = false;

function countTurn(): void {
  endOfTurn.add(turnEnd);
  if (flushesAtExit) return;
  // A program may end in the turn of its last message.
  flushesAtExit = true;
  process.on('exit', endOfTurn.run);
}
