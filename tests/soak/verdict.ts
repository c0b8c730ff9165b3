import type { Leftovers, Snapshot } from './process-monitor.ts';
import { mib, nearlyAll, type Observed } from './soak.ts';

/** A bound and its measured value. */
export interface Row {
  readonly what: string;
  readonly bound: string;
  readonly measured: string;
  readonly ok: boolean;
}

/** Allowed growth of memory. */
const TENTH = 1.1;
/** Bytes that the pools of slabs and message buffers may keep: their own bounds. */
const POOLED = 10.5 * 2 ** 20;
const NAMES: { readonly [K in keyof Leftovers]: string } = {
  conns: 'Conn objects',
  sockets: 'Socket objects',
  timers: 'timers',
  signals: 'AbortSignals',
  listeners: 'listeners',
  handles: 'sockets of the event loop',
  files: 'open files',
  lent: 'pooled buffers lent',
  history: 'bytes of compression history',
};

/** Judges the observations of a soak. */
export function judge(observed: Observed): Row[] {
  const { plan, fresh, start, end, closed, samples, crowd, talk, reported } = observed;
  const least = nearlyAll(plan);
  const rss = samples.filter(({ open }) => open >= least).map(({ memory }) => memory.rss);
  const typical = median(samples.map(({ open }) => open));
  const faults = [...crowd.faults].map(([what, count]) => `${count} x ${what}`);
  // Pools have their own bound.
  const taken = ({ memory, pooled }: Snapshot): number => memory.heap + memory.external - pooled;
  return [
    row('connections at a time', `>= ${least}`, String(typical), typical >= least),
    none('connections left', crowd.open),
    memoryRow('heap and external, without pools, MiB', taken(start), taken(end)),
    rssRow('RSS while all are connected, MiB', rss),
    ...(Object.keys(NAMES) as (keyof Leftovers)[]).map((key) => {
      const [bound, measured] = [fresh.left[key], end.left[key]];
      return row(NAMES[key], `<= ${bound}`, String(measured), measured <= bound);
    }),
    row('MiB kept in pools', `<= ${mib(POOLED)}`, mib(end.pooled), end.pooled <= POOLED),
    noText('uncaught, unhandled', end.uncaught),
    noText('warnings', end.warnings),
    noText('errors that the servers report', reported),
    noText('faults of idle and abusive clients', faults),
    noText('messages lost, changed or out of order', talk.findings),
    none('closed: sockets and servers', closed.left.handles),
    row(
      'closed: Conn objects',
      `<= ${fresh.left.conns}`,
      String(closed.left.conns),
      closed.left.conns <= fresh.left.conns,
    ),
  ];
}

function memoryRow(what: string, start: number, end: number): Row {
  const bound = `<= ${mib(start * TENTH)} (${mib(start)} + 10 %)`;
  return row(what, bound, mib(end), end <= start * TENTH);
}

/**
 * Allocators keep most of their peak, so RSS after the end says little. With a constant number of connections RSS must not
 * grow: compares the last third of the samples with the third before.
 */
function rssRow(what: string, rss: readonly number[]): Row {
  const third = Math.floor(rss.length / 3);
  if (third < 2) return row(what, '-', `not judged by ${rss.length} samples`, true);
  return memoryRow(what, median(rss.slice(third, 2 * third)), median(rss.slice(2 * third)));
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;
}

function row(what: string, bound: string, measured: string, ok: boolean): Row {
  return { what, bound, measured, ok };
}

function none(what: string, count: number): Row {
  return row(what, '0', String(count), count === 0);
}

function noText(what: string, texts: readonly string[]): Row {
  return row(what, '0', [texts.length, ...texts.slice(0, 5)].join('\n'), texts.length === 0);
}

/** The rows as a table of text. */
export function tableOf(rows: readonly Row[]): string {
  const width = (column: 'what' | 'bound'): number =>
    Math.max(...rows.map((row) => row[column].length));
  const [what, bound] = [width('what'), width('bound')];
  const line = (a: string, b: string, c: string, d: string): string =>
    `${d.padEnd(4)}  ${a.padEnd(what)}  ${b.padEnd(bound)}  ${c}`;
  return [
    line('what', 'bound', 'measured', 'ok'),
    ...rows.map(({ what, bound, measured, ok }) => line(what, bound, measured, ok ? 'yes' : 'NO')),
  ].join('\n');
}
