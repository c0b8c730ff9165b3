import { kind } from '@ws/conn/parts';

/**
 * Throws unless `holds`.
 *
 * @param name - The option or argument.
 * @param expected - What it has to be, with its article.
 * @throws TypeError that names both, and what `value` is.
 */
export function expect(holds: boolean, name: string, expected: string, value: unknown): void {
  if (!holds) throw new TypeError(`${name}: expected ${expected}, got ${kind(value)}`);
}

/** @throws TypeError when `value` is no function. */
export function expectFunction(name: string, value: unknown): void {
  expect(typeof value === 'function', name, 'a function', value);
}
