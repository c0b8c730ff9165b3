/**
 * Exports for `@ws/fetch`: its connections share the code of a BrowserConn. Unstable: any release may
 * change or remove a name.
 *
 * @module
 */
export { UnsupportedError } from './errors.ts';
export { type BrowserConnBounds, checkConnOptions, type Side } from './options.ts';
export { MESSAGE_COST } from './payload.ts';
export { after, bounded } from './promises.ts';
export { checkClose, WebSocketConn } from './web-socket-conn.ts';
export type { PageSocket, WebSocketEvent } from './web-types.ts';
