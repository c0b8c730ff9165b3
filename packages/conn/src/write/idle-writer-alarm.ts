import { type TimerEntry, type Timers } from '../scheduler/timers.ts';

/** Time in ms that a message waits for an idle MessageWriter before it is reported. */
const PATIENCE_MS = 5_000;

/** What {@link IdleWriterAlarm} compares: unchanged after the wait, the writer is idle. */
export interface WriterWait {
  readonly writer: { readonly calls: number; readonly idle: boolean };
  /** The first message that waits. */
  readonly message: object;
}

/**
 * Reports a MessageWriter that its owner has forgotten: a message has waited for it, and the writer
 * made no call meanwhile. Each writer is reported once.
 */
export class IdleWriterAlarm implements TimerEntry {
  slot: number | undefined;
  readonly #timers: Timers;
  readonly #current: () => WriterWait | undefined;
  readonly #report: (ms: number) => void;
  #wait: WriterWait | undefined;
  #calls = 0;
  #reported: WriterWait['writer'] | undefined;

  /** @param current - Returns undefined while no message waits for a writer. */
  constructor(timers: Timers, current: () => WriterWait | undefined, report: (ms: number) => void) {
    this.#timers = timers;
    this.#current = current;
    this.#report = report;
  }

  /** A message waits, or another one is now the first. */
  start(): void {
    if (this.slot !== undefined) return;
    this.#wait = this.#current();
    if (this.#wait === undefined || this.#wait.writer === this.#reported) return;
    this.#calls = this.#wait.writer.calls;
    this.#timers.set(this, PATIENCE_MS);
  }

  stop(): void {
    this.#timers.clear(this);
    this.#wait = undefined;
  }

  fire(): void {
    const before = this.#wait;
    const now = this.#current();
    const same = now?.writer === before?.writer && now?.message === before?.message;
    if (same && now?.writer.idle === true && now.writer.calls === this.#calls) {
      this.#reported = now.writer;
      this.#report(PATIENCE_MS);
    } else this.start();
  }
}
