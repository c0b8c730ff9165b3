import type { Value, Values } from './command.ts';
import { UsageError } from './usage-error.ts';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const SIZES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2 };

/**
 * A whole number.
 *
 * @throws UsageError that names the option.
 */
export function wholeNumber(
  values: Values,
  name: string,
  fallback: number,
  { least = 1, most = Number.MAX_SAFE_INTEGER }: { least?: number; most?: number } = {},
): number {
  if (values[name] === undefined) return fallback;
  const given = String(values[name]);
  const value = /^\d+$/.test(given) ? Number(given) : Number.NaN;
  if (value >= least && value <= most) return value;
  const range =
    most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`;
  throw new UsageError(`--${name}: expected a whole number ${range}, got '${given}'`);
}

/**
 * A time: `10`, `10s`, `1.5m`, `500ms`. Seconds without a unit.
 *
 * @returns Milliseconds.
 * @throws UsageError that names the option.
 */
export function time(values: Values, name: string, fallback: number): number {
  if (values[name] === undefined) return fallback;
  const given = String(values[name]);
  const [, amount, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(given) ?? [];
  const value = Number(amount) * UNITS[unit]!;
  if (value > 0 && value < 2 ** 31) return value;
  throw new UsageError(`--${name}: expected a time such as 10s, 500ms or 2m, got '${given}'`);
}

/**
 * A size: `125`, `16KiB`, `1MiB`.
 *
 * @returns Bytes.
 * @throws UsageError that names the option.
 */
export function size(values: Values, name: string, fallback: number, most: number): number {
  if (values[name] === undefined) return fallback;
  const given = String(values[name]);
  const [, amount, unit = 'B'] = /^(\d+) ?(B|KiB|MiB)?$/.exec(given) ?? [];
  const value = Number(amount) * SIZES[unit]!;
  if (value <= most) return value;
  throw new UsageError(
    `--${name}: expected bytes up to ${most / SIZES['MiB']!}MiB, such as 125 or 16KiB, got '${given}'`,
  );
}

/** The values of an option that may be repeated. */
export function list(value: Value): string[] {
  return value === undefined ? [] : [value].flat().map(String);
}
