import type { OverflowPolicy, Session } from './session.ts';
import type { Waiting } from './waiting-messages.ts';

/**
 * The option `overflow`: a policy, or a function that the hub calls for a policy each time that a
 * message exceeds `maxQueuedMessages` or `maxQueuedBytes`.
 *
 * - `close`: drops the waiting messages and closes the connection with 1013 (try again later).
 * - `drop-new`: drops the new message.
 * - `drop-old`: drops the oldest waiting messages.
 * - `latest`: a message with a `key` replaces the waiting message of the same key, also below the
 *   bounds. Beyond the bounds it drops the oldest waiting messages.
 */
export type Overflow<Data = unknown> =
  | OverflowPolicy
  | 'latest'
  | ((session: Session<Data>, waiting: Waiting) => OverflowPolicy);

/** The policies that the function may return. */
export const POLICIES: readonly OverflowPolicy[] = ['close', 'drop-new', 'drop-old'];
