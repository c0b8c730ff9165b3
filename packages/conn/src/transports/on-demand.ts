/**
 * Transports without a socket. Node loads this folder on its first use.
 *
 * @module
 */
export { connPair } from './pair.ts';
export { streamTransport } from './stream-transport.ts';
