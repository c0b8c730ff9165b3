import type { Keep } from '../backplane/backplane.ts';
import { channelOf } from '../backplane/channel.ts';
import { EngineLogs } from '../backplane/engine-logs.ts';
import { decodeEnvelope, type Envelope, encodeEnvelope, NO_COUNT } from '../backplane/envelope.ts';
import { encodeWord, isText, isWhole } from '../backplane/words.ts';
import { isPosition, type Position } from '../position.ts';
import { Batches, type Send } from './batches.ts';
import type { Reply, Request } from './wire.ts';

/** Largest answer to a read of a history, in bytes of its messages. */
const MAX_ANSWER_BYTES = 262_144;
/** Bytes of messages that may wait for one hub. Above it, a gap replaces them. */
const MAX_WAITING_BYTES = 16 * 1_048_576;

/** For each kind of request: the checks of its arguments, in order. */
const CHECKS = new Map<unknown, readonly ((argument: unknown) => boolean)[]>([
  ['start', []],
  ['publish', [isText, (bytes) => bytes instanceof Uint8Array, isKeep]],
  ['subscribe', [isText]],
  ['unsubscribe', [isText]],
  ['history', [isText, (since) => since === undefined || isPosition(since), isWhole, isKeep]],
  ['close', []],
]);

/**
 * An engine in the memory of one process, for the hubs of several processes. All hubs receive
 * messages in the same order.
 */
export class Broker {
  readonly logs: EngineLogs = new EngineLogs(() => performance.now(), MAX_ANSWER_BYTES);
  readonly clients: Set<BrokerClient> = new Set();

  /** Sends a message to each hub that has subscribed to its channel. */
  publish(channel: string, bytes: Uint8Array, position?: Position): void {
    for (const client of this.clients) client.message(channel, bytes, position);
  }
}

/**
 * One hub as a client of the broker. `start`, `publish`, `subscribe`, `unsubscribe`, `history` and
 * `close` answer the requests of these names.
 */
export class BrokerClient {
  readonly #broker: Broker;
  readonly #batches: Batches<Reply>;
  readonly #channels = new Set<string>();
  /** The name of the hub in its messages; undefined before the first one. */
  #node: string | undefined;

  constructor(broker: Broker, send: Send<Reply>) {
    this.#broker = broker;
    this.#batches = new Batches(send);
  }

  /** Answers requests of the hub. Ignores other values, which the application may have sent. */
  take(requests: readonly Request[]): void {
    for (const request of requests) {
      if (!Array.isArray(request)) continue;
      const [name, ...args] = request as Request;
      if (!CHECKS.get(name)?.every((check, i) => check(args[i]))) continue;
      const answer = (this[name] as (...args: unknown[]) => unknown)(...args);
      this.#batches.add(['answer', answer], name === 'history' ? MAX_ANSWER_BYTES : 0, false);
    }
  }

  /** Sends a message to the hub if it has subscribed to the channel. */
  message(channel: string, bytes: Uint8Array, position: Position | undefined): void {
    if (!this.#channels.has(channel)) return;
    if (this.#batches.droppableBytes > MAX_WAITING_BYTES) {
      this.#batches.drop();
      this.#batches.add(['gap'], 0, true);
    }
    this.#batches.add(['message', channel, bytes, position], bytes.length, true);
  }

  /** Called when the process of the hub has ended. The other hubs get the word `end` for it. */
  ended(): void {
    this.close();
    if (this.#node === undefined) return;
    const word = encodeWord({ word: 'end' });
    const bytes = encodeEnvelope({ ...NO_COUNT, node: this.#node, word });
    this.#broker.publish(channelOf(undefined), bytes);
  }

  start(): void {
    this.#broker.clients.add(this);
  }

  publish(channel: string, view: Uint8Array, keep?: Keep): Position | undefined {
    // Copies the bytes: a view would keep the memory of its whole batch.
    const bytes = view.slice();
    this.#node ??= nodeOf(bytes);
    const position = keep === undefined ? undefined : this.#broker.logs.add(channel, bytes, keep);
    this.#broker.publish(channel, bytes, position);
    return position;
  }

  subscribe(channel: string): void {
    this.#channels.add(channel);
  }

  unsubscribe(channel: string): void {
    this.#channels.delete(channel);
  }

  history(...query: Parameters<EngineLogs['read']>): ReturnType<EngineLogs['read']> {
    return this.#broker.logs.read(...query);
  }

  close(): void {
    this.#broker.clients.delete(this);
  }
}

/** The name of the hub that has published a message. */
function nodeOf(bytes: Uint8Array): string | undefined {
  try {
    return (decodeEnvelope(bytes) as Partial<Envelope>).node;
  } catch {
    // Not an envelope. The hubs that receive the bytes report that.
    return undefined;
  }
}

function isKeep(value: unknown): boolean {
  const { size, ttl, bytes = 0, total = 0 } = Object(value) as Partial<Keep>;
  return value === undefined || [size, ttl, bytes, total].every(isWhole);
}
