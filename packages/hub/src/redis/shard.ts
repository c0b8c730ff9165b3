import { portablePlatform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import type { Keep } from '../backplane/backplane.ts';
import type { Position } from '../position.ts';
import type { RedisClient } from './driver.ts';
import { ServerBackplane } from './server-backplane.ts';

/** Bound of the unanswered publications to a shard that has been silent for {@link SILENT_MS}. */
const MAX_UNANSWERED = 1_000;
const SILENT_MS = 1_000;

/** Errors of a command that no server has run, so that it may be sent again, to any server. */
const NOT_RUN =
  /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|LOADING|Redis is not connected|Stream isn't writeable|The client is offline)\b/;

/** Whether `error` proves that no server has run the command. */
export function hasNotRun(error: unknown): boolean {
  return NOT_RUN.test(String((error as Error | undefined)?.message));
}

/** A primary of a cluster, or a server that soon gets or has just lost its slots. */
export class Shard {
  readonly client: RedisClient;
  readonly backplane: ServerBackplane;
  isUp = false;
  isClosed = false;
  /** The last known replication id; undefined while the server is away, or is no primary. */
  id: string | undefined;
  /** For a server without slots: when to close its connections, in ms. Otherwise undefined. */
  closeAt: number | undefined;
  /** When the unanswered request for the view was sent, in ms; undefined without one. */
  #askedAt: number | undefined;
  /** Resolves when the first attempt to connect has succeeded or failed. */
  readonly tried: Deferred<void> = new Deferred();
  /** Number of publications that the server has not answered. */
  unanswered = 0;
  /** The server's last view of the cluster, as JSON. */
  #view = '';

  constructor(client: RedisClient, prefix: string) {
    this.client = client;
    this.backplane = new ServerBackplane(client, prefix, true, true);
  }

  /** Whether the server has not answered the last request for its view. */
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

  /** Asks the server for its view of the cluster. Calls `onChange` when the view has changed. */
  check(onChange: () => void): void {
    if (!this.isUp || this.isAsked) return;
    this.#askedAt = portablePlatform.now();
    const answered = (view: string, id: string | undefined): void => {
      this.#askedAt = undefined;
      this.id = this.isUp ? id : undefined;
      if (view === this.#view) return;
      this.#view = view;
      onChange();
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
