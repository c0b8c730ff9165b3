import type { Backplane, BackplaneSink } from '../backplane/backplane.ts';
import { BackplaneError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Link } from './link.ts';
import { processLink } from './process-link.ts';

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
  return new ClusterBackplane(processLink);
}

/** A hub of a process. */
export class ClusterBackplane implements Backplane {
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
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new BackplaneError(NO_BROKER)), START_MS);
    });
    try {
      if (link === undefined) return await late;
      if (this.#link === undefined) this.#hub = link.add(sink);
      this.#link = link;
      await Promise.race([link.call((call) => ['start', this.#hub, call]), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async publish(
    channel: string,
    bytes: Uint8Array,
    keep?: Parameters<Backplane['publish']>[2],
  ): Promise<Position | undefined> {
    const hub = this.#hub;
    const position = await this.#link!.call(
      (call) => ['publish', hub, call, channel, bytes, keep],
      bytes.length,
    );
    return position as Position | undefined;
  }

  async subscribe(channel: string): Promise<void> {
    await this.#link!.call((call) => ['subscribe', this.#hub, call, channel]);
  }

  async unsubscribe(channel: string): Promise<void> {
    await this.#link!.call((call) => ['unsubscribe', this.#hub, call, channel]);
  }

  async history(
    channel: string,
    since: Position | undefined,
    limit: number,
    keep?: Parameters<Backplane['publish']>[2],
  ): ReturnType<NonNullable<Backplane['history']>> {
    const read = this.#link!.call((call) => [
      'history',
      this.#hub,
      call,
      channel,
      since,
      limit,
      keep,
    ]);
    return (await read) as Awaited<ReturnType<NonNullable<Backplane['history']>>>;
  }

  async close(): Promise<void> {
    if (this.#link === undefined) return;
    const closed = this.#link.call((call) => ['close', this.#hub, call]);
    this.#link.remove(this.#hub);
    await closed;
  }
}

const NO_BROKER =
  'no broker has answered for 5000 ms; start the program with runCluster, ' +
  'or connect its processes over Redis (redisBackplane of @ws/hub/redis)';
