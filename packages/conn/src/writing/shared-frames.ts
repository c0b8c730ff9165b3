import { Arena, Batch, LARGEST_SLAB } from '@ws/codec/internal';
import { copyOf } from '../memory/copy.ts';
import { type Platform, perPlatform, viewOf } from '../platform/platform.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { TurnTask } from '../scheduler/task-queue.ts';
import type { PreparedMessage } from './prepared-message.ts';

/**
 * FIN in the first byte of a frame: the message ends with it (RFC 6455, section 5.2). The codec defines
 * this too, but cannot export it without a cost in speed: see its `internal.ts`.
 */
export const FIN = 0x80;

/**
 * Size of an arena in bytes. A batch that a slow transport still reads keeps the whole arena alive,
 * so arenas are small.
 */
const ARENA_BYTES = 16_384;
/**
 * Size in bytes from which a batch stays in its arena while a slow transport reads it. Such a batch takes
 * about half of the arena or more. A smaller batch is copied.
 */
export const REFERENCE_FROM: number = ARENA_BYTES / 2;
/**
 * A turn begins in a new arena when the current arena has fewer free bytes. A batch without room to
 * grow would be copied.
 */
const MIN_FREE_BYTES = 4_096;
/**
 * In a very long turn, sharing restarts after this many bytes of payload, so that the map of
 * batches stays small.
 */
const MAX_SERIALIZED_BYTES = 262_144;
const LONGEST_HEADER = 10;

/** Sends a batch at the end of the turn. */
export interface BatchSender {
  /** Sends the batch, unless the batch was already sent. */
  flushBatch(): void;
}

/**
 * The bytes of `batch` for a transport. All fast transports get the same view of the arena, and no
 * code may change its bytes. It keeps the whole arena alive while a transport is slow, so a slow one
 * gets a copy, unless the batch is most of the arena.
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
 * The frames that several connections send in one turn, encoded once for all of them. Each
 * connection begins without a batch and calls {@link extend} for every frame. At the end of the
 * turn all connections are flushed, and connections with the same frames write the same bytes.
 */
export class SharedFrames implements TurnTask {
  awaitsTurn = false;
  readonly #platform: Platform;
  #arena: Arena;
  /** The empty batch that all batches of this turn extend. */
  #empty: Batch | undefined;
  /** Payload bytes that were encoded since the empty batch was created. */
  #serialized = 0;
  #senders: BatchSender[] = [];
  /** The messages of the last call of {@link batchOf} in this turn, and their batch. */
  #messages: readonly PreparedMessage[] | undefined;
  #batch: Batch | undefined;

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#arena = new Arena(ARENA_BYTES);
  }

  /**
   * Returns the batch with the frames of `batch`, if given, followed by a frame with this payload.
   *
   * @param b0 - The frame's first byte: FIN, RSV bits and opcode.
   * @param payload - Identifies the frame until the turn ends. The payload must not change, and
   *   every call passes the same `b0` with it.
   */
  extend(batch: Batch | undefined, b0: number, payload: Uint8Array): Batch {
    this.#empty ??= this.#begin();
    const from = batch ?? this.#empty;
    const found = from.nextPayload === payload ? from.next : from.nexts?.get(payload);
    return found ?? this.#append(from, b0, payload);
  }

  /**
   * Returns the batch with a frame for each of these messages, uncompressed; undefined when it
   * would exceed the largest slab. Costs nothing when the last call of this turn had the same array.
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
    if (this.#senders.push(sender) === 1) schedulerOf(this.#platform).endOfTurn.add(this);
  }

  onTurn(): void {
    this.#empty = undefined;
    this.#messages = this.#batch = undefined;
    if (lastFrames === this) lastPlatform = lastFrames = undefined;
    this.flush();
  }

  /** Flushes the senders now. Later senders of this turn still share the frames. */
  flush(): void {
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
    const batch = new Batch(arena, start, arena.used);
    remember(from, payload, batch);
    return batch;
  }
}

function remember(from: Batch, payload: Uint8Array, batch: Batch): void {
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
 * The last result of {@link sharedFrames}. It is cleared when the turn ends, so that it does not keep
 * the platform of a server alive.
 */
let lastPlatform: Platform | undefined;
let lastFrames: SharedFrames | undefined;

/** Returns the frames of this turn that the connections of `platform` share. */
export function sharedFrames(platform: Platform): SharedFrames {
  // Most processes have one platform, and every frame of a broadcast calls this.
  if (platform === lastPlatform) return lastFrames!;
  lastPlatform = platform;
  lastFrames = framesOf(platform);
  return lastFrames;
}
