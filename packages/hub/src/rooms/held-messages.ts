import type { PreparedMessage } from '@ws/conn';
import type { Publication } from '../delivery/audience.ts';
import type { HubSettings } from '../options.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';

/** Live messages that wait for the ends of resumes. All rooms of a session have one bound. */
export class HeldMessages<Data> {
  readonly #settings: HubSettings<Data>;
  readonly #held = new Map<Session<Data>, { messages: number; bytes: number }>();

  constructor(settings: HubSettings<Data>) {
    this.#settings = settings;
  }

  /** Returns false above the bounds of slow sessions. */
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
  readonly #held: HeldMessages<Data>;
  readonly #session: Session<Data>;
  #publications: Publication<Data>[] = [];

  constructor(held: HeldMessages<Data>, session: Session<Data>) {
    this.#held = held;
    this.#session = session;
  }

  get count(): number {
    return this.#publications.length;
  }

  /** Returns false above the bounds of slow sessions. */
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

  /** The first one after a position, in its history. */
  nextAfter(last: Position | undefined): Publication<Data> | undefined {
    return this.#publications.find(
      ({ position: at }) => at !== undefined && at.epoch === last?.epoch && at.offset > last.offset,
    );
  }

  /**
   * Drops what has waited of another history than the one that was read. It is older.
   *
   * @param before - {@link count} when the read began.
   */
  dropOthers(before: number, epoch: string): void {
    for (const [i, publication] of this.takeAll().entries()) {
      const { position } = publication;
      if (i >= before || position === undefined || position.epoch === epoch) this.add(publication);
    }
  }
}
