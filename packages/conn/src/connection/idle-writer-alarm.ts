import { TimeoutError } from '../errors.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import type { Connection } from './connection.ts';
import type { MessageWriter } from './message-writer.ts';
import type { Waiting, WaitingWrites } from './waiting-writes.ts';

/** Time in ms that a message waits for an idle MessageWriter before it is reported. */
const PATIENCE_MS = 5_000;

/**
 * Reports a MessageWriter that its owner has forgotten: a message has waited for it, and the writer
 * made no call meanwhile. Each writer is reported once.
 */
export class IdleWriterAlarm implements TimerEntry {
  slot: number | undefined;
  readonly #connection: Connection;
  readonly #writes: WaitingWrites;
  /** The open writer when the time began, the number of its calls, and the first write that waited. */
  #writer: MessageWriter | undefined;
  #calls = 0;
  #first: Waiting | undefined;
  #reported: MessageWriter | undefined;

  constructor(connection: Connection, writes: WaitingWrites) {
    this.#connection = connection;
    this.#writes = writes;
  }

  /** A message waits, or another one is now the first. */
  start(): void {
    if (this.slot !== undefined) return;
    const { open } = this.#connection.writer;
    const { first } = this.#writes;
    this.#writer = open;
    this.#first = first;
    if (open === undefined || first === undefined || open === this.#reported) return;
    this.#calls = open.calls;
    this.#connection.shared.timers.set(this, PATIENCE_MS);
  }

  stop(): void {
    this.#connection.shared.timers.clear(this);
    this.#writer = undefined;
    this.#first = undefined;
  }

  fire(): void {
    const writer = this.#writer;
    const isSame = writer === this.#connection.writer.open && this.#first === this.#writes.first;
    if (!isSame || writer?.idle !== true || writer.calls !== this.#calls) return this.start();
    this.#reported = writer;
    const text = `a message has waited ${PATIENCE_MS} ms for an idle MessageWriter; close() the writer`;
    this.#connection.report(new TimeoutError(text), 'nextWriter');
  }
}
