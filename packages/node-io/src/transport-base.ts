import type { Duplex } from 'node:stream';

/** The field of a stream that has its transport, so that a connection has no closure. */
export const OWNER: unique symbol = Symbol('transport');

/** A stream that leads its listeners to their transport. */
export interface WithOwner<Owner = unknown> {
  [OWNER]?: Owner | undefined;
}

/**
 * Whether `socket` is a transport that is not closed yet.
 *
 * @example
 * ```ts
 * import { PassThrough } from 'node:stream';
 * import { hasTransport, socketTransport } from '@ws/node-io';
 *
 * const stream = new PassThrough();
 * socketTransport(stream);
 * console.log(hasTransport(stream)); // true
 * ```
 */
export function hasTransport(socket: Duplex): boolean {
  return (socket as WithOwner)[OWNER] !== undefined;
}

/** The high-water mark of a transport where none is given, in bytes. */
export const HIGH_WATER_MARK: number = 64 * 1024;

/** @throws RangeError for a value that is no whole number of 1 or more. */
export function checkHighWaterMark(highWaterMark: number): void {
  if (Number.isSafeInteger(highWaterMark) && highWaterMark >= 1) return;
  throw new RangeError(`highWaterMark: expected a whole number of 1 or more, got ${highWaterMark}`);
}
