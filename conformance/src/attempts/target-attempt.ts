import { Attempt } from '../model/attempt.ts';
import type { Peer } from '../wire/peer.ts';

/** Compression options of a connection. */
export interface DeflateOptions {
  /** False: both ends reset the context after each message. Default true: neither requests that. */
  readonly takeover?: boolean;
}

/** A run of a case that applies to both roles. The subclass of each role opens the connections. */
export abstract class TargetAttempt extends Attempt {
  /** Opens a connection without extensions. */
  abstract open(): Promise<Peer>;

  /** Opens a connection with compression. Skips the case when the target does not compress. */
  abstract openDeflate(wish?: DeflateOptions): Promise<Peer>;
}
