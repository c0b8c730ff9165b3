import { portablePlatform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import type { Keep } from '../backplane/backplane.ts';
import { ANSWER_MS } from '../backplane/with-timeout.ts';
import type { Position } from '../position.ts';
import { hasNotRun } from './shard.ts';

/** Bounds of all queues together, below the hub's bounds: the rest is for shards that answer. */
const MAX_QUEUED = 1_000;
const MAX_QUEUED_BYTES = 33_554_432;

/** A publication that no server has run yet. */
export interface Publication {
  /** Grows with each publication of the hub. */
  readonly order: number;
  readonly bytes: Uint8Array;
  readonly keep: Keep | undefined;
}

interface Queued extends Publication {
  /** When the publication is given up, in ms of the platform's clock. */
  readonly until: number;
  readonly answer: Deferred<Position | undefined>;
}

/** Sends publications again that no server has run. Each channel has a queue in order. */
export class RetryQueues {
  readonly #send: (channel: string, publication: Publication) => Promise<Position | undefined>;
  readonly #rediscover: () => Promise<void>;
  readonly #queues = new Map<string, Queued[]>();
  #count = 0;
  #bytes = 0;

  /** @param rediscover - Tries to read the topology again. Resolves afterwards, and never rejects. */
  constructor(
    send: (channel: string, publication: Publication) => Promise<Position | undefined>,
    rediscover: () => Promise<void>,
  ) {
    this.#send = send;
    this.#rediscover = rediscover;
  }

  /** Whether earlier publications of the channel wait, so that a new one must wait too. */
  has(channel: string): boolean {
    return this.#queues.has(channel);
  }

  /**
   * @param cause - Why no server has run the publication.
   * @param untilAnswered - Resolves when earlier publications of the channel have been answered.
   */
  add(
    channel: string,
    publication: Publication,
    cause: unknown,
    untilAnswered: () => Promise<void>,
  ): Promise<Position | undefined> {
    if (this.#count >= MAX_QUEUED || this.#bytes >= MAX_QUEUED_BYTES) {
      const text = `${this.#count} messages already wait for parts of the cluster`;
      return Promise.reject(new Error(text, { cause }));
    }
    this.#count++;
    this.#bytes += publication.bytes.length;
    const until = portablePlatform.now() + ANSWER_MS;
    const queued: Queued = { ...publication, until, answer: new Deferred() };
    const queue = this.#queues.get(channel);
    if (queue !== undefined) insert(queue, queued);
    else {
      this.#queues.set(channel, [queued]);
      void this.#sendQueue(channel, untilAnswered);
    }
    return queued.answer.promise;
  }

  async #sendQueue(channel: string, untilAnswered: () => Promise<void>): Promise<void> {
    await untilAnswered();
    await this.#rediscover();
    const queue = this.#queues.get(channel)!;
    while (queue.length > 0) {
      const sent = queue.splice(0);
      await Promise.all(sent.map((each) => this.#sendAgain(channel, queue, each)));
      if (queue[0] !== undefined && queue[0].order <= sent.at(-1)!.order) await this.#rediscover();
    }
    this.#queues.delete(channel);
  }

  async #sendAgain(channel: string, queue: Queued[], queued: Queued): Promise<void> {
    const { until, answer, bytes } = queued;
    try {
      const position = await this.#send(channel, queued);
      answer.resolve(position);
    } catch (error) {
      if (hasNotRun(error) && portablePlatform.now() < until) return insert(queue, queued);
      answer.reject(error);
    }
    this.#count--;
    this.#bytes -= bytes.length;
  }
}

/** Inserts a publication in order: the refusals of publications may arrive in any order. */
function insert(queue: Queued[], queued: Queued): void {
  const before = queue.findLastIndex(({ order }) => order < queued.order);
  queue.splice(before + 1, 0, queued);
}
