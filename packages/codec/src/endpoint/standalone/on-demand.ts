/**
 * For programs with a transport of their own. Node loads the folder when one of these is first used:
 * a `Conn` uses none of them.
 *
 * @module
 */

export { FrameEncoder } from './encoder.ts';
export { Endpoint } from './endpoint.ts';
