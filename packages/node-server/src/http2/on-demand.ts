/**
 * The exports of this folder for the rest of the package. Node loads the folder when one is first
 * used: a server without HTTP/2 does not.
 *
 * @module
 */
export {
  CompatResponder,
  Http2Responder,
  resetAfterAnswer,
  StreamRequest,
} from './http2-responder.ts';
export { Http2Sessions, makeHttp2Server, webSocketStreams } from './http2-server.ts';
export { heartbeatOf, watchResets } from './session-guard.ts';
