import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { type Item, sizeOf } from './member-log.ts';

/** The part of one cursor in the messages that are held for a session, in all its rooms together. */
export class HeldShare<Data> {
  readonly #session: Session<Data>;
  /** The held messages that count for the session. */
  #counted: readonly Item<Data>[] = [];
  #count = 0;
  #bytes = 0;

  constructor(session: Session<Data>) {
    this.#session = session;
  }

  /** Counts the messages that are held now. */
  update(held: readonly Item<Data>[]): void {
    const { held: counts } = this.#session;
    let bytes = this.#bytes;
    if (held !== this.#counted) bytes = held.reduce((sum, each) => sum + sizeOf(each), 0);
    else for (let i = this.#count; i < held.length; i++) bytes += sizeOf(held[i]!);
    counts.messages += held.length - this.#count;
    counts.bytes += bytes - this.#bytes;
    this.#counted = held;
    this.#count = held.length;
    this.#bytes = bytes;
  }

  /**
   * Whether the session may hold one more message. Messages that the history has take at most half of the
   * room: the rest is for those that it does not have.
   */
  hasRoomFor(
    item: Item<Data>,
    { maxQueuedMessages, maxQueuedBytes }: Sessions<Data>['settings'],
  ): boolean {
    const { messages, bytes } = this.#session.held;
    const share = item.position === undefined ? 1 : 2;
    return messages < maxQueuedMessages / share && bytes + sizeOf(item) <= maxQueuedBytes / share;
  }
}
