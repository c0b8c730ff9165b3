/**
 * The part of this folder that the package uses. Node loads the folder, `node:zlib` and
 * `@ws/deflate` when one of these is first used. A server without compression does not.
 *
 * @module
 */
export { deflateLimits, PerMessageDeflate } from '@ws/deflate/internal';
export { ZlibBackends } from './zlib-backends.ts';
