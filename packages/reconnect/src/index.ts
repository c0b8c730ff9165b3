/**
 * Clients that dial again when their connection has ended, over any dial function.
 *
 * @module
 */
export type {
  CloseHandler,
  CloseInfo,
  Conn,
  ConnLike,
  ConnState,
  ConnStats,
  DataType,
  Message,
  MessageData,
  MessageReader,
  MessageStreams,
  MessageWriter,
  PingPongHandler,
  Role,
} from '@ws/conn';
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
