import { Deferred } from '@ws/conn/internal';
import type { Backplane, BackplaneSink } from '../backplane/backplane.ts';
import { BackplaneError } from '../errors.ts';
import type { Link } from './link.ts';
import { processLink } from './process-link.ts';
import type { Arguments } from './wire.ts';

/** Longest wait for the broker, in ms. */
const START_MS = 5_000;

/**
 * Connects the hubs of the processes of one machine over their primary, which keeps the histories of
 * rooms. The processes are those of {@link runCluster}, or workers of a primary with
 * {@link clusterBroker}. Hubs of one cluster share their rooms and broadcasts, also two hubs of one process.
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
  return new WorkerBackplane(processLink);
}

/** A hub of a process. */
export class WorkerBackplane implements Backplane {
  readonly #linkOf: () => Link | undefined;
  #link: Link | undefined;
  /** Its number in the process. */
  #hub = 0;

  /** @param linkOf - Returns undefined in a process without a way to a broker. */
  constructor(linkOf: () => Link | undefined) {
    this.#linkOf = linkOf;
  }

  async start(sink: BackplaneSink): Promise<void> {
    const link = this.#linkOf();
    const late = new Deferred<never>();
    const timer = setTimeout(() => late.reject(new BackplaneError(NO_BROKER)), START_MS);
    try {
      if (link === undefined) return await late.promise;
      if (this.#link === undefined) this.#hub = link.add(sink);
      this.#link = link;
      await Promise.race([link.ask(this.#hub, 'start', []), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  publish(...args: Arguments<'publish'>): ReturnType<Backplane['publish']> {
    return this.#link!.ask(this.#hub, 'publish', args, args[1].length);
  }

  subscribe(...args: Arguments<'subscribe'>): Promise<void> {
    return this.#link!.ask(this.#hub, 'subscribe', args);
  }

  unsubscribe(...args: Arguments<'unsubscribe'>): Promise<void> {
    return this.#link!.ask(this.#hub, 'unsubscribe', args);
  }

  history(...args: Arguments<'history'>): ReturnType<NonNullable<Backplane['history']>> {
    return this.#link!.ask(this.#hub, 'history', args);
  }

  async close(): Promise<void> {
    if (this.#link === undefined) return;
    const closed = this.#link.ask(this.#hub, 'close', []);
    this.#link.remove(this.#hub);
    await closed;
  }
}

const NO_BROKER =
  'no broker has answered for 5000 ms; start the program with runCluster, ' +
  'or connect its processes over Redis (redisBackplane of @ws/hub/redis)';
