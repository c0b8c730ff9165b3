import type { MessageData } from '@ws/conn';
import { checkOptionNames, kind, whole } from '@ws/conn/internal';
import { checkPosition, type Position } from '../history/position.ts';
import type { Joined } from './room.ts';

/** The options of `Session.join`. With one of them the session resumes. */
export interface JoinOptions<Data = unknown> {
  /** Position of the last message that the client has. Default: none, for a first visit. */
  readonly since?: Position | undefined;
  /**
   * Largest number of missed messages, the last ones; `complete` is false if there are more. Default:
   * 0 without `since`, and all that the history has with it.
   */
  readonly limit?: number | undefined;
  /**
   * Makes the message that the session gets before the missed ones; undefined for none. Synchronous. If
   * it throws, `join` rejects with its error and the session is no member.
   */
  readonly first?: ((joined: Joined<Data>) => MessageData | undefined) | undefined;
}

const NAMES: readonly (keyof JoinOptions)[] = ['since', 'limit', 'first'];

/**
 * Checks the options of a join.
 *
 * @returns A copy of them; undefined if the session does not resume.
 * @throws TypeError or RangeError that names the option.
 */
export function checkJoinOptions<Data>(options: JoinOptions<Data>): JoinOptions<Data> | undefined {
  checkOptionNames('session.join', options, NAMES, 'ignore');
  const { since, limit, first } = options;
  const start = since === undefined ? undefined : checkPosition(since);
  if (limit !== undefined && limit !== 0) whole('limit', limit);
  if (first !== undefined && typeof first !== 'function') {
    throw new TypeError(`first: expected a function, got ${kind(first)}`);
  }
  return (start ?? limit ?? first) === undefined ? undefined : { since: start, limit, first };
}
