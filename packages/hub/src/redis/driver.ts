import type { RedisBytes } from './frame.ts';

/**
 * A client of the package `redis` or `ioredis`, version 5 or later, for one server or a cluster. The
 * backplane duplicates it, with its address, user and TLS, and sends nothing over the client itself.
 */
export interface RedisClient {
  duplicate(overrides?: object): unknown;
}

export type Argument = string | Uint8Array;

/** A connection of one of the two clients. */
export interface Driver {
  readonly ready: boolean;
  /** The client has given up to reconnect. */
  readonly ended: boolean;
  connect(): Promise<unknown>;
  /** Ends the connection at once. */
  destroy(): void;
  ping(): Promise<unknown>;
  /** Looks for subscriptions that the server has ended. Absent: the client reports them itself. */
  check?(): void;
  /** @param asking - For a slot that moves to this server: ASKING comes first. */
  eval(script: string, keys: string[], args: Argument[], asking: boolean): Promise<unknown>;
  /** Runs a command without keys. */
  call(...args: string[]): Promise<unknown>;
  publish(channel: string, frame: Uint8Array): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
}

/** Takes the reports of a {@link Driver}. */
export interface DriverEvents {
  ready(): void;
  /**
   * The connection is lost. Also called for each failed attempt to connect.
   *
   * @param forgotten - Whether the subscriptions are lost too. Otherwise the client restores them.
   */
  lost(error: Error | undefined, forgotten: boolean): void;
  message(channel: string, frame: RedisBytes): void;
  /** The client no longer understands the server. A new client replaces it. */
  broken(error: Error): void;
  /** The server has ended a subscription. Its slot has moved to another server. */
  moved(channel: string): void;
}
