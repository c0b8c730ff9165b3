/**
 * The exports of this folder for the rest of the package. Node loads the folder when one is first
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
