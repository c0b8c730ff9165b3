import type { Followed } from '@ws/rpc/internal/following';

/** A held message. The history has those with a position. */
type Held = Followed & { readonly message?: { readonly bytes: Uint8Array } | undefined };

/** The part of one cursor in the messages that are held for a session, in all its rooms together. */
export class HeldShare {
  readonly #session: { readonly held: { messages: number; bytes: number } };
  /** The held messages that count for the session. */
  #counted: readonly Held[] = [];
  #count = 0;
  #bytes = 0;

  constructor(session: { readonly held: { messages: number; bytes: number } }) {
    this.#session = session;
  }

  /** Counts the messages that are held now. */
  update(held: readonly Held[]): void {
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
    item: Held,
    bounds: { readonly maxQueuedMessages: number; readonly maxQueuedBytes: number },
  ): boolean {
    const { messages, bytes } = this.#session.held;
    const { maxQueuedMessages, maxQueuedBytes } = bounds;
    const share = item.position === undefined ? 1 : 2;
    return messages < maxQueuedMessages / share && bytes + sizeOf(item) <= maxQueuedBytes / share;
  }
}

function sizeOf({ message }: Held): number {
  return message?.bytes.length ?? 0;
}
