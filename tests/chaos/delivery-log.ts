import { type Content, headOf, isContent } from './message-content.ts';

/** Accepted, as far as known. */
export const ACCEPTED = 0;
/** Rejected with nothing sent; the connection continues. The message must not arrive. */
export const REJECTED = 1;
/** Rejected; the message may be lost. */
export const FAILED = 2;
/** Part of a broadcast that some connections rejected; the message may be missing. */
export const MAYBE = 3;

/** A sent message. */
export interface Sent {
  readonly content: Content;
  state: typeof ACCEPTED | typeof REJECTED | typeof FAILED | typeof MAYBE;
  /** The open streams before it. A broadcast has no promise: theirs report its loss. */
  readonly behind: readonly Sent[];
}

/** The messages sent in one direction, compared with the received ones. */
export class DeliveryLog {
  readonly sent: Sent[] = [];
  /** No more messages follow. */
  done = false;
  /** Number of received messages. */
  received = 0;
  /** Number of unsettled promises and callbacks. */
  pending = 0;
  /** The first violation of order, count or content. */
  fault: string | undefined;
  /** Index of the first message that may arrive next. */
  #next = 0;

  /** Records a message. Call it before the library gets the message. */
  add(content: Content, behind: Iterable<Sent> = []): Sent {
    const sent: Sent = { content, state: ACCEPTED, behind: [...behind] };
    this.sent.push(sent);
    return sent;
  }

  /** Checks a received message: it must be the next sent one. */
  receive(text: boolean, data: string | Uint8Array): void {
    this.received++;
    for (; this.#next < this.sent.length; this.#next++) {
      const { content, state } = this.sent[this.#next]!;
      if (state === REJECTED) continue;
      if (isContent(content, text, data)) {
        this.#next++;
        return;
      }
      if (state === MAYBE) continue;
      const { tag, number, size } = content;
      const due = `${content.text ? 'text' : 'bytes'} ${tag}:${number}:${size}`;
      this.fault ??= `message ${this.received}: ${headOf(text, data)} came, ${due} was next`;
      return;
    }
    this.fault ??= `message ${this.received}: ${headOf(text, data)} came, and nothing was to come`;
  }

  /** Number of accepted messages among the first `before` that have not arrived. */
  missing(before: number = this.sent.length): number {
    let missing = 0;
    for (let i = this.#next; i < before; i++) {
      const { state, behind } = this.sent[i]!;
      if (state === ACCEPTED && !behind.some((stream) => stream.state === FAILED)) missing++;
    }
    return missing;
  }

  /** All messages were sent and received. */
  get complete(): boolean {
    return this.done && this.missing() === 0;
  }
}
