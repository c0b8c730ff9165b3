import type { LoadPlan } from '../client/plan.ts';
import type { Failure, Tally } from '../client/tally.ts';
import type { Report } from '../command-line/command.ts';
import type { Chart, Point } from '../report/chart.ts';
import { withoutQuery } from '../report/head.ts';
import { bytesName, number, table } from '../report/table.ts';

const PERCENTILES: readonly number[] = [50, 75, 90, 99, 99.9, 99.99, 100];
/** Points of the curve for each halving of the distance to 100 %. */
const POINTS_PER_HALVING = 4;
/** CPU share from which a process of the load is the bottleneck. */
const BUSY = 0.9;
/** Delay in ms from which latency includes the load's own delay. */
const LATE = 2;

/** The facts of a load besides its counts. */
interface LoadFacts {
  readonly ms: number;
  readonly extensions: readonly string[];
  /** Number of connections at the start. */
  readonly opened: number;
  /** CPU share of each process, 0 to 1. */
  readonly busy: readonly number[];
  readonly abandoned: number;
  readonly interrupted: boolean;
}

/** The document of a load. */
export interface LoadResult extends LoadFacts {
  readonly plan: LoadPlan;
  /** Messages that became due, at a fixed rate. Some may have waited for a place until the end. */
  readonly due: number;
  /** Messages planned, at a fixed rate, for connections that did not open or had ended. */
  readonly skipped: number;
  readonly sent: number;
  readonly echoed: number;
  /** Messages without an echo in time. Their latency is the time waited. */
  readonly givenUp: number;
  /** Echoes per second during the planned time. */
  readonly rate: number;
  /** Milliseconds by percentile, and the mean; null without a latency. */
  readonly latency: Readonly<Record<string, number | null>>;
  /** Percentile and ms, denser towards 100. */
  readonly curve: readonly Point[];
  /** Echoes per second, in each second. */
  readonly throughput: readonly number[];
  /** 99th percentile of the load's own delay, in ms; undefined without a rate. */
  readonly lateP99: number | undefined;
  readonly errors: readonly (Failure & { readonly kind: string })[];
}

/**
 * Creates the result. Omits the values of headers and the query of the URL, which may be secrets.
 */
export function resultOf(plan: LoadPlan, tally: Tally, facts: LoadFacts): LoadResult {
  const seconds = facts.ms / 1000;
  const inTime = tally.seconds.reduce((all, count) => all + count, 0);
  const { latency } = tally;
  const some = latency.totalCount > 0;
  const at = (percentile: number): number => latency.getValueAtPercentile(percentile) / 1000;
  return {
    plan: {
      ...plan,
      url: withoutQuery(plan.url),
      headers: plan.headers.map(([name]) => [name, '***'] as const),
    },
    ...facts,
    due: tally.due,
    skipped: tally.skipped,
    sent: tally.sent,
    echoed: tally.echoed,
    givenUp: tally.givenUp,
    rate: inTime / seconds,
    latency: Object.fromEntries([
      ...PERCENTILES.map((percentile) => [nameOf(percentile), some ? at(percentile) : null]),
      ['mean', some ? latency.mean / 1000 : null],
    ]) as Record<string, number | null>,
    curve: some ? ticks(latency.totalCount).map((p) => [p, at(p)]) : [],
    throughput: ratesOf(tally.seconds, seconds),
    lateP99: plan.rate === undefined ? undefined : tally.late.getValueAtPercentile(99) / 1000,
    errors: [...tally.failures]
      .map(([kind, { count, example }]) => ({
        kind,
        count,
        example: example.replaceAll(plan.url, withoutQuery(plan.url)),
      }))
      .toSorted((a, b) => b.count - a.count),
  };
}

/** A rest of half a second or more counts as a second. A shorter rest is ignored. */
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
    for (let step = 0; step < POINTS_PER_HALVING; step++)
      points.push(100 - left + (left / 2) * (step / POINTS_PER_HALVING));
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
  const { plan, opened, sent, echoed, rate, latency, ms, interrupted, abandoned, errors } = result;
  const connections = opened < plan.connections ? `${opened} of ` : '';
  const lines = [
    plan.url,
    `${connections}${plan.connections} connections, ${bytesName(plan.payload)} of ${plan.text ? 'text' : 'binary'}, ${paceOf(plan)}`,
    ...(plan.compression ? [`compression: ${agreed(result)}`] : []),
    '',
    `${sent} messages sent, ${echoed} echoed in ${number(ms / 1000)} s: ${Math.round(rate)} messages per second, ` +
      `${number((rate * plan.payload) / 1024 ** 2)} MiB/s each way`,
    ...(interrupted ? [`interrupted; ${abandoned} messages were in flight`] : []),
    ...warnings(result),
    '',
  ];
  const text = [
    lines.join('\n'),
    table(
      ['latency', 'ms'],
      Object.entries(latency).map(([name, value]) => [name, number(value ?? undefined)]),
    ),
  ];
  return [...text, errors.length === 0 ? 'no errors\n' : errorLines(errors)].join('\n');
}

/** One line for each kind, the most frequent first, with its first example. */
function errorLines(errors: LoadResult['errors']): string {
  const wide = Math.max(...errors.map(({ kind }) => kind.length));
  const long = Math.max(...errors.map(({ count }) => `${count}`.length));
  const line = ({ kind, count, example }: LoadResult['errors'][number]): string =>
    `  ${`${count}`.padStart(long)} x ${kind.padEnd(wide)}  ${example}\n`;
  return `errors, with the first of each kind\n${errors.map(line).join('')}`;
}

function paceOf({ rate, depth }: LoadPlan): string {
  if (rate === undefined) return `closed loop, ${depth} in flight on each`;
  return `${rate} messages per second, latency from the due moment`;
}

function agreed({ extensions }: LoadResult): string {
  return extensions.map((one) => (one === '' ? 'none: the server declined' : one)).join(' or ');
}

/** Warnings about figures that describe more than the server. */
function warnings(result: LoadResult): string[] {
  const { givenUp, plan } = result;
  const without =
    givenUp > 0
      ? [`${givenUp} messages without an echo in time; latency counts each with the time waited`]
      : [];
  return [
    ...without,
    ...(plan.rate === undefined ? busyWarning(result) : rateWarnings(result, plan.rate)),
  ];
}

function busyWarning({ busy }: LoadResult): string[] {
  const busiest = Math.max(...busy);
  if (busiest < BUSY) return [];
  const part = `${Math.round(100 * busiest)} % of a core`;
  return [`the load used ${part}, so the server may be able to do more; see --workers`];
}

function rateWarnings(result: LoadResult, wanted: number): string[] {
  const { due, skipped, rate, ms, lateP99 = 0 } = result;
  const absent =
    skipped > 0
      ? [`${skipped} of ${due + skipped} messages were not sent: no connection was open for them`]
      : [];
  const planned = Math.floor((wanted * ms) / 1000) - skipped;
  if (due < 0.99 * planned) {
    return [
      ...absent,
      `the load did not keep up: ${due} of ${planned} messages became due; see --workers`,
    ];
  }
  const expected = (wanted * due) / Math.max(1, due + skipped);
  return [
    ...absent,
    ...(rate < 0.95 * expected
      ? [`the server did not keep up: ${Math.round(rate)} of ${Math.round(expected)} per second`]
      : []),
    ...(lateP99 > LATE
      ? [`the load sent up to ${number(lateP99)} ms late (99 %); see --workers`]
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
