import type { MessageDecoder } from '@ws/codec';
import { Message, type MessagePlatform } from '../message.ts';

/** Charged for each message on top of its bytes: its objects have 290 bytes. */
const MESSAGE_COST = 320;

/** Messages that were read ahead, in their order. The last ones may be held back. */
export class MessageQueue {
  /** Bytes of the messages, plus a fixed cost for each message. */
  cost = 0;
  readonly #messages: Message[] = [];
  /** Number of the last messages that no reader may take yet. */
  #held = 0;

  get empty(): boolean {
    return this.#messages.length === 0;
  }

  get length(): number {
    return this.#messages.length;
  }

  push(message: Message): void {
    this.#messages.push(message);
    this.cost += message.data.length + MESSAGE_COST;
  }

  /** Adds a message before all others. */
  unshift(message: Message): void {
    this.#messages.unshift(message);
    this.cost += message.data.length + MESSAGE_COST;
  }

  /** Removes the first message, unless it is held back. */
  shift(): Message | undefined {
    if (this.#messages.length === this.#held) return undefined;
    const message = this.#messages.shift()!;
    this.cost -= message.data.length + MESSAGE_COST;
    return message;
  }

  /** Adds a message that no reader may take before {@link unhold}. */
  hold(message: Message): void {
    this.push(message);
    this.#held++;
  }

  /** The first message that is held back. */
  get firstHeld(): Message | undefined {
    return this.#held === 0 ? undefined : this.#messages[this.#messages.length - this.#held];
  }

  /** A reader may take {@link firstHeld}. */
  unhold(): void {
    this.#held--;
  }

  /** Removes {@link firstHeld}. */
  dropHeld(): void {
    const [dropped] = this.#messages.splice(this.#messages.length - this.#held, 1);
    this.cost -= dropped!.data.length + MESSAGE_COST;
    this.#held--;
  }
}

/** The message of a decoder after MESSAGE. */
export function messageOf(decoder: MessageDecoder, platform: MessagePlatform): Message {
  const message = new Message(decoder.type, decoder.data(), platform);
  decoder.release();
  return message;
}
