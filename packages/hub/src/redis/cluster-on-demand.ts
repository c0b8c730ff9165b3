import type { Backplane, BackplaneSink, Keep } from '../backplane/backplane.ts';
import type { Position } from '../position.ts';
import type { ClusterBackplane } from './cluster-backplane.ts';
import type { Discover } from './cluster-clients.ts';

/** Loads the code for a cluster, so hubs on one server do without it. */
export class ClusterOnDemand implements Backplane {
  readonly #discover: Discover;
  readonly #prefix: string;
  #loaded: Promise<ClusterBackplane> | undefined;

  constructor(discover: Discover, prefix: string) {
    this.#discover = discover;
    this.#prefix = prefix;
  }

  async start(sink: BackplaneSink): Promise<void> {
    return (await this.#load()).start(sink);
  }

  async publish(channel: string, bytes: Uint8Array, keep?: Keep): Promise<Position | undefined> {
    return (await this.#load()).publish(channel, bytes, keep);
  }

  async history(
    channel: string,
    since: Position | undefined,
    limit: number,
    keep?: Keep,
  ): ReturnType<ClusterBackplane['history']> {
    return (await this.#load()).history(channel, since, limit, keep);
  }

  async subscribe(channel: string): Promise<void> {
    return (await this.#load()).subscribe(channel);
  }

  async unsubscribe(channel: string): Promise<void> {
    return (await this.#load()).unsubscribe(channel);
  }

  async close(): Promise<void> {
    return (await this.#load()).close();
  }

  #load(): Promise<ClusterBackplane> {
    this.#loaded ??= import('./cluster-backplane.ts').then(
      ({ ClusterBackplane }) => new ClusterBackplane(this.#discover, this.#prefix),
    );
    return this.#loaded;
  }
}
