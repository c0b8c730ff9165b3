import type { CloseInfo } from './closing.ts';

/**
 * Who is told what becomes of connections: tracing and metrics. Each member is looked up when there is something to
 * tell it, and one that is undefined then costs no more than that. `conn` is the `Conn`. None of them throws.
 */
export interface Watch {
  /** A connection was made. */
  readonly opened?: ((conn: object) => void) | undefined;
  /** It is over, as its `closed` tells. */
  readonly closed?: ((conn: object, info: CloseInfo) => void) | undefined;
  /** A message is complete: `type` as on the wire, `bytes` of plain payload. Told before anybody gets it. */
  readonly messageIn?: ((conn: object, type: number, bytes: number) => void) | undefined;
  /** A message was accepted for sending; one that is written as a stream, with its last fragment. */
  readonly messageOut?: ((conn: object, type: number, bytes: number) => void) | undefined;
}
