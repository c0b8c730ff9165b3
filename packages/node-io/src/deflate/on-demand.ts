/**
 * What the rest of the package uses of this folder. Node loads the folder, `node:zlib` and
 * `@ws/deflate` when one of these is first used: a server without compression does not.
 *
 * @module
 */
export { deflateLimits, PerMessageDeflate } from '@ws/deflate/internal';
export { ZlibBackends } from './zlib-backends.ts';
