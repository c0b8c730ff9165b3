import { type Content, headOf, isContent } from './content.ts';

/** Accepted as far as is known. */
export const ACCEPTED = 0;
/** Its sender was told that nothing of it was sent, and that the connection goes on: it must not arrive. */
export const REFUSED = 1;
/** Its sender was told that it may be lost. */
export const TOLD = 2;
/** One of several that were sent together, of which some were refused: it may be missing. */
export const MAYBE = 3;

/** One message that a side has said. */
export interface Said {
  readonly content: Content;
  state: typeof ACCEPTED | typeof REFUSED | typeof TOLD | typeof MAYBE;
  /** The stream that it waits for. It has no promise of its own, and that of the stream tells of both. */
  readonly behind?: Said | undefined;
}

/** All that was said in one direction of a connection, held against what is heard at the other end, as it is heard. */
export class Ledger {
  readonly said: Said[] = [];
  /** Nothing more will be said. */
  done = false;
  /** Messages that have arrived. */
  heard = 0;
  /** Promises and callbacks that have not settled. */
  pending = 0;
  /** The first breach of order, number or content. */
  fault: string | undefined;
  /** The first of `said` that may arrive next. */
  #next = 0;

  /** Notes a message before it is handed to the library, so that none can arrive before it is noted. */
  say(content: Content, behind?: Said): Said {
    const said: Said = { content, state: ACCEPTED, behind };
    this.said.push(said);
    return said;
  }

  /** A message has arrived: it must be the next that was said. */
  hear(text: boolean, data: string | Uint8Array): void {
    this.heard++;
    for (; this.#next < this.said.length; this.#next++) {
      const { content, state } = this.said[this.#next]!;
      if (state === REFUSED) continue;
      if (isContent(content, text, data)) {
        this.#next++;
        return;
      }
      if (state === MAYBE) continue;
      const { tag, number, size } = content;
      const due = `${content.text ? 'text' : 'bytes'} ${tag}:${number}:${size}`;
      this.fault ??= `message ${this.heard}: ${headOf(text, data)} came, ${due} was next`;
      return;
    }
    this.fault ??= `message ${this.heard}: ${headOf(text, data)} came, and nothing was to come`;
  }

  /** How many of the first `before` are accepted and have not arrived. */
  missing(before: number = this.said.length): number {
    let missing = 0;
    for (let i = this.#next; i < before; i++) {
      const { state, behind } = this.said[i]!;
      if (state === ACCEPTED && behind?.state !== TOLD) missing++;
    }
    return missing;
  }

  /** Whether all has been said and heard. */
  get complete(): boolean {
    return this.done && this.missing() === 0;
  }
}
