import { kind } from '@ws/conn/internal';
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

const POLICIES: readonly unknown[] = ['close', 'drop-new', 'drop-old'];

export function isOverflowPolicy(value: unknown): value is OverflowPolicy {
  return POLICIES.includes(value);
}

/** @throws TypeError for another value of the option. */
export function checkOverflow(value: unknown): void {
  if (typeof value === 'function' || value === 'latest' || isOverflowPolicy(value)) return;
  throw badPolicy(value, 'overflow', "'close', 'drop-new', 'drop-old', 'latest' or a function");
}

/** The error for a value that is no policy. */
export function badPolicy(
  value: unknown,
  name: string,
  expected = "'close', 'drop-new' or 'drop-old'",
): TypeError {
  const got = typeof value === 'string' ? JSON.stringify(value) : kind(value);
  return new TypeError(`${name}: expected ${expected}, got ${got}`);
}
