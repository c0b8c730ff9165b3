import { portablePlatform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import type { Keep } from '../backplane/backplane.ts';
import { ANSWER_MS } from '../backplane/engine-times.ts';
import type { Position } from '../position.ts';
import { hasNotRun } from './shard.ts';

/** Bounds of the publications that wait for their shard. They leave room for other shards. */
const MAX_HELD = 1_000;
const MAX_HELD_BYTES = 33_554_432;

/** A publication that no server has run. */
export interface Held {
  /** Its place in the order of all publications. */
  readonly order: number;
  readonly bytes: Uint8Array;
  readonly keep: Keep | undefined;
}

interface Waiting extends Held {
  readonly until: number;
  readonly answer: Deferred<Position | undefined>;
}

/** Sends publications again that no server has run, each channel in order. */
export class HeldPublications {
  readonly #send: (channel: string, held: Held) => Promise<Position | undefined>;
  readonly #changed: () => Promise<void>;
  readonly #channels = new Map<string, Waiting[]>();
  #count = 0;
  #bytes = 0;

  /** @param changed - Resolves when the topology may have changed. */
  constructor(
    send: (channel: string, held: Held) => Promise<Position | undefined>,
    changed: () => Promise<void>,
  ) {
    this.#send = send;
    this.#changed = changed;
  }

  /** Whether a later publication must wait too. */
  has(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /** @param first - Resolves when earlier publications of the channel have been answered. */
  add(
    channel: string,
    held: Held,
    why: unknown,
    first: () => Promise<void>,
  ): Promise<Position | undefined> {
    if (this.#count >= MAX_HELD || this.#bytes >= MAX_HELD_BYTES) {
      const text = `${this.#count} messages already wait for parts of the cluster`;
      return Promise.reject(new Error(text, { cause: why }));
    }
    this.#count++;
    this.#bytes += held.bytes.length;
    const until = portablePlatform.now() + ANSWER_MS;
    const waiting: Waiting = { ...held, until, answer: new Deferred() };
    const queue = this.#channels.get(channel);
    if (queue !== undefined) insert(queue, waiting);
    else {
      this.#channels.set(channel, [waiting]);
      void this.#run(channel, first);
    }
    return waiting.answer.promise;
  }

  async #run(channel: string, first: () => Promise<void>): Promise<void> {
    await first();
    await this.#changed();
    const queue = this.#channels.get(channel)!;
    while (queue.length > 0) {
      const round = queue.splice(0);
      await Promise.all(round.map((waiting) => this.#try(channel, queue, waiting)));
      if (queue[0] !== undefined && queue[0].order <= round.at(-1)!.order) await this.#changed();
    }
    this.#channels.delete(channel);
  }

  async #try(channel: string, queue: Waiting[], waiting: Waiting): Promise<void> {
    const { until, answer, bytes } = waiting;
    try {
      const position = await this.#send(channel, waiting);
      answer.resolve(position);
    } catch (error) {
      if (hasNotRun(error) && portablePlatform.now() < until) return insert(queue, waiting);
      answer.reject(error);
    }
    this.#count--;
    this.#bytes -= bytes.length;
  }
}

/** Keeps the queue in order: the answers to publications may arrive in another order. */
function insert(queue: Waiting[], waiting: Waiting): void {
  const after = queue.findLastIndex(({ order }) => order < waiting.order);
  queue.splice(after + 1, 0, waiting);
}
