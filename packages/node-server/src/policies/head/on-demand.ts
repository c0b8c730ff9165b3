/**
 * The callbacks of `serveRaw`. Node loads the folder when a request meets one.
 *
 * @module
 */
export { beforeUpgrade, checkHead } from './head-callbacks.ts';
