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
  /** Its promise or callback waits. A refusal may come after the arrival of later messages. */
  open: boolean;
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
  /** Messages that were open when a later one arrived, with the fault unless they are refused. */
  readonly #passed: { readonly sent: Sent; readonly fault: string }[] = [];
  #fault: string | undefined;
  /** Index of the first message that may arrive next. */
  #next = 0;

  /** Records a message. Call it before the library gets the message. */
  add(content: Content, behind: Iterable<Sent> = []): Sent {
    const sent: Sent = { content, state: ACCEPTED, open: false, behind: [...behind] };
    this.sent.push(sent);
    return sent;
  }

  /** The first violation of order, count or content. Every promise has to be settled. */
  get fault(): string | undefined {
    const lost = ({ sent: { state } }: { sent: Sent }): boolean =>
      state !== REJECTED && state !== MAYBE;
    return this.#fault ?? this.#passed.find(lost)?.fault;
  }

  /** Checks a received message: it must be the next sent one. */
  receive(text: boolean, data: string | Uint8Array): void {
    this.received++;
    let fault = `message ${this.received}: ${headOf(text, data)} came, and nothing was to come`;
    const passed: Sent[] = [];
    for (let i = this.#next; i < this.sent.length; i++) {
      const sent = this.sent[i]!;
      if (sent.state === REJECTED) continue;
      if (isContent(sent.content, text, data)) {
        this.#next = i + 1;
        for (const each of passed) this.#passed.push({ sent: each, fault });
        return;
      }
      if (sent.state === MAYBE) continue;
      if (passed.length === 0) {
        const { tag, number, size, text } = sent.content;
        const due = `${text ? 'text' : 'bytes'} ${tag}:${number}:${size}`;
        fault = fault.replace('and nothing was to come', `${due} was next`);
      }
      passed.push(sent);
      if (!sent.open) break;
    }
    this.#fault ??= fault;
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
