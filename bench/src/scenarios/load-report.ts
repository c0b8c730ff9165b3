import type { LoadPlan } from '../client/plan.ts';
import type { Failure, Tally } from '../client/tally.ts';
import type { Chart, Point } from '../report/chart.ts';
import { withoutQuery } from '../report/head.ts';
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
  /** Connections that there were to begin with. */
  readonly opened: number;
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
  /** Messages that were planned, at a fixed rate, on connections that had not opened or had ended. */
  readonly unmanned: number;
  readonly sent: number;
  readonly echoed: number;
  /** Messages that had not come back in time: their latency is what they were waited for. */
  readonly givenUp: number;
  /** Echoes per second, of those that came while messages were sent. */
  readonly rate: number;
  /** In ms: by percentile, and the mean; null when there is none. */
  readonly latency: Readonly<Record<string, number | null>>;
  /** Percentile and ms, denser towards 100. */
  readonly curve: readonly Point[];
  /** Echoes per second, in each second. */
  readonly throughput: readonly number[];
  /** How much later than due the load itself sent, in ms; undefined without a rate. */
  readonly lateP99: number | undefined;
  readonly errors: readonly (Failure & { readonly kind: string })[];
}

/** Puts a result together. The values of headers and the URL's query are left out: they may be secrets. */
export function resultOf(plan: LoadPlan, tally: Tally, circumstances: Circumstances): LoadResult {
  const seconds = circumstances.ms / 1000;
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
    ...circumstances,
    due: tally.due,
    unmanned: tally.unmanned,
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
  const { plan, opened, sent, echoed, rate, latency, ms, interrupted, abandoned, errors } = result;
  const connections = opened < plan.connections ? `${opened} of ` : '';
  const lines = [
    plan.url,
    `${connections}${plan.connections} connections, ${bytesName(plan.payload)} of ${plan.text ? 'text' : 'binary'}, ${paceOf(plan)}`,
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
      Object.entries(latency).map(([name, value]) => [name, number(value ?? undefined)]),
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
function warnings(result: LoadResult): string[] {
  const { givenUp, plan } = result;
  const without =
    givenUp > 0
      ? [`not back in time: ${givenUp}; latency counts each with the time it was waited for`]
      : [];
  return [
    ...without,
    ...(plan.rate === undefined ? busyWarning(result) : rateWarnings(result, plan.rate)),
  ];
}

function busyWarning({ busy }: LoadResult): string[] {
  const busiest = Math.max(...busy);
  if (busiest < BUSY) return [];
  const part = `${Math.round(100 * busiest)} % of the time`;
  return [`the load itself was busy ${part}: the server may be able to do more; see --workers`];
}

function rateWarnings(result: LoadResult, wanted: number): string[] {
  const { due, unmanned, rate, ms, lateP99 = 0 } = result;
  const absent =
    unmanned > 0
      ? [
          `${unmanned} of ${due + unmanned} messages were not sent: their connections had not opened, or had ended`,
        ]
      : [];
  const planned = Math.floor((wanted * ms) / 1000) - unmanned;
  if (due < 0.99 * planned) {
    return [
      ...absent,
      `the load itself did not keep up: it came to ${due} of ${planned} messages; see --workers`,
    ];
  }
  const manned = (wanted * due) / Math.max(1, due + unmanned);
  return [
    ...absent,
    ...(rate < 0.95 * manned
      ? [`the server did not keep up: ${Math.round(rate)} of ${Math.round(manned)} per second`]
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
