import type { PreparedMessage } from '@ws/conn';
import type { Publication } from '../delivery/audience.ts';
import type { HubSettings } from '../options.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';

/** Counts the live messages that wait in the queues of a session. One bound is for all its rooms. */
export class HeldTotals<Data> {
  readonly #settings: HubSettings<Data>;
  readonly #held = new Map<Session<Data>, { messages: number; bytes: number }>();

  constructor(settings: HubSettings<Data>) {
    this.#settings = settings;
  }

  /** Counts a message. Returns false above `maxQueuedMessages` or `maxQueuedBytes`. */
  add(session: Session<Data>, { bytes }: PreparedMessage): boolean {
    let held = this.#held.get(session);
    if (held === undefined) this.#held.set(session, (held = { messages: 0, bytes: 0 }));
    held.messages++;
    held.bytes += bytes.length;
    const { maxQueuedMessages, maxQueuedBytes } = this.#settings;
    return held.messages <= maxQueuedMessages && held.bytes <= maxQueuedBytes;
  }

  remove(session: Session<Data>, { bytes }: PreparedMessage): void {
    const held = this.#held.get(session)!;
    held.messages--;
    held.bytes -= bytes.length;
    if (held.messages === 0) this.#held.delete(session);
  }
}

/** The live messages that wait for the end of one resume, in order. */
export class HeldQueue<Data> {
  readonly #held: HeldTotals<Data>;
  readonly #session: Session<Data>;
  #publications: Publication<Data>[] = [];

  constructor(held: HeldTotals<Data>, session: Session<Data>) {
    this.#held = held;
    this.#session = session;
  }

  get count(): number {
    return this.#publications.length;
  }

  /** Adds a message. Returns false above the bounds of the session, see {@link HeldTotals}. */
  add(publication: Publication<Data>): boolean {
    this.#publications.push(publication);
    return this.#held.add(this.#session, publication.message);
  }

  takeAll(): readonly Publication<Data>[] {
    const publications = this.#publications;
    this.#publications = [];
    for (const { message } of publications) this.#held.remove(this.#session, message);
    return publications;
  }

  /** The first queued message after `last` in the same history. */
  nextAfter(last: Position | undefined): Publication<Data> | undefined {
    return this.#publications.find(
      ({ position: at }) => at !== undefined && at.epoch === last?.epoch && at.offset > last.offset,
    );
  }

  /**
   * Drops the messages of older histories: those of another epoch that arrived before the read.
   *
   * @param before - {@link count} when the read began.
   * @param epoch - Of the history that was read.
   */
  dropOthers(before: number, epoch: string): void {
    for (const [i, publication] of this.takeAll().entries()) {
      const { position } = publication;
      if (i >= before || position === undefined || position.epoch === epoch) this.add(publication);
    }
  }
}
