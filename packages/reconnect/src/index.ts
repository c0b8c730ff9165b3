/**
 * Clients that dial again when their connection has ended, over any dial function.
 *
 * @module
 */
export type {
  DialFunction,
  ReconnectingCloseOptions,
  ReconnectingConnOptions,
  ReconnectOptions,
  RetryDecision,
} from './options.ts';
export { reconnecting } from './reconnecting.ts';
export { ReconnectingConn } from './reconnecting-conn.ts';
export type { ResendOptions } from './resend.ts';
export type { ReconnectingEnd, ReconnectingState, ReconnectingStats } from './state.ts';
