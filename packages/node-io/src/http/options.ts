import { kind } from '@ws/conn/internal';

/** The transport's own default high-water mark, in bytes. */
const TRANSPORT_HIGH_WATER_MARK = 64 * 1024;

/**
 * Throws unless `holds`.
 *
 * @param expected - The expected type with its article, for the message.
 * @throws TypeError that names the option and the type that it has.
 */
export function assertOption(name: string, value: unknown, holds: boolean, expected: string): void {
  if (!holds) throw new TypeError(`${name}: expected ${expected}, got ${kind(value)}`);
}

/**
 * Returns the transport's high-water mark, in bytes, for a connection's `highWaterMark`. It is at
 * most the transport's own default: a ping cannot overtake bytes that the transport has buffered.
 */
export function transportHighWaterMark(highWaterMark: number): number {
  return Math.min(highWaterMark, TRANSPORT_HIGH_WATER_MARK);
}
