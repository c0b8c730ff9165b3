/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name. The classes
 * are the same as in `@ws/reconnect`.
 *
 * @module
 */
export { LiveConn } from './live-conn.ts';
export {
  type LivePlan,
  liveOptions,
  planLive,
  policyOf,
  RECONNECT_OPTION_NAMES,
  RECONNECTING_CONN_OPTION_NAMES,
  type ReconnectPlan,
} from './options.ts';
export { start as startReconnecting } from './reconnecting.ts';
export { onPageWake } from './waits.ts';
