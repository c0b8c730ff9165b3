/**
 * What the rest of the package uses of this folder. Node loads the folder when one of these is first
 * used: a dial without the option `http2` does not.
 *
 * @module
 */
export { carrierOf, hasSessions } from './session-pool.ts';
export { SharedSession } from './shared-session.ts';
export {
  askOnStream,
  responseOf,
  sendRequest,
  Unprocessed,
} from './stream-handshake.ts';
