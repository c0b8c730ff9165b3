import type { Publication } from '../delivery/audience.ts';
import type { HubSettings } from '../options.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';

/** Bound of the live messages for which `form` has failed while a session resumes. */
const MAX_SKIPPED = 256;

/** The live messages that wait for the end of one resume, and the offsets that `form` has skipped. */
export class HeldMessages<Data> {
  readonly #settings: HubSettings<Data>;
  readonly #session: Session<Data>;
  /** The messages that wait, in order. */
  #publications: Publication<Data>[] = [];
  /** For each message for which `form` has failed: its offset, and the offset of the message before. */
  #skipped: Map<number, number> | undefined;

  constructor(settings: HubSettings<Data>, session: Session<Data>) {
    this.#settings = settings;
    this.#session = session;
  }

  get count(): number {
    return this.#publications.length;
  }

  /** Adds a message. Returns false above `maxQueuedMessages` or `maxQueuedBytes` of the session. */
  add(publication: Publication<Data>): boolean {
    this.#publications.push(publication);
    const { held } = this.#session;
    held.messages++;
    held.bytes += publication.message.bytes.length;
    const { maxQueuedMessages, maxQueuedBytes } = this.#settings;
    return held.messages <= maxQueuedMessages && held.bytes <= maxQueuedBytes;
  }

  takeAll(): readonly Publication<Data>[] {
    const publications = this.#publications;
    this.#publications = [];
    const { held } = this.#session;
    held.messages -= publications.length;
    for (const { message } of publications) held.bytes -= message.bytes.length;
    return publications;
  }

  /** The first waiting message after `last` in the same history. */
  nextAfter(last: Position | undefined): Publication<Data> | undefined {
    return this.#publications.find(
      ({ position: at }) => at !== undefined && at.epoch === last?.epoch && at.offset > last.offset,
    );
  }

  /**
   * Drops the messages of older histories: those that arrived before a read and have another epoch.
   *
   * @param countBefore - {@link count} when the read began.
   * @param epoch - The epoch of the history that was read.
   */
  dropOlder(countBefore: number, epoch: string): void {
    for (const [i, publication] of this.takeAll().entries()) {
      const { position } = publication;
      const isOlder = i < countBefore && position !== undefined && position.epoch !== epoch;
      if (!isOlder) this.add(publication);
    }
  }

  /** Called when `form` has failed. @param previous - The offset of the message before. */
  skip(offset: number, previous: number): void {
    this.#skipped ??= new Map();
    if (this.#skipped.size < MAX_SKIPPED) this.#skipped.set(offset, previous);
  }

  hasSkipped(offset: number): boolean {
    return this.#skipped?.has(offset) === true;
  }

  /** Whether all messages after `from`, up to `offset`, are skipped. */
  hasSkippedAll(from: number, offset: number): boolean {
    let at: number | undefined = offset;
    while (at !== undefined && at > from) at = this.#skipped?.get(at);
    return at !== undefined;
  }
}
