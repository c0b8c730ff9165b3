/**
 * The older protocol 4, for OBS before version 28 with the plugin obs-websocket.
 *
 * @module
 */
export type { ObsClose } from '../connection.ts';
export { ObsCloseError, ObsProtocolError, ObsRequestError } from '../errors.ts';
export type { EventsV4, RequestsV4, ResponsesV4 } from '../generated/protocol-v4.ts';
export type { CallOptions, ObsConn, ObsDial, OpenOptions } from '../options.ts';
export { connectV4 } from './connect-v4.ts';
export type * from './field-types.ts';
export { type EventTypeV4, ObsV4, type RequestTypeV4, type SendArguments } from './obs-v4.ts';
