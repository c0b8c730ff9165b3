/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name.
 *
 * @module
 */
export { prepareReadBuffer, readsIntoBuffer, wantsReadBuffer } from './read-buffer.ts';
export { callIfAllowed, localAddressOf, remoteAddressOf } from './socket-calls.ts';
