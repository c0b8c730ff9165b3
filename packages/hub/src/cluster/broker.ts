import { channelOf } from '../backplane/channel.ts';
import { EngineLogs } from '../backplane/engine-logs.ts';
import { decodeEnvelope, encodeEnvelope } from '../backplane/envelope.ts';
import { NO_COUNT } from '../backplane/word-sender.ts';
import { encodeWord } from '../backplane/words.ts';
import type { Position } from '../position.ts';
import { Batches, type Send } from './batches.ts';
import type { Arguments, Question, Reply } from './wire.ts';

/** Bytes of the messages of one answer to a read. */
const MAX_ANSWER_BYTES = 262_144;
/** Bytes of messages that wait for one process. Above it the next one drops them, and a gap is told. */
const MAX_WAITING_BYTES = 16 * 1_048_576;

/** The engine between the hubs of several processes, in memory. It has one order of all messages. */
export class Broker {
  readonly logs: EngineLogs = new EngineLogs(() => performance.now(), MAX_ANSWER_BYTES);
  readonly #subscribers = new Map<string, Set<Subscriber>>();

  /** Number of the channels with subscribers. */
  get channels(): number {
    return this.#subscribers.size;
  }

  /** Adds a process. */
  connect(send: Send<Reply>): Client {
    return new Client(this, send);
  }

  /** Sends a message to each hub that has subscribed to its channel. */
  publish(channel: string, bytes: Uint8Array, position?: Position): void {
    for (const { hub, client } of this.#subscribers.get(channel) ?? []) {
      client.message(['message', hub, [channel, bytes, position]], bytes.length);
    }
  }

  subscribe(channel: string, subscriber: Subscriber): void {
    const all = this.#subscribers.get(channel);
    if (all === undefined) this.#subscribers.set(channel, new Set([subscriber]));
    else all.add(subscriber);
    subscriber.channels.add(channel);
  }

  unsubscribe(channel: string, subscriber: Subscriber): void {
    subscriber.channels.delete(channel);
    const all = this.#subscribers.get(channel);
    if (all?.delete(subscriber) && all.size === 0) this.#subscribers.delete(channel);
  }
}

/** A hub. */
interface Subscriber {
  readonly hub: number;
  readonly client: Client;
  readonly channels: Set<string>;
  /** The name of its run, once it has published. */
  node: string | undefined;
}

/** A process with hubs. */
export class Client {
  readonly #broker: Broker;
  readonly #batches: Batches<Reply>;
  readonly #hubs = new Map<number, Subscriber>();

  constructor(broker: Broker, send: Send<Reply>) {
    this.#broker = broker;
    // A process that takes no more has ended, and its end is reported.
    this.#batches = new Batches(send, () => {});
  }

  /** Takes the questions of the process. */
  take(questions: readonly Question[]): void {
    for (const question of questions) {
      const [name, , call] = question;
      const size = name === 'history' ? MAX_ANSWER_BYTES : 0;
      this.#batches.add(['answer', call, this.#answer(question)], size, false);
    }
  }

  /** Sends a message of another hub, or of this one. */
  message(reply: Reply, bytes: number): void {
    if (this.#batches.droppable > MAX_WAITING_BYTES) {
      this.#batches.drop();
      for (const hub of this.#hubs.keys()) this.#batches.add(['gap', hub], 0, true);
    }
    this.#batches.add(reply, bytes, true);
  }

  /** The process has ended. Its hubs cannot say so themselves. */
  ended(): void {
    const all = [...this.#hubs.values()];
    for (const hub of all) this.#removeHub(hub);
    for (const { node } of all) {
      if (node !== undefined) this.#broker.publish(channelOf(undefined), endOf(node));
    }
  }

  #answer([name, number, , args]: Question): unknown {
    if (name === 'start') return this.#addHub(number);
    const hub = this.#hubs.get(number);
    if (hub === undefined) return undefined;
    switch (name) {
      case 'publish':
        return this.#publish(hub, ...args);
      case 'subscribe':
        return this.#broker.subscribe(args[0], hub);
      case 'unsubscribe':
        return this.#broker.unsubscribe(args[0], hub);
      case 'history':
        return this.#broker.logs.read(...args);
      case 'close':
        return this.#removeHub(hub);
    }
  }

  #publish(hub: Subscriber, ...[channel, view, keep]: Arguments<'publish'>): Position | undefined {
    // The view keeps the memory of its whole batch.
    const bytes = view.slice();
    hub.node ??= nodeOf(bytes);
    const position = keep === undefined ? undefined : this.#broker.logs.add(channel, bytes, keep);
    this.#broker.publish(channel, bytes, position);
    return position;
  }

  #addHub(hub: number): void {
    if (this.#hubs.has(hub)) return;
    this.#hubs.set(hub, { hub, client: this, channels: new Set(), node: undefined });
  }

  #removeHub(hub: Subscriber): void {
    this.#hubs.delete(hub.hub);
    for (const channel of hub.channels) this.#broker.unsubscribe(channel, hub);
  }
}

/** The name of the run of the hub that has published a message. */
function nodeOf(bytes: Uint8Array): string | undefined {
  try {
    const envelope = decodeEnvelope(bytes);
    return 'node' in envelope ? envelope.node : undefined;
  } catch {
    // The hubs that receive it report it.
    return undefined;
  }
}

/** The word of a hub that ends. */
function endOf(node: string): Uint8Array {
  return encodeEnvelope({ ...NO_COUNT, node, word: encodeWord({ word: 'end' }) });
}
