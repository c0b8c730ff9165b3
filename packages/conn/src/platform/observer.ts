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
}
