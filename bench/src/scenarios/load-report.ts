import { basename } from 'node:path';
import type { Report } from '../command-line/command.ts';
import type { Percentiles } from '../load/latencies.ts';
import type { RunResult } from '../load/load-worker.ts';
import type { Checked, Threshold } from '../load/thresholds.ts';
import type { UsersResult } from '../load/users.ts';
import { BUSY } from '../report/contest-tables.ts';
import { bytesName, number, type Table } from '../report/table.ts';
import type { LoadPlan } from './load-plan.ts';

/** Exit code for a missed threshold, as in k6. */
const MISSED = 99;
/** Delay in ms from which latency includes that of the load. */
const LATE_MS = 2;
/** Range of the rates of the intervals from which they scatter, as a share of their median. */
const SCATTER = 0.5;

/** What an echo load and a load of users have in common. */
type Ran = Omit<RunResult, 'bytes'> & Partial<Omit<UsersResult, keyof RunResult>>;

/** The report of a load. */
export function reportOf(plan: LoadPlan, result: Ran, thresholds: readonly Threshold[]): Report {
  const ran = { ...result, latency: percentilesOf(result) };
  const { messages, ms, latency, errors = 0, series, fault } = ran;
  const rate = (1000 * messages) / ms;
  const checked = thresholds.map((check) => check({ latency, rate, errors, messages }));
  return {
    document: { plan, ...ran, rate, thresholds: checked },
    tables: [...overTime(series!), latencyTable(ran)],
    text: textOf(plan, ran, rate, checked),
    target: plan.url,
    compared: summaryTable(ran, rate),
    exitCode: fault !== undefined ? 1 : checked.every(({ passed }) => passed) ? 0 : MISSED,
    ...(fault !== undefined && { endedEarly: `${plan.url}: ${fault}` }),
  };
}

/** Without a message each is NaN, which becomes null on the way from the other process. */
function percentilesOf({ latency }: Ran): Percentiles {
  const { p50, p90, p95, p99, p999, most } = latency!;
  const known = (ms: number | null): number => ms ?? Number.NaN;
  return {
    p50: known(p50),
    p90: known(p90),
    p95: known(p95),
    p99: known(p99),
    p999: known(p999),
    most: known(most),
  };
}

/** Whether the rate of a load without ramps changed much. The first and the last interval may be short. */
export function scatters({ stages }: LoadPlan, { series = [] }: Ran): boolean {
  const rates = series.slice(1, -1).map(({ rate }) => rate);
  if (stages !== undefined || rates.length < 3) return false;
  const [least, most] = [Math.min(...rates), Math.max(...rates)];
  return most - least > SCATTER * (rates.reduce((sum, rate) => sum + rate, 0) / rates.length);
}

function overTime(series: NonNullable<RunResult['series']>): Table[] {
  const labels = series.map(({ at }) => `${number(at / 1000)} s`);
  const latencies: Table = {
    title: 'Latency over time',
    unit: 'ms, in each interval',
    note: 'Less is better.',
    labels,
    series: [
      { name: 'p50', values: series.map(({ p50 }) => p50) },
      { name: 'p99', values: series.map(({ p99 }) => p99) },
    ],
  };
  const rates: Table = {
    title: 'Rate',
    unit: 'messages per second, in each interval',
    note: 'More is better.',
    labels,
    series: [{ name: 'rate', values: series.map(({ rate }) => rate) }],
  };
  if (series[0]?.connections === undefined) return [rates, latencies];
  const connections: Table = {
    title: 'Connections',
    unit: 'open at the end of each interval',
    labels,
    series: [{ name: 'connections', values: series.map((one) => one.connections ?? null) }],
  };
  return [rates, latencies, connections];
}

function latencyTable({ latency }: Ran): Table {
  const { p50, p90, p95, p99, p999, most } = latency!;
  const values = [p50, p90, p95, p99, p999, most];
  return {
    title: 'Latency',
    unit: 'ms',
    note: 'Less is better.',
    labels: ['p50', 'p90', 'p95', 'p99', 'p99.9', 'max'],
    series: [{ name: 'latency', values: values.map((ms) => (Number.isNaN(ms) ? null : ms)) }],
  };
}

/** The figures that are compared with earlier results. */
function summaryTable(ran: Ran, rate: number): Table {
  const { labels, series } = latencyTable(ran);
  return {
    title: 'Load',
    unit: 'messages per second, and latency in ms',
    labels: ['rate', ...labels],
    series: [{ name: 'load', values: [rate, ...series[0]!.values] }],
  };
}

function textOf(plan: LoadPlan, ran: Ran, rate: number, checked: readonly Checked[]): string {
  const { p50, p95, p99, p999, most } = ran.latency!;
  const { messages, ms, errors = 0, messagesOfErrors = [] } = ran;
  const isEcho = plan.script === undefined;
  return [
    plan.url,
    whatOf(plan),
    '',
    `${messages} messages ${isEcho ? 'echoed' : 'as expected'} in ${number(ms / 1000)} s: ${Math.round(rate)} per second`,
    `latency in ms: p50 ${number(p50)}, p95 ${number(p95)}, p99 ${number(p99)}, p99.9 ${number(p999)}, max ${number(most)}`,
    ...warnings(plan, ran),
    ...(errors > 0 ? [`${errors} errors:`] : []),
    ...messagesOfErrors.map(([text, count]) => `  ${count} x ${text.replaceAll('\n', '\n    ')}`),
    ...(errors === 0 && ran.fault === undefined
      ? [isEcho ? 'no errors: every byte was compared' : 'no errors']
      : []),
    ...checked.map(({ threshold, value, passed }) =>
      ran.fault === undefined
        ? `threshold ${threshold}: ${Number.isInteger(value) ? value : number(value)}, ${passed ? 'passed' : 'MISSED'}`
        : `threshold ${threshold}: not judged`,
    ),
    '',
  ].join('\n');
}

/** One line: what was sent, by how many, and how fast. */
function whatOf(plan: LoadPlan): string {
  const { connections, payload, text, depth, rate, script, stages } = plan;
  const what =
    script === undefined
      ? `${bytesName(payload)} of ${text ? 'text' : 'binary'}`
      : basename(script);
  if (stages !== undefined) {
    const parts = stages.map(
      (one) =>
        `${number(one.ms / 1000)} s to ${one.connections}${one.rate === undefined ? '' : ` at ${one.rate} per second`}`,
    );
    return `${what}, connections by stages: ${parts.join(', ')}`;
  }
  const pace =
    rate !== undefined
      ? `${rate} messages per second, latency from the due moment`
      : script === undefined
        ? `closed loop, ${depth} in flight on each`
        : 'closed loop';
  return `${connections} connections, ${what}, ${pace}`;
}

/** Warnings about figures that describe more than the server. */
function warnings(
  { rate, ms: planned, stages, script }: LoadPlan,
  { messages, cpu, ms, late, missedTurns = 0 }: Ran,
): string[] {
  const busy = cpu / 1000 / ms;
  // At a rate the load of echoes polls, so its CPU says nothing; its delay does.
  const limits = busy > BUSY && (rate === undefined || script !== undefined);
  return [
    ...(messages === 0 ? ['no message arrived: the figures say nothing'] : []),
    ...(limits
      ? [`the load used ${Math.round(100 * busy)} % of a core: the server may be able to do more`]
      : []),
    ...(missedTurns > 0
      ? [
          `${missedTurns} planned turns had no free user: the server did not keep up, or there are too few connections`,
        ]
      : []),
    ...(stages === undefined && script === undefined && rate !== undefined && ms > 1.1 * planned
      ? ['the server or the load did not keep up']
      : []),
    ...(late !== undefined && late.p99 > LATE_MS
      ? [`the load sent up to ${number(late.p99)} ms late (99 %)`]
      : []),
  ];
}
