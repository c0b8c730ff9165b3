import type { LoadPlan } from '../client/plan.ts';
import type { Failure, Tally } from '../client/tally.ts';
import type { Chart, Point } from '../report/chart.ts';
import { bytesName, number, table } from '../report/table.ts';
import type { Report } from './scenario.ts';

const PERCENTILES: readonly number[] = [50, 75, 90, 99, 99.9, 99.99, 100];
/** Points of the curve each time what is left to 100 % halves. */
const STEPS = 4;
/** From here on a process has no time left: it measures itself. */
const BUSY = 0.9;
/** From here on, in ms, what is measured is the load's own delay as well. */
const LATE = 2;

/** What a load came to besides what was counted. */
interface Circumstances {
  readonly ms: number;
  readonly extensions: readonly string[];
  /** How much of its time each process was busy, 0 to 1. */
  readonly busy: readonly number[];
  readonly abandoned: number;
  readonly interrupted: boolean;
}

/** The document of a load. */
export interface LoadResult extends Circumstances {
  readonly plan: LoadPlan;
  /** Messages that the load came to, at a fixed rate; some may have waited for a place, and never left. */
  readonly due: number;
  readonly sent: number;
  readonly echoed: number;
  /** Echoes per second, of those that came while messages were sent. */
  readonly rate: number;
  /** In ms: by percentile, and the mean. */
  readonly latency: Readonly<Record<string, number>>;
  /** Percentile and ms, denser towards 100. */
  readonly curve: readonly Point[];
  /** Echoes per second, in each second. */
  readonly throughput: readonly number[];
  /** How much later than due the load itself sent, in ms; undefined without a rate. */
  readonly lateP99: number | undefined;
  readonly errors: readonly (Failure & { readonly kind: string })[];
}

/** Puts a result together. Header values are left out: they may be secrets. */
export function resultOf(plan: LoadPlan, tally: Tally, circumstances: Circumstances): LoadResult {
  const seconds = circumstances.ms / 1000;
  const inTime = tally.seconds.reduce((all, count) => all + count, 0);
  const { latency } = tally;
  const at = (percentile: number): number => latency.getValueAtPercentile(percentile) / 1000;
  return {
    plan: { ...plan, headers: plan.headers.map(([name]) => [name, '***'] as const) },
    ...circumstances,
    due: tally.due,
    sent: tally.sent,
    echoed: tally.echoed,
    rate: inTime / seconds,
    latency: Object.fromEntries([
      ...PERCENTILES.map((percentile) => [nameOf(percentile), at(percentile)]),
      ['mean', latency.totalCount === 0 ? 0 : latency.mean / 1000],
    ]) as Record<string, number>,
    curve: latency.totalCount === 0 ? [] : ticks(latency.totalCount).map((p) => [p, at(p)]),
    throughput: ratesOf(tally.seconds, seconds),
    lateP99: plan.rate === undefined ? undefined : tally.late.getValueAtPercentile(99) / 1000,
    errors: [...tally.failures]
      .map(([kind, failure]) => ({ kind, ...failure }))
      .toSorted((a, b) => b.count - a.count),
  };
}

/** What is left at the end is a second of its own from half a second on: less says nothing. */
function ratesOf(counts: readonly number[], seconds: number): number[] {
  const whole = Math.max(1, Math.round(seconds));
  return Array.from({ length: whole }, (_, i) => (counts[i] ?? 0) / Math.min(1, seconds - i));
}

function nameOf(percentile: number): string {
  return percentile === 100 ? 'max' : `p${percentile}`;
}

/** Percentiles up to the one that a single message of `count` decides. */
function ticks(count: number): number[] {
  const points: number[] = [];
  for (let left = 100; left > 100 / count; left /= 2) {
    for (let step = 0; step < STEPS; step++) points.push(100 - left + (left / 2) * (step / STEPS));
  }
  return [...points.slice(1), 100];
}

/** The document, the tables and the charts of a load. */
export function loadReport(result: LoadResult): Report {
  return {
    document: result,
    text: textOf(result),
    charts: chartsOf(result),
    failed: result.errors.length > 0,
  };
}

function textOf(result: LoadResult): string {
  const { plan, sent, echoed, rate, latency, ms, interrupted, abandoned, errors } = result;
  const lines = [
    plan.url,
    `${plan.connections} connections, ${bytesName(plan.payload)} of ${plan.text ? 'text' : 'binary'}, ${paceOf(plan)}`,
    ...(plan.compression ? [`compression: ${agreed(result)}`] : []),
    '',
    `${sent} messages sent, ${echoed} echoed in ${number(ms / 1000)} s: ${Math.round(rate)} messages per second, ` +
      `${number((rate * plan.payload) / 1024 ** 2)} MiB/s each way`,
    ...(interrupted ? [`interrupted; ${abandoned} were under way`] : []),
    ...warnings(result),
    '',
  ];
  const text = [
    lines.join('\n'),
    table(
      ['latency', 'ms'],
      Object.entries(latency).map(([name, value]) => [name, number(value)]),
    ),
  ];
  return [...text, errors.length === 0 ? 'no errors\n' : errorLines(errors)].join('\n');
}

/** A line each, the most frequent first, with the words of the first of its kind. */
function errorLines(errors: LoadResult['errors']): string {
  const wide = Math.max(...errors.map(({ kind }) => kind.length));
  const long = Math.max(...errors.map(({ count }) => `${count}`.length));
  const line = ({ kind, count, example }: LoadResult['errors'][number]): string =>
    `  ${`${count}`.padStart(long)} x ${kind.padEnd(wide)}  ${example}\n`;
  return `errors, and the first of each kind\n${errors.map(line).join('')}`;
}

function paceOf({ rate, depth }: LoadPlan): string {
  if (rate === undefined) return `closed loop, ${depth} in flight on each`;
  return `${rate} messages per second, latency from the moment each was due`;
}

function agreed({ extensions }: LoadResult): string {
  return extensions.map((one) => (one === '' ? 'none: the server declined' : one)).join(' or ');
}

/** What stands between the figures and the server. */
function warnings({ plan, due, rate, ms, busy, lateP99 = 0 }: LoadResult): string[] {
  const busiest = Math.max(...busy);
  if (plan.rate === undefined) {
    if (busiest < BUSY) return [];
    const part = `${Math.round(100 * busiest)} % of the time`;
    return [`the load itself was busy ${part}: the server may be able to do more; see --workers`];
  }
  const planned = Math.floor((plan.rate * ms) / 1000);
  if (due < 0.99 * planned) {
    return [
      `the load itself did not keep up: it came to ${due} of ${planned} messages; see --workers`,
    ];
  }
  return [
    ...(rate < 0.95 * plan.rate
      ? [`the server did not keep up: ${Math.round(rate)} of ${plan.rate} per second`]
      : []),
    ...(lateP99 > LATE
      ? [`the load itself was late by up to ${number(lateP99)} ms (99 %); see --workers`]
      : []),
  ];
}

function chartsOf({ plan, curve, throughput, errors }: LoadResult): Chart[] {
  const name = plan.url;
  const charts: Chart[] = [];
  if (curve.length > 0) {
    charts.push({
      kind: 'percentiles',
      title: 'Latency by percentile',
      unit: 'ms',
      note: `${paceOf(plan)}; ${plan.connections} connections, ${bytesName(plan.payload)}`,
      series: [{ name, points: curve }],
    });
  }
  charts.push({
    kind: 'lines',
    title: 'Throughput over time',
    unit: 'messages per second',
    axis: 'seconds',
    series: [{ name, points: throughput.map((rate, i) => [i + 1, rate]) }],
  });
  if (errors.length > 0) {
    charts.push({
      kind: 'bars',
      title: 'Errors by kind',
      unit: 'times',
      labels: errors.map(({ kind }) => kind),
      series: [{ name: 'errors', values: errors.map(({ count }) => count) }],
    });
  }
  return charts;
}
