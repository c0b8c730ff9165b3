import { writeHeader } from './header.ts';

/**
 * Append-only memory of batches. Transports may read its bytes long after the turn. The garbage
 * collector frees it.
 */
export class Arena {
  readonly bytes: Uint8Array;
  used = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  /** Writes a whole unmasked frame at `at`, for which there is room. */
  addFrame(at: number, b0: number, payload: Uint8Array): void {
    const start = writeHeader(this.bytes, at, b0, 0, payload.length);
    this.bytes.set(payload, start);
    this.used = start + payload.length;
  }
}

/**
 * A sequence of whole unmasked frames that several queues send. A batch never changes. Adding a frame
 * gives another batch, which is the same for every queue that adds that frame.
 */
export class Batch {
  readonly arena: Arena;
  readonly start: number;
  readonly end: number;
  /** One view of its bytes for all transports. The first sender sets it. */
  view: Uint8Array | undefined;
  /** Payload of the frame that `next` adds. */
  nextPayload: Uint8Array | undefined;
  /** The extension of this batch that was requested last. */
  next: Batch | undefined;
  /**
   * All extensions of this batch by one frame, by payload. Created for the second one, for example
   * when receivers are in several chat rooms.
   */
  nexts: Map<Uint8Array, Batch> | undefined;

  constructor(arena: Arena, start: number, end: number) {
    this.arena = arena;
    this.start = start;
    this.end = end;
  }

  /** Size in bytes. */
  get size(): number {
    return this.end - this.start;
  }
}
