/**
 * Exports for the sibling packages, from files that do not import `Conn`: a page that uses them does
 * not contain it. The reconnecting clients of `@ws/node-client` use them too. Unstable: any release may change or remove a name. The classes are the
 * same as those of `@ws/conn`.
 *
 * @module
 */
export { CloseCode } from '@ws/codec';
export { checked } from '@ws/codec/internal';
export { BinaryMessage, TextMessage, WebSocketError } from '@ws/codec/parts';
export { isDate, isUint8Array } from './brand.ts';
export { isConnLike } from './conn-like.ts';
export {
  BackpressureError,
  CloseError,
  CloseSentError,
  errorOf,
  isCloseError,
  isUnexpectedCloseError,
  JSONError,
  printable,
  ReadLimitError,
  ReadPendingError,
  TimeoutError,
  TransportError,
  WriteClosedError,
} from './errors.ts';
export type { ConnInternals } from './internals.ts';
export { BorrowedMessage, Message } from './message.ts';
export { onRejection } from './on-rejection.ts';
export { portablePlatform } from './portable-platform.ts';
export { LiveConn } from './reconnecting/live-conn.ts';
export {
  type LivePlan,
  liveOptions,
  planLive,
  policyOf,
  RECONNECT_OPTION_NAMES,
  RECONNECTING_CONN_OPTION_NAMES,
  type ReconnectPlan,
} from './reconnecting/options.ts';
export { onPageWake } from './reconnecting/page-wake.ts';
export { start as startReconnecting } from './reconnecting/reconnecting.ts';
export { reportError } from './report/report.ts';
export { addAbortListener, removeAbortListener } from './time/abort-listeners.ts';
export { Deferred, handled, RESOLVED, rejected } from './time/promises.ts';
export { LateRejection, rejectedLater, rejectedSoon } from './time/refusal.ts';
export { checkOptionNames, duration, kind, range } from './validate.ts';
export { SurrogatePairs } from './writing/surrogate-pairs.ts';
