/**
 * Transports without a socket. Node loads the folder when it is first used.
 *
 * @module
 */
export { connPair } from './pair.ts';
export { streamTransport } from './stream-transport.ts';
