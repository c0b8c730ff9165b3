import type { RatePlan } from './read/rate.ts';
import { checkOptionNames, duration, kind, whole } from './validate.ts';

/** Bounds what the peer sends: a token bucket for each connection. Control frames do not count. */
export interface RateLimit {
  /** Messages in `per` ms. Default: no bound. */
  readonly messages?: number | undefined;
  /** Bytes of messages in `per` ms, after inflation. Default: no bound. */
  readonly bytes?: number | undefined;
  /** Period of `messages` and `bytes` in ms. Default: 1,000. */
  readonly per?: number | undefined;
  /**
   * Number of messages that may arrive at once after a silence. With `bytes` only: number of bytes.
   * With both, the bound of bytes grows in the same proportion. Default: as many as in one `per`.
   */
  readonly burst?: number | undefined;
  /**
   * The reaction above the rate. `'wait'`: messages wait in the read-ahead until the rate allows
   * them. While the read-ahead is full, the transport is paused, and TCP slows the peer down. A
   * single message may exceed `bytes`, and then delays the next one. `'close'`: the connection
   * closes with 1013. Default: `'wait'`.
   */
  readonly over?: 'wait' | 'close' | undefined;
}

const NAMES: readonly (keyof RateLimit)[] = ['messages', 'bytes', 'per', 'burst', 'over'];

/** @throws TypeError or RangeError that names the option. */
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
  const maxMessages = messages === undefined ? Infinity : whole('rate.messages', messages);
  const maxBytes = bytes === undefined ? Infinity : whole('rate.bytes', bytes);
  const ms = duration('rate.per', per, 1_000, false);
  const perPeriod = messages === undefined ? maxBytes : maxMessages;
  const scale = burst === undefined ? 1 : whole('rate.burst', burst) / perPeriod;
  const bounds = [
    ...(messages === undefined ? [] : [`${messages} messages`]),
    ...(bytes === undefined ? [] : [`${bytes} bytes`]),
  ];
  if (maxMessages * scale < 1 || maxBytes * scale < 1) {
    throw new RangeError('rate.burst: expected at least one message and one byte');
  }
  return {
    messages: { perMs: maxMessages / ms, size: maxMessages * scale },
    bytes: { perMs: maxBytes / ms, size: maxBytes * scale },
    over,
    text: `more than ${bounds.join(' or ')} in ${ms} ms`,
  };
}
