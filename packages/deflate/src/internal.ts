/**
 * Exports for the sibling packages. Unstable: any release may change or remove a name. The classes
 * are the same as in `@ws/deflate`.
 *
 * @module
 */
export { type Compressor, StreamCompressor } from './compressor.ts';
export { historyBytesOf } from './engine-pool.ts';
export { deflateLimits } from './limits.ts';
export { PerMessageDeflate } from './per-message-deflate.ts';
