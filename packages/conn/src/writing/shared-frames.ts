import { Arena, Batch, LARGEST_SLAB } from '@ws/codec/internal';
import { copyOf } from '../memory/copy.ts';
import { type Platform, perPlatform, viewOf } from '../platform/platform.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import { NO_BYTES_YET, type TaskQueue, type TurnTask } from '../scheduler/task-queue.ts';
import { FIN } from './fragments.ts';
import type { PreparedMessage } from './prepared-message.ts';

/**
 * Size of an arena in bytes. A batch that a slow transport still reads keeps the whole arena alive,
 * so arenas are small.
 */
const ARENA_BYTES = 16_384;
/**
 * From this size in bytes on, a slow transport reads a batch from the arena. A smaller batch is copied
 * for it, so that the small batch does not keep the arena alive.
 */
export const REFERENCE_FROM: number = ARENA_BYTES / 2;
/** A turn begins with a new arena if the current one has fewer free bytes: batches need room to grow. */
const MIN_FREE_BYTES = 4_096;
/**
 * In a very long turn, sharing restarts after this many bytes of payload, so that the map of
 * batches stays small.
 */
const MAX_SERIALIZED_BYTES = 262_144;
/** Bytes of the longest header of a frame without a masking key. */
const LONGEST_HEADER = 10;

/** A connection with a batch to send at the end of the turn. */
export interface BatchSender {
  /** Sends the batch, unless the batch was already sent. */
  flushBatch(): void;
}

/**
 * Returns the bytes of `batch` for a transport. All fast transports get the same view of the arena.
 * They must not change its bytes. The view keeps the whole arena alive, so a slow transport gets a
 * copy of a batch below {@link REFERENCE_FROM} bytes.
 */
export function bytesOfBatch(platform: Platform, batch: Batch, isSlow: boolean): Uint8Array {
  const { arena, start, end, size } = batch;
  if (!isSlow || size >= REFERENCE_FROM) return viewOfBatch(platform, batch);
  return viewOf(platform, copyOf(arena.bytes, start, end), 0, size);
}

function viewOfBatch(platform: Platform, batch: Batch): Uint8Array {
  batch.view ??= viewOf(platform, batch.arena.bytes, batch.start, batch.end);
  return batch.view;
}

/**
 * Serializes the frames that several connections send in one turn, once for all of them. Each
 * connection begins a turn without a batch, and calls {@link extend} for every frame. At the end of
 * the turn all connections send their batches. Connections with the same frames send the same bytes.
 */
export class SharedFrames implements TurnTask {
  awaitsTurn = false;
  readonly #platform: Platform;
  readonly #endOfTurn: TaskQueue;
  #arena: Arena;
  /** The empty batch that all batches of this turn extend. */
  #empty: Batch | undefined;
  /** Payload bytes serialized since the empty batch was created. */
  #serialized = 0;
  #senders: BatchSender[] = [];
  /** The messages of the last call of {@link batchOf} in this turn, and their batch. */
  #messages: readonly PreparedMessage[] | undefined;
  #batch: Batch | undefined;

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#endOfTurn = schedulerOf(platform).endOfTurn;
    this.#arena = new Arena(ARENA_BYTES);
  }

  /**
   * Returns a batch with the frames of `batch`, if given, followed by a frame with `payload`.
   *
   * @param b0 - The frame's first byte: FIN, RSV bits and opcode.
   * @param payload - This object identifies the frame until the turn ends. Its bytes must not change,
   *   and every call passes the same `b0` with the same payload.
   */
  extend(batch: Batch | undefined, b0: number, payload: Uint8Array): Batch {
    this.#empty ??= this.#begin();
    const from = batch ?? this.#empty;
    const found = from.nextPayload === payload ? from.next : from.nexts?.get(payload);
    return found ?? this.#append(from, b0, payload);
  }

  /**
   * Returns a batch with an uncompressed frame for each message. Undefined when the batch would exceed
   * the largest slab. A second call with the same array in a turn returns the same batch.
   */
  batchOf(messages: readonly PreparedMessage[]): Batch | undefined {
    if (this.#messages === messages) return this.#batch;
    let size = 0;
    for (const { bytes } of messages) {
      size += LONGEST_HEADER + bytes.length;
      if (size > LARGEST_SLAB) return undefined;
    }
    let batch: Batch | undefined;
    for (const { type, bytes } of messages) batch = this.extend(batch, FIN | type, bytes);
    this.#messages = messages;
    this.#batch = batch;
    return batch;
  }

  flushAtEndOfTurn(sender: BatchSender): void {
    if (this.#senders.push(sender) === 1) this.#endOfTurn.add(this);
  }

  onTurn(): void {
    this.#empty = undefined;
    this.#messages = this.#batch = undefined;
    if (lastFrames === this) lastPlatform = lastFrames = undefined;
    this.flush();
  }

  /** Sends the batches now. Later calls in this turn still share the frames. */
  flush(): void {
    // Called at the end of the turn, for one slice of the deliveries after the other.
    this.#endOfTurn.bytesAt = NO_BYTES_YET;
    const senders = this.#senders;
    this.#senders = [];
    for (let i = 0; i < senders.length; i++) senders[i]!.flushBatch();
  }

  #begin(): Batch {
    this.#serialized = 0;
    if (this.#arena.bytes.length - this.#arena.used < MIN_FREE_BYTES)
      this.#arena = new Arena(ARENA_BYTES);
    return new Batch(this.#arena, 0, 0);
  }

  #append(before: Batch, b0: number, payload: Uint8Array): Batch {
    const { size } = before;
    let from = before;
    if (size === 0 && this.#serialized > MAX_SERIALIZED_BYTES) {
      this.#empty = this.#begin();
      from = this.#empty;
    }
    const maxSize = size + LONGEST_HEADER + payload.length;
    let { arena, start } = from;
    if (size === 0) {
      if (this.#arena.bytes.length - this.#arena.used < maxSize) {
        this.#arena = new Arena(Math.max(ARENA_BYTES, maxSize));
      }
      arena = this.#arena;
      start = arena.used;
    } else if (from.end !== arena.used || start + maxSize > arena.bytes.length) {
      // Other frames follow the batch in the arena, or the arena has too little room. The batch
      // moves to a new arena, in which it can double.
      arena = new Arena(2 * maxSize);
      arena.bytes.set(viewOfBatch(this.#platform, from));
      start = 0;
    }
    arena.addFrame(start + size, b0, payload);
    this.#serialized += payload.length;
    // Once for all connections that send this frame.
    this.#endOfTurn.bytesQueued(this.#platform);
    const batch = new Batch(arena, start, arena.used);
    linkNext(from, payload, batch);
    return batch;
  }
}

function linkNext(from: Batch, payload: Uint8Array, batch: Batch): void {
  if (from.next !== undefined) {
    from.nexts ??= new Map([[from.nextPayload!, from.next]]);
    from.nexts.set(payload, batch);
  }
  from.nextPayload = payload;
  from.next = batch;
}

const framesOf: (platform: Platform) => SharedFrames = /* @__PURE__ */ perPlatform(
  (platform) => new SharedFrames(platform),
);
/**
 * Argument and result of the last call of {@link sharedFrames}. The end of the turn clears both, to
 * release the platform.
 */
let lastPlatform: Platform | undefined;
let lastFrames: SharedFrames | undefined;

/** Returns the frames that the connections of `platform` share in this turn. */
export function sharedFrames(platform: Platform): SharedFrames {
  // Most processes have one platform, and every frame of a broadcast calls this.
  if (platform === lastPlatform) return lastFrames!;
  lastPlatform = platform;
  lastFrames = framesOf(platform);
  return lastFrames;
}
