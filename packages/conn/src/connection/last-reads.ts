import type { TimerEntry, Timers } from '../scheduler/timers.ts';

/** The reads of a connection whose transport can send nothing more. */
export interface Reads {
  readonly timers: Timers;
  /** The option `closeTimeout`, in ms. */
  readonly timeout: number;
  /** Number of bytes that have arrived. */
  bytesIn(): number;
  /** A number that changes when a reader takes a message or a piece. */
  progress(): number;
  /** Whether the rate has no token, so that no reader can read. */
  isHeld(): boolean;
  /** Ends the connection: destroys its transport. */
  giveUp(): void;
}

/**
 * Bounds these reads, instead of the heartbeat: destroys the transport after `closeTimeout` in which no
 * byte arrived and no reader took a message.
 */
export class LastReads implements TimerEntry {
  slot: number | undefined;
  readonly #reads: Reads;
  /** The bytes that had arrived, and the reader's progress, at the last look. */
  #bytesIn = 0;
  #progress = 0;

  constructor(reads: Reads) {
    this.#reads = reads;
    this.#watch();
  }

  #watch(): void {
    this.#bytesIn = this.#reads.bytesIn();
    this.#progress = this.#reads.progress();
    this.#reads.timers.set(this, this.#reads.timeout);
  }

  fire(): void {
    const isRead = this.#reads.progress() !== this.#progress;
    if (isRead || this.#reads.bytesIn() !== this.#bytesIn || this.#reads.isHeld()) this.#watch();
    else this.#reads.giveUp();
  }

  stop(): void {
    this.#reads.timers.clear(this);
  }
}
