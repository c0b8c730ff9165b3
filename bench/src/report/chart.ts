import type { Spread } from '../statistics.ts';

/** A picture of a part of a report, as plain data: it lies in the JSON document, and pages and SVG files are made of it. */
export type Chart = BarChart | PercentileChart | LineChart;

interface Titled {
  /** One line above the picture. */
  readonly title: string;
  /** What a value is: `times as fast as ws`, `messages per second`. */
  readonly unit: string;
  /** A sentence below the picture: what is better, what was held still. */
  readonly note?: string;
}

/** Bars with their spread, a group for each label. */
export interface BarChart extends Titled {
  readonly kind: 'bars';
  /** What each group stands for, from the top down. */
  readonly labels: readonly string[];
  /** Who is compared: a value for each label, or null where there is none. A number has no spread. */
  readonly series: readonly { readonly name: string; readonly values: readonly BarValue[] }[];
  /** A line across all bars: what everybody is held against. */
  readonly line?: { readonly name: string; readonly value: number };
  /** For values that lie powers of ten apart; all of them above 0. Default: `linear`. */
  readonly scale?: 'linear' | 'log';
}

/** The end of a bar, and how far the rounds lie from it. */
export type BarValue = Spread | number | null;

/** Latency by percentile: the percentile on an axis that stretches towards 100, the value on a logarithmic one. */
export interface PercentileChart extends Titled {
  readonly kind: 'percentiles';
  /** Percentiles above 0, up to 100, with values above 0. */
  readonly series: readonly { readonly name: string; readonly points: readonly Point[] }[];
}

/** Something that goes on: over time, over a number of connections. */
export interface LineChart extends Titled {
  readonly kind: 'lines';
  /** What the horizontal axis counts: `seconds`. */
  readonly axis: string;
  readonly series: readonly { readonly name: string; readonly points: readonly Point[] }[];
}

/** Horizontal, vertical. */
export type Point = readonly [x: number, y: number];
