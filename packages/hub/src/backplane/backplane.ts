import type { Position } from '../position.ts';

/** Bounds of the history of a channel. */
export interface Keep {
  /** Largest number of messages. */
  readonly size: number;
  /** Largest number of bytes. Default: no bound. */
  readonly bytes?: number | undefined;
  /** Largest number of bytes of all channels together. Default: no bound. */
  readonly total?: number | undefined;
  /** Ms after its last message from which the engine may remove the history. */
  readonly ttl: number;
}

/** The result of `Backplane.history`. */
export type HistoryAnswer = Awaited<ReturnType<NonNullable<Backplane['history']>>>;

/** Interval at which the hub looks for rooms that were quiet for `ttl`, in ms. */
const BEAT_MS = 5_000;

/**
 * Ms for which an engine keeps the epoch of a channel after the last message or read. A hub with
 * members reads after each `ttl`, so the epoch outlives the last member by `ttl`.
 */
export function epochTtl({ ttl }: Pick<Keep, 'ttl'>): number {
  return Math.ceil(2 * (ttl + BEAT_MS));
}

/**
 * Connects the rooms of several nodes over an engine such as Redis or NATS. Each room has a channel, and
 * one more channel is for broadcasts.
 */
export interface Backplane {
  /** Connects. The hub calls `start` before all other methods, and again after a rejection. */
  start(sink: BackplaneSink, node: string): Promise<void>;
  /**
   * Publishes a message to all nodes that have subscribed to the channel.
   *
   * @param keep - The bounds of the history, for a room that has one.
   * @returns Resolves when the engine has the message: to its position, if the history has it.
   */
  publish(channel: string, bytes: Uint8Array, keep?: Keep): Promise<Position | undefined>;
  /** Receives the messages of a channel. Called when the first session of this node joins. */
  subscribe(channel: string): Promise<void>;
  /** Called when the last session of this node has left. */
  unsubscribe(channel: string): Promise<void>;
  /**
   * Reads the first `limit` messages after `since`; without `since`, the last `limit` messages. This
   * method is absent if the engine keeps no histories: then no room has one.
   *
   * To bound an answer, the engine may return only the first of these messages. Then `more` is true,
   * `complete` is false, and the hub asks again after the last returned message.
   *
   * `complete`: whether no message after `since` is missing. `follows`: whether no message is missing
   * between `since` and the first returned message; default: `complete`, or the first message has the
   * next offset. `last`: the offset of the end of the history.
   *
   * The epoch of a channel exists from the first read on, and outlives the last member by `keep.ttl`.
   */
  history?(
    channel: string,
    since: Position | undefined,
    limit: number,
    keep?: Keep,
  ): Promise<{
    readonly messages: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
    readonly epoch: string;
    readonly complete: boolean;
    readonly follows?: boolean | undefined;
    readonly more?: boolean | undefined;
    readonly last?: number | undefined;
  }>;
  /** Disconnects. */
  close(): Promise<void>;
}

/** Receives the messages and reports of a {@link Backplane}: a hub implements it. */
export interface BackplaneSink {
  /**
   * A message has arrived, from another node or from this one.
   *
   * @param previous - Offset of the previous message in the channel, if the offsets of the engine
   *   have holes. 0 when the engine has no previous message. Default: `position.offset - 1`.
   */
  message(channel: string, bytes: Uint8Array, position?: Position, previous?: number): void;
  /**
   * The engine is connected again.
   *
   * @param isWhole - Whether no message of another node is missing, for example because only
   *   publications of this node have failed. Default: messages may be missing in every channel.
   */
  up(isWhole?: boolean): void;
  /** The engine is away. */
  down(error: Error): void;
  /** A part of the engine is away. The hub reports the error. */
  failed?(error: Error): void;
  /**
   * Messages may be missing in `channel`; if undefined, in every channel.
   *
   * @param refusal - Set if the engine no longer sends the messages of `channel`. The hub reports this
   *   error, and subscribes again.
   */
  gap(channel?: string, refusal?: Error): void;
}
