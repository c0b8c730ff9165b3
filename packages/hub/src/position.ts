/** The position of a message in the history of its room. */
export interface Position {
  /** Id of the history. Changes when the history is lost, for example by a restart. */
  readonly epoch: string;
  /** Number of the message in the history. Each message has a larger one; an engine may skip some. */
  readonly offset: number;
}

/**
 * Whether a value, for example one from the text of a client, is a position.
 *
 * @example
 * ```ts
 * import { isPosition } from '@ws/hub';
 *
 * const since: unknown = JSON.parse('{ "epoch": "a", "offset": 7 }');
 * if (isPosition(since)) console.log(since.offset); // 7
 * ```
 */
export function isPosition(value: unknown): value is Position {
  const { epoch, offset } = Object(value) as Partial<Position>;
  return typeof epoch === 'string' && Number.isSafeInteger(offset) && offset! >= 0;
}

/**
 * Checks a position, and copies it: the caller may change its own object later.
 *
 * @throws TypeError for another value.
 */
export function checkPosition(since: unknown): Position {
  const { epoch, offset } = Object(since) as Partial<Position>;
  const copy = { epoch, offset };
  if (isPosition(copy)) return copy;
  throw new TypeError('since: expected a position, { epoch: string, offset: number }');
}
