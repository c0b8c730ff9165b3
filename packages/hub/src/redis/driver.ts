import type { RedisBytes } from './frame.ts';

/**
 * A client of the package `redis` or `ioredis`, version 5 or later, for one server or a cluster. The
 * backplane uses only duplicates of the client, with the same address, user and TLS.
 */
export interface RedisClient {
  duplicate(overrides?: object): unknown;
}

export type Argument = string | Uint8Array;

/** A connection of `redis` or `ioredis`. */
export interface Driver {
  readonly ready: boolean;
  /** Whether the client no longer tries to reconnect. */
  readonly ended: boolean;
  connect(): Promise<unknown>;
  /** Ends the connection at once. */
  destroy(): void;
  ping(): Promise<unknown>;
  /** Reports subscriptions that the server has ended. Absent if the client reports them itself. */
  check?(): void;
  /** @param asking - Whether to send ASKING first, for a slot that is moving to this server. */
  eval(script: string, keys: string[], args: Argument[], asking: boolean): Promise<unknown>;
  /** Runs a command without keys. */
  call(...args: string[]): Promise<unknown>;
  publish(channel: string, frame: Uint8Array): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
}

/** Receives the reports of a {@link Driver}. */
export interface DriverEvents {
  ready(): void;
  /**
   * The connection is lost. Also called for each failed attempt to connect.
   *
   * @param lostSubscriptions - Whether the client has forgotten its subscriptions. Otherwise it
   *   restores them with the connection.
   */
  lost(error: Error | undefined, lostSubscriptions: boolean): void;
  message(channel: string, frame: RedisBytes): void;
  /** The client no longer understands the server. A new client replaces it. */
  broken(error: Error): void;
  /** The server has ended a subscription. Its slot has moved to another server. */
  moved(channel: string): void;
}
