import process from 'node:process';

/** HUB_SEEDS: a list such as `1,2,5-8`. */
export const SEEDS: readonly number[] = (process.env['HUB_SEEDS'] ?? '1')
  .split(',')
  .flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number) as [number, number?];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
