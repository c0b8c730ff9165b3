/**
 * Exports for `@ws/fetch`, whose connections share the sides of a BrowserConn. Unstable: any release
 * may change or remove a name.
 *
 * @module
 */
export { BrowserConn } from './browser-conn.ts';
export { UnsupportedError } from './errors.ts';
export {
  type BrowserConnSettings,
  CONN_OPTION_NAMES,
  checkConnOptions,
} from './options.ts';
export { utf8Length } from './payload.ts';
export { bounded } from './promises.ts';
export { badType, boundOf, checkNames, whole } from './validate.ts';
export type { PageSocket, WebSocketEvent } from './web-types.ts';
