/**
 * Streams of Node over connections and transports. Node loads the folder when it is first used.
 *
 * @module
 */
export { toDuplex } from './to-duplex.ts';
export { TransportDuplex } from './transport-duplex.ts';
