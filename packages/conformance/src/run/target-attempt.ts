import { Attempt } from '../model/attempt.ts';
import type { Peer } from '../wire/peer.ts';

/** What is asked for of compression. */
export interface DeflateWish {
  /** False: both ends compress each message on its own. Default true: neither asks for that. */
  readonly takeover?: boolean;
}

/** A run of a case that makes no difference between servers and clients: how it gets its connection is the role's matter. */
export abstract class TargetAttempt extends Attempt {
  /** An open connection without extensions. */
  abstract open(): Promise<Peer>;

  /** An open connection with compression; skips the case when the target has none. */
  abstract openDeflate(wish?: DeflateWish): Promise<Peer>;
}
