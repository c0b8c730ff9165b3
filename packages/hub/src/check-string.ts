import { kind } from '@ws/conn/internal';

/** @throws TypeError for other values than a string. */
export function checkString(name: string, value: unknown): asserts value is string {
  if (typeof value === 'string') return;
  throw new TypeError(`${name}: expected a string, got ${kind(value)}`);
}
