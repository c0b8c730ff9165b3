import type { CloseInfo } from '../close-info.ts';

/**
 * Receives the events of connections, for tracing and metrics. Each member is looked up at each
 * event; an undefined one costs only the lookup. `conn` is the `Conn`. An error of a member goes to
 * the option `report` and has no other effect.
 */
export interface Observer {
  /** A connection was created. */
  readonly opened?: ((conn: object) => void) | undefined;
  /** A connection has ended; `info` is the value of its `closed`. */
  readonly closed?: ((conn: object, info: CloseInfo) => void) | undefined;
  /**
   * A message is complete, before a reader gets it: `type` is its opcode, `bytes` its size after
   * inflation.
   */
  readonly messageIn?: ((conn: object, type: number, bytes: number) => void) | undefined;
  /**
   * A message was accepted for sending; a streamed one with its last fragment. `bytes`: size before
   * compression.
   */
  readonly messageOut?: ((conn: object, type: number, bytes: number) => void) | undefined;
  /**
   * An error goes to the option `report`, or to its default. `where` names the function that failed,
   * as in that option. An error of this member is dropped.
   */
  readonly reported?:
    | ((error: unknown, where: string, conn: object | undefined) => void)
    | undefined;
  /**
   * For `ms` milliseconds no read has run and the peer has taken none of our `bytes`: it may wait
   * for its own writes in the same way.
   */
  readonly blocked?: ((conn: object, bytes: number, ms: number) => void) | undefined;
}
