import type { Expiry } from '@ws/conn/internal';

/** What has passed in one direction. */
export interface Flow {
  readonly bytes: number;
  /** Frames; 0 in the mode `bytes`, which does not know them. */
  readonly frames: number;
  /** Complete messages; 0 in the mode `bytes`. */
  readonly messages: number;
}

/** Who ended a connection. */
export type EndedBy = 'client' | 'target' | 'proxy';

/** How an open pair of connections ended. */
export interface LinkEnd {
  readonly endedBy: EndedBy;
  /** The first close code that was seen or sent; 1006 without one. */
  readonly code: number;
  readonly reason: string;
  readonly error: Error | undefined;
}

/** Milliseconds that a peer has to end its socket, or to take bytes, after the other has ended. */
export const CLOSE_TIMEOUT = 5_000;

/** An open pair of connections: client to proxy, proxy to target. */
export interface Link {
  /** From the client to the target. */
  readonly in: Flow;
  /** From the target to the client. */
  readonly out: Flow;
  /** Starts a clean end, as far as the mode knows one. */
  close(code: number): void;
  /** Looks at the login of the client whenever the client sends. */
  watch(login: Expiry): void;
  /**
   * The login of the client has expired: as {@link close}, but what the client still sends is dropped,
   * and both connections end within {@link CLOSE_TIMEOUT}.
   */
  expire(code: number): void;
  /** Ends both connections at once. */
  terminate(): void;
  /** Called now and then, for the idle timeout and the heartbeat. `now` is in milliseconds. */
  tick(now: number): void;
}
