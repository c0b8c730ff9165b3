import type { Platform } from '../platform/platform.ts';

/** Before any time of the platform's clock. */
const NEVER = -1;

/** No read was ever started. */
const NO_READ = 0;
/** A single read: `readMessage`, `readJSON` or `nextReader`. */
const SINGLE_READ = 1;
/** `for await`, `receive` or `discardReads`: the same code reads the next message. */
const LOOP_READ = 2;
/** A single read; then the application has read `closed`, so it reads no further. */
const DONE = 3;

/**
 * Time in ms after which the message of a single read counts as handled. A handler of `receive` that
 * has closed the connection gets as long for its next message.
 */
export const SINGLE_READ_TIME = 250;

/**
 * Whether code of the application reads the connection, and may still answer its last message. The
 * answer to the peer's close frame waits for that code.
 */
export class Attention {
  /** Whether the application's handler of this connection is running. */
  handlerRuns = false;
  /**
   * Whether a pull reader has a message and has not asked for the next one: it may still answer that
   * message.
   */
  messageTaken = false;
  #lastRead: typeof NO_READ | typeof SINGLE_READ | typeof LOOP_READ | typeof DONE = NO_READ;
  /**
   * Since when the message of a single read is taken and nothing else happens, in whole ms of the
   * platform's clock; {@link NEVER} while other work goes on.
   */
  #idleSince: number = NEVER;

  singleRead(): void {
    this.#lastRead = SINGLE_READ;
    this.#idleSince = NEVER;
  }

  loopBegins(): void {
    this.#lastRead = LOOP_READ;
  }

  /** The last message of a loop is handled as that of a single read. */
  loopLeft(): void {
    if (this.#lastRead === LOOP_READ) this.singleRead();
  }

  /**
   * The application reads `closed`: it has handled the message of its last single read, and reads no
   * further. Returns whether it had one.
   */
  closedIsRead(): boolean {
    if (!this.messageTaken || this.#lastRead !== SINGLE_READ) return false;
    this.messageTaken = false;
    this.#lastRead = DONE;
    return true;
  }

  /** A turn with work of the connection ends: the message of a single read may still get an answer. */
  turnEnds(platform: Platform): void {
    this.#idleSince = NEVER;
    this.noteIdle(platform);
  }

  /**
   * Nothing else happens. {@link SINGLE_READ_TIME} after the first call, the message of a single read
   * counts as handled.
   */
  noteIdle(platform: Platform): void {
    if (!this.messageTaken || this.#lastRead !== SINGLE_READ || this.#idleSince !== NEVER) return;
    this.#idleSince = Math.ceil(platform.now());
  }

  /** Whether no code reads, and no handler runs that may still begin to read. */
  get absent(): boolean {
    return this.#lastRead === DONE || (this.#lastRead === NO_READ && !this.handlerRuns);
  }

  /** Time in ms that the reader of the last message has for its answer. */
  patience(now: number): number {
    if (this.absent) return 0;
    if (this.#lastRead === LOOP_READ || this.handlerRuns) return Infinity;
    const idle = this.#idleSince === NEVER ? 0 : now - this.#idleSince;
    return Math.max(0, SINGLE_READ_TIME - idle);
  }
}
