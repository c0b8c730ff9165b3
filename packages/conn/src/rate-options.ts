import type { RatePlan } from './read/rate.ts';
import { checkOptionNames, duration, kind, whole } from './validate.ts';

/**
 * Bounds what the peer sends: a token bucket for each connection. Control frames do not count.
 */
export interface RateLimit {
  /** Messages in `per` ms. Default: no bound. */
  readonly messages?: number | undefined;
  /** Bytes of messages in `per` ms, after inflation. Default: no bound. */
  readonly bytes?: number | undefined;
  /** The time in ms for `messages` and `bytes`. Default: 1,000. */
  readonly per?: number | undefined;
  /**
   * Messages that may come at once after a silence; bytes, if only `bytes` is given. With both, the
   * bytes that may come at once are in the same proportion. Default: as many as in one `per`.
   */
  readonly burst?: number | undefined;
  /**
   * The reaction above the rate. `'wait'`: readers get no message until the rate allows it, and messages
   * wait in the read-ahead. When that is full, reading stops, so that TCP slows the peer down. A
   * message may exceed `bytes`. The next one waits longer. `'close'` ends the connection with 1013.
   * Default: `'wait'`.
   */
  readonly over?: 'wait' | 'close' | undefined;
}

const NAMES: readonly (keyof RateLimit)[] = ['messages', 'bytes', 'per', 'burst', 'over'];

/** @throws TypeError, RangeError that name the option. */
export function checkRate(value: unknown): RatePlan {
  if (typeof value !== 'object' || value === null) {
    const hint = typeof value === 'number' ? `; write { messages: ${value} }` : '';
    throw new TypeError(
      `rate: expected { messages, bytes, per, burst, over }, got ${kind(value)}${hint}`,
    );
  }
  checkOptionNames('rate', value, NAMES, 'ignore');
  const { messages, bytes, per, burst, over = 'wait' } = value as RateLimit;
  if (messages === undefined && bytes === undefined) {
    throw new TypeError('rate: expected messages, bytes or both');
  }
  if (over !== 'wait' && over !== 'close') {
    const got = typeof over === 'string' ? JSON.stringify(over) : kind(over);
    throw new TypeError(`rate.over: expected 'wait' or 'close', got ${got}`);
  }
  const most = messages === undefined ? Infinity : whole('rate.messages', messages);
  const mostBytes = bytes === undefined ? Infinity : whole('rate.bytes', bytes);
  const ms = duration('rate.per', per, 1_000, false);
  const first = messages === undefined ? mostBytes : most;
  const times = burst === undefined ? 1 : whole('rate.burst', burst) / first;
  const bounds = [
    ...(messages === undefined ? [] : [`${messages} messages`]),
    ...(bytes === undefined ? [] : [`${bytes} bytes`]),
  ];
  if (most * times < 1 || mostBytes * times < 1) {
    throw new RangeError('rate.burst: expected at least one message and one byte');
  }
  return {
    messagesPerMs: most / ms,
    bytesPerMs: mostBytes / ms,
    messageBurst: most * times,
    byteBurst: mostBytes * times,
    over,
    text: `more than ${bounds.join(' or ')} in ${ms} ms`,
  };
}
