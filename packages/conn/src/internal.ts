/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name. The classes
 * are the same as those of `@ws/conn`.
 *
 * @module
 */
export { handlerSettled, handlerStarted, observeReceive } from './conn.ts';
export { historyBytesOf } from './deflate/engine-pool.ts';
export { FixedDeflater, roomToDeflate } from './deflate/fixed-deflater.ts';
export { deflateLimits } from './deflate/negotiate.ts';
export type { Compression } from './deflate/settings.ts';
export { causeText } from './errors.ts';
export {
  connSettingNames,
  ResolvedOptions,
  resolveSettings,
  type Settings,
} from './options.ts';
export {
  CORRUPT as InflateCorrupt,
  DONE as InflateDone,
  FINAL as InflateFinal,
  MORE as InflateMore,
  TOO_LONG as InflateTooLong,
} from './platform/deflate-engine.ts';
export { TurnQueue } from './platform/turn-queue.ts';
export type { ReceiveObserver } from './read/receive-call.ts';
export { LiveConn } from './reconnecting/live-conn.ts';
export {
  type LivePlan,
  planLive,
  policyOf,
  RECONNECT_OPTION_NAMES,
  RECONNECTING_CONN_OPTION_NAMES,
  type ReconnectPlan,
} from './reconnecting/options.ts';
export { start as startReconnecting } from './reconnecting/reconnecting.ts';
export { reportError } from './report/report.ts';
export { addAbortListener, removeAbortListener } from './time/abort-listeners.ts';
export { checkOptionNames, duration } from './validate.ts';
