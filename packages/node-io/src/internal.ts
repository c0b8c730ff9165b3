/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */

export { inRootContext, inScope } from './async-contexts.ts';
export { TransportDuplex } from './duplex/on-demand.ts';
export { acceptKeyByCrypto } from './http/accept-key-by-crypto.ts';
export { asError, assertOption, describeResult, isInstance } from './http/app-values.ts';
export { type HeaderEntries, headerEntries } from './http/headers.ts';
export { ipv6Groups } from './http/ipv6.ts';
export { withReadableKeys } from './http/readable-keys.ts';
export { cutStream, isHttp2Stream } from './http/reset.ts';
export {
  countUnread,
  endAtReset,
  Http2Code,
  resetName,
  sessionMemory,
  streamFields,
} from './http2/on-demand.ts';
export { unref } from './node-platform.ts';
export { prepareReadBuffer } from './read-buffer.ts';
export { addressOf, callIfAllowed } from './socket-calls.ts';
export { transportOptions } from './socket-transport.ts';
