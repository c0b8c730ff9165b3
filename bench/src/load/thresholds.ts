import { UsageError } from '../command-line/usage-error.ts';
import type { Percentiles } from './latencies.ts';

/** The figures that thresholds are about. */
interface Figures {
  readonly latency: Percentiles;
  /** Messages per second. */
  readonly rate: number;
  readonly errors: number;
  readonly messages: number;
}

/** A threshold and the figure that it is about. */
export interface Checked {
  /** As given: `p95<50`. */
  readonly threshold: string;
  readonly value: number;
  readonly passed: boolean;
}

/** Checks a threshold. */
export type Threshold = (figures: Figures) => Checked;

const LATENCIES: Readonly<Record<string, keyof Percentiles>> = {
  p50: 'p50',
  p90: 'p90',
  p95: 'p95',
  p99: 'p99',
  'p99.9': 'p999',
  max: 'most',
};

const COMPARES: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
};

/** Whether a threshold is about errors. */
export const ABOUT_ERRORS: RegExp = /^\s*errors/;

/**
 * Parses `p95<50`, `p(95)<50`, `rate>=1000`, `errors==0` or `errors<1%`. Latencies are in ms.
 *
 * @throws UsageError that shows the forms.
 */
export function parseThreshold(text: string): Threshold {
  const [, name = '', operator = '', limit = '', percent] =
    /^\s*([a-z]+(?:\(?[\d.]+\)?)?)\s*(<=?|>=?|==)\s*(\d+(?:\.\d+)?)\s*(%)?\s*$/.exec(text) ?? [];
  const metric = name.replace(/^p\((.*)\)$/, 'p$1');
  const known = metric === 'rate' || metric === 'errors' || Object.hasOwn(LATENCIES, metric);
  if (!known || (percent !== undefined && metric !== 'errors')) {
    throw new UsageError(
      `threshold '${text}': expected ${Object.keys(LATENCIES).join(', ')}, rate or errors, then <, <=, >, >= or ==, and a number, such as 'p95<50', 'rate>1000', 'errors<1%'`,
    );
  }
  return (figures) => {
    const value = valueOf(figures, metric, percent !== undefined);
    // Without a message there is no latency, so no limit holds.
    return { threshold: text.trim(), value, passed: COMPARES[operator]!(value, Number(limit)) };
  };
}

function valueOf(figures: Figures, metric: string, share: boolean): number {
  const { latency, rate, errors, messages } = figures;
  switch (metric) {
    case 'rate':
      return rate;
    case 'errors':
      return share ? (100 * errors) / Math.max(1, errors + messages) : errors;
    default:
      return latency[LATENCIES[metric]!];
  }
}
