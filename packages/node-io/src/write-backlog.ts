import { Fifo } from '@ws/conn/internal';

type Release = (() => void) | undefined;

/**
 * The writes that wait for their callback, and the later chunks that wait for room in the socket.
 * Node calls back in order, so one function and a queue serve all.
 */
export class WriteBacklog {
  /** A `drain` is due when the transport falls to its high-water mark. */
  needDrain = false;
  /** The writing side ends after the last chunk that waits. */
  ending = false;
  /** Bytes that the socket does not have yet. */
  bytes = 0;
  readonly onWritten: (error?: Error | null) => void;
  /** Release functions of the writes that wait for their callback, oldest first. */
  readonly #releases = new Fifo<Release>();
  readonly #chunks = new Fifo<Uint8Array>();
  /** The release functions of {@link #chunks}. */
  readonly #laterReleases = new Fifo<Release>();
  /** Bytes of the first chunk that the socket has. */
  #given = 0;

  constructor(onWritten: (error?: Error | null) => void) {
    this.onWritten = onWritten;
  }

  /** Whether no write waits and no `drain` is due. */
  get empty(): boolean {
    return !this.pending && !this.needDrain && !this.waits;
  }

  /** Whether a write waits for its callback. */
  get pending(): boolean {
    return this.#releases.length > 0;
  }

  /** Whether a chunk waits for room in the socket. */
  get waits(): boolean {
    return this.#chunks.length > 0;
  }

  /** The number of chunks that wait for room. */
  get waiting(): number {
    return this.#chunks.length;
  }

  /** Bytes of the first chunk that waits. */
  get left(): number {
    return this.#chunks.peek()!.length - this.#given;
  }

  /** Adds a write that waits for its callback. */
  add(release: (() => void) | undefined): void {
    this.#releases.add(release);
  }

  /** Adds a chunk that waits for room in the socket. */
  wait(chunk: Uint8Array, release: (() => void) | undefined): void {
    this.#chunks.add(chunk);
    this.#laterReleases.add(release);
    this.bytes += chunk.length;
  }

  /** Removes the next `bytes` of the first chunk that waits. */
  take(bytes: number): Uint8Array {
    const start = this.#given;
    const chunk = this.#chunks.peek()!;
    this.#given += bytes;
    this.bytes -= bytes;
    if (this.#given === chunk.length) {
      this.#chunks.shift();
      this.#given = 0;
    }
    return bytes === chunk.length ? chunk : chunk.subarray(start, start + bytes);
  }

  /** The release function of the chunk that was taken to its last byte. */
  takeRelease(): (() => void) | undefined {
    return this.#laterReleases.shift();
  }

  /** The release function of the oldest write. */
  takeOldest(): (() => void) | undefined {
    return this.#releases.shift();
  }

  /** Calls every function. Returns the first error of one. */
  releaseAll(): Error | undefined {
    let failure: Error | undefined;
    for (const releases of [this.#releases, this.#laterReleases]) {
      while (releases.length > 0) {
        try {
          releases.shift()?.();
        } catch (cause) {
          failure ??= releaseFailed(cause);
        }
      }
    }
    return failure;
  }
}

export function releaseFailed(cause: unknown): Error {
  return new Error('a release function of a written chunk threw', { cause });
}
