import type { MessageDecoder } from '@ws/codec';
import { Fifo } from '../memory/fifo.ts';
import { Message, type MessagePlatform } from '../message.ts';

/** Bytes charged for each message in addition to its data. The objects of a message have 290 bytes. */
const MESSAGE_COST = 320;

/** The read-ahead: complete messages in the order of arrival. */
export class MessageQueue {
  /** Bytes of the messages, plus a fixed cost for each message. */
  cost = 0;
  readonly #messages = new Fifo<Message>();

  get empty(): boolean {
    return this.#messages.length === 0;
  }

  get length(): number {
    return this.#messages.length;
  }

  push(message: Message): void {
    this.#messages.add(message);
    this.cost += message.data.length + MESSAGE_COST;
  }

  /** Removes the first message. */
  shift(): Message | undefined {
    const message = this.#messages.shift();
    if (message !== undefined) this.cost -= message.data.length + MESSAGE_COST;
    return message;
  }
}

/** Returns the complete message of a decoder, after its event MESSAGE. */
export function messageOf(decoder: MessageDecoder, platform: MessagePlatform): Message {
  const message = new Message(decoder.type, decoder.data(), platform);
  decoder.release();
  return message;
}
