/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */

export { inOwnContext, inRootContext, inScope } from './async-contexts.ts';
export { acceptKeyByCrypto } from './http/accept-key-by-crypto.ts';
export { asError, isInstance } from './http/errors.ts';
export {
  type HeaderEntries,
  type HeaderValue,
  headerEntries,
  rawHeaderValues,
} from './http/headers.ts';
export { ipv6Groups } from './http/ipv6.ts';
export { optionHints } from './http/option-hints.ts';
export { assertOption, transportHighWaterMark, typeName } from './http/options.ts';
export { describeResult, discardPromise, isThenable } from './http/promises.ts';
export { withReadableKeys } from './http/readable-keys.ts';
export { TransportDuplex } from './http/transport-duplex.ts';
export { countUnread } from './http2/paused-streams.ts';
export {
  cancelStream,
  cutStream,
  ENHANCE_YOUR_CALM,
  HTTP_1_1_REQUIRED,
  isHttp2Stream,
  NO_ERROR,
  REFUSED_STREAM,
  resetName,
} from './http2/reset.ts';
export { sessionMemory } from './http2/session-memory.ts';
export { streamFields } from './http2/stream-fields.ts';
export { prepareReadBuffer, readsIntoBuffer, wantsReadBuffer } from './read-buffer.ts';
export { callIfAllowed, localAddressOf, remoteAddressOf } from './socket-calls.ts';
export { unref } from './unref.ts';
