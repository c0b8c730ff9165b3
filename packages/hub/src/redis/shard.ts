import { Deferred } from '@ws/conn/internal';
import type { Keep } from '../backplane/backplane.ts';
import type { Position } from '../history/position.ts';
import type { RedisClient } from './driver.ts';
import { ServerBackplane } from './server-backplane.ts';

/** Bound of the publications that a shard has not answered: the other shards need the rest. */
const MAX_UNANSWERED = 5_000;

/** Errors of a command that no server has run. It may run again, also on another server. */
const NOT_RUN =
  /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|LOADING|Redis is not connected|Stream isn't writeable|The client is offline)\b/;

/** Whether a command that failed with this error has not run. */
export function hasNotRun(error: unknown): boolean {
  return NOT_RUN.test(String((error as Error | undefined)?.message));
}

/** A primary of a cluster. */
export class Shard {
  readonly client: RedisClient;
  readonly backplane: ServerBackplane;
  isUp = false;
  isClosed = false;
  /** The shard has not answered for its view. */
  isAsked = false;
  /** Resolves when the first attempt to connect has ended. */
  readonly attempt: Deferred<void> = new Deferred();
  #unanswered = 0;
  /** The latest view. */
  #view = '';

  constructor(client: RedisClient, prefix: string) {
    this.client = client;
    this.backplane = new ServerBackplane(client, prefix, true);
  }

  async publish(
    channel: string,
    bytes: Uint8Array,
    keep: Keep | undefined,
    asking = false,
  ): Promise<Position | undefined> {
    if (this.#unanswered >= MAX_UNANSWERED) {
      throw new Error(`${MAX_UNANSWERED} messages already wait for a server of the cluster`);
    }
    this.#unanswered++;
    try {
      return await this.backplane.publish(channel, bytes, keep, asking);
    } finally {
      this.#unanswered--;
    }
  }

  /** Calls `changed` when the server has another view of its cluster than before. */
  look(changed: () => void): void {
    if (!this.isUp || this.isAsked) return;
    this.isAsked = true;
    const answered = (view: string): void => {
      this.isAsked = false;
      if (view === this.#view) return;
      this.#view = view;
      changed();
    };
    this.backplane.clusterSlots().then(
      (view) => answered(JSON.stringify(view)),
      () => answered(this.#view),
    );
  }

  close(): Promise<void> {
    this.isUp = false;
    this.isClosed = true;
    return this.backplane.close();
  }
}
