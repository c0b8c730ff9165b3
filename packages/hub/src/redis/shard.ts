import { portablePlatform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import type { Keep } from '../backplane/backplane.ts';
import type { Position } from '../position.ts';
import type { RedisClient } from './driver.ts';
import { ServerBackplane } from './server-backplane.ts';

/** Bound of the publications to a shard that is silent for so many ms. The others need the rest. */
const MAX_UNANSWERED = 1_000;
const SILENT_MS = 1_000;

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
  /** The replication id that the server had a moment ago; undefined while it is away, or no primary. */
  id: string | undefined;
  /** For a server without slots: until when its connections stay open, in ms. Otherwise undefined. */
  spareUntil: number | undefined;
  /** When the shard was asked for its view, in ms, if it has not answered. */
  #askedAt: number | undefined;
  /** Resolves when the first attempt to connect has ended. */
  readonly attempt: Deferred<void> = new Deferred();
  /** Number of publications that the server has not answered. */
  unanswered = 0;
  #view = '';

  constructor(client: RedisClient, prefix: string) {
    this.client = client;
    this.backplane = new ServerBackplane(client, prefix, true, true);
  }

  /** The shard has not answered for its view. */
  get isAsked(): boolean {
    return this.#askedAt !== undefined;
  }

  async publish(
    channel: string,
    bytes: Uint8Array,
    keep: Keep | undefined,
    asking = false,
    from?: string,
  ): Promise<Position | undefined> {
    const silentMs = portablePlatform.now() - (this.#askedAt ?? Infinity);
    if (silentMs > SILENT_MS && this.unanswered >= MAX_UNANSWERED) {
      throw new Error(`${MAX_UNANSWERED} messages already wait for a server of the cluster`);
    }
    this.unanswered++;
    try {
      return await this.backplane.publish(channel, bytes, keep, asking, from);
    } finally {
      this.unanswered--;
    }
  }

  /** Calls `changed` when the server has another view of its cluster than before. */
  look(changed: () => void): void {
    if (!this.isUp || this.isAsked) return;
    this.#askedAt = portablePlatform.now();
    const answered = (view: string, id: string | undefined): void => {
      this.#askedAt = undefined;
      this.id = this.isUp ? id : undefined;
      if (view === this.#view) return;
      this.#view = view;
      changed();
    };
    Promise.all([this.backplane.clusterSlots(), this.backplane.replicationId()]).then(
      ([view, id]) => answered(JSON.stringify(view), id),
      () => answered(this.#view, undefined),
    );
  }

  close(): Promise<void> {
    this.isUp = false;
    this.isClosed = true;
    return this.backplane.close();
  }
}
