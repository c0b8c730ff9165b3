import type { Spread } from '../harness/statistics.ts';

/**
 * A chart of a report as plain data. The JSON document contains it; HTML pages and SVG files show
 * it.
 */
export type Chart = BarChart | PercentileChart | LineChart;

interface Titled {
  /** One line above the picture. */
  readonly title: string;
  /** The meaning of a value: `times as fast as ws`, `messages per second`. */
  readonly unit: string;
  /** A sentence below the picture: which direction is better, which parameters are constant. */
  readonly note?: string;
}

/** Bars with their spread, one group for each label. */
export interface BarChart extends Titled {
  readonly kind: 'bars';
  /** The names of the groups, from top to bottom. */
  readonly labels: readonly string[];
  /**
   * The compared subjects, with a value for each label or null without one. A number has no spread.
   */
  readonly series: readonly { readonly name: string; readonly values: readonly BarValue[] }[];
  /** A reference line across all bars. */
  readonly line?: { readonly name: string; readonly value: number };
  /** `log` is for values of different magnitudes. They must exceed 0. Default: `linear`. */
  readonly scale?: 'linear' | 'log';
}

/** The end of a bar, and the range of the rounds. */
export type BarValue = Spread | number | null;

/**
 * Latency by percentile. The axis of percentiles stretches towards 100; the axis of values is
 * logarithmic.
 */
export interface PercentileChart extends Titled {
  readonly kind: 'percentiles';
  /** Percentiles above 0 and up to 100, with values above 0. */
  readonly series: readonly { readonly name: string; readonly points: readonly Point[] }[];
}

/** A value over time or over a number of connections. */
export interface LineChart extends Titled {
  readonly kind: 'lines';
  /** The unit of the horizontal axis: `seconds`. */
  readonly axis: string;
  readonly series: readonly { readonly name: string; readonly points: readonly Point[] }[];
}

/** Horizontal and vertical value. */
export type Point = readonly [x: number, y: number];
