import { portablePlatform } from '@ws/conn';
import { Deferred, Fifo } from '@ws/conn/internal';
import type { Backplane, BackplaneSink } from '../backplane/backplane.ts';
import { ANSWER_MS, setAnswerTimer, withTimeout } from '../backplane/with-timeout.ts';
import { BackplaneError } from '../errors.ts';
import { Batches } from './batches.ts';
import { connect } from './cluster-broker.ts';
import type { Link, LinkedHub, Reply, Request, Requests } from './wire.ts';

/** Longest wait for an answer of the broker to `start`, in ms. */
const START_MS = 5_000;

/**
 * Connects the hubs of all processes of {@link runCluster}, or of all workers of a primary with
 * {@link clusterBroker}. All these hubs share their rooms and broadcasts, even two hubs of one
 * process. The primary keeps the histories of rooms.
 *
 * Without such a primary, for example under PM2, the hub is down, and its event `error` has a
 * BackplaneError after 5 s.
 *
 * @example
 * ```ts
 * import { Hub } from '@ws/hub';
 * import { clusterBackplane, clusterBroker } from '@ws/hub/cluster';
 *
 * clusterBroker(); // in the primary; `runCluster` calls it
 * const hub = new Hub({ backplane: clusterBackplane(), rooms: { lobby: { history: true } } });
 * console.log(await hub.room('lobby').publish('hello')); // { epoch: …, offset: 1 }
 * await hub.close();
 * ```
 */
export function clusterBackplane(): Backplane {
  return new WorkerBackplane(connect);
}

/** The backplane of a hub with a {@link Link} to the broker, in a worker or in the primary. */
export class WorkerBackplane implements Backplane, LinkedHub {
  readonly #connect: typeof connect;
  #link: Link | undefined;
  #sink: BackplaneSink | undefined;
  #started: Promise<void> | undefined;
  #hasBroker = false;
  /** The pending answers of the broker, in the order of the requests. */
  readonly #answers = new Fifo<Deferred<unknown>>();
  /** Cancels the timer for the next answer of the broker. */
  #cancelTimer = (): void => {};
  /** Whether the broker has not answered in time, as `down` has reported to the hub. */
  #isDown = false;
  readonly #batches = new Batches<Request>((batch, sent) => this.#link?.send(batch, sent));

  /** @param connect - Returns undefined in a process that cannot reach a broker. */
  constructor(connect: (hub: LinkedHub) => Link | undefined) {
    this.#connect = connect;
  }

  async start(sink: BackplaneSink): Promise<void> {
    this.#sink = sink;
    this.#link ??= this.#connect(this);
    if (this.#link !== undefined) this.#started ??= this.#ask(['start']);
    const started = withTimeout(portablePlatform, START_MS, this.#started ?? new Promise(() => {}));
    await started.catch((cause) => {
      throw new BackplaneError(NO_BROKER, { cause });
    });
    this.#hasBroker = true;
  }

  readonly publish: Requests['publish'] = (...args) =>
    this.#ask(['publish', ...args], args[1].length);
  readonly subscribe: Requests['subscribe'] = (channel) => this.#ask(['subscribe', channel]);
  readonly unsubscribe: Requests['unsubscribe'] = (channel) => this.#ask(['unsubscribe', channel]);
  readonly history: Requests['history'] = (...args) => this.#ask(['history', ...args]);

  async close(): Promise<void> {
    if (this.#link === undefined) return;
    const closed = this.#ask(['close']);
    // Without a broker, `closed` never settles.
    if (this.#hasBroker) await closed;
    this.#link.disconnect();
  }

  /** Takes the replies of the broker. */
  take(replies: readonly Reply[]): void {
    const waiting = this.#answers.length;
    for (const reply of replies) {
      if (reply[0] === 'answer') this.#answers.shift()!.resolve(reply[1]);
      else if (reply[0] === 'gap') this.#sink!.gap();
      // Copies the bytes: a view would keep the memory of its whole batch.
      else if (reply[0] === 'message') this.#sink!.message(reply[1], reply[2].slice(), reply[3]);
    }
    if (this.#answers.length === waiting) return;
    this.#watchSilence();
    if (!this.#isDown) return;
    this.#isDown = false;
    // Between processes no message is lost.
    this.#sink!.up(true);
  }

  /** Reports that the broker is away when it has answered nothing for {@link ANSWER_MS}. */
  #watchSilence(): void {
    this.#cancelTimer();
    if (this.#answers.length === 0) return;
    this.#cancelTimer = setAnswerTimer(portablePlatform, ANSWER_MS, () => {
      this.#isDown = true;
      this.#sink!.down(new Error(`the primary has not answered for ${ANSWER_MS} ms`));
    });
  }

  /** The connection to the primary has ended. */
  ended(error: Error): void {
    this.#link = undefined;
    this.#cancelTimer();
    this.#sink!.down(error);
    while (this.#answers.length > 0) this.#answers.shift()!.reject(error);
  }

  #ask<Answer>(request: Request, messageBytes = 0): Promise<Answer> {
    const answer = new Deferred<unknown>();
    this.#answers.add(answer);
    if (this.#hasBroker && this.#answers.length === 1) this.#watchSilence();
    this.#batches.add(request, messageBytes, false);
    return answer.promise as Promise<Answer>;
  }
}

const NO_BROKER =
  'no broker has answered for 5000 ms; start the program with runCluster, ' +
  'or connect its processes over Redis (redisBackplane of @ws/hub/redis)';
