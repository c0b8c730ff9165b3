import { nearlyAll } from './options.ts';
import type { Leftovers, Snapshot } from './process-monitor.ts';
import { type Course, mib, type Observed } from './soak.ts';

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
export function judge({ plan, server, clients, samples, closed }: Observed): Row[] {
  const least = nearlyAll(plan);
  const full = samples.filter(({ clients }) => clients.open >= least);
  const rss = (of: 'server' | 'clients'): number[] => full.map((moment) => moment[of].memory.rss);
  const open = samples.map(({ clients }) => clients.open);
  // Clients take time to connect: samples count from the first one with all of them.
  const first = open.findIndex((count) => count >= least);
  const typical = median(open.slice(Math.max(0, first)));
  const faults = [...clients.end.faults].map(([what, count]) => `${count} x ${what}`);
  return [
    row('connections at a time', `>= ${least}`, String(typical), typical >= least),
    none('server: connections left', server.end.open),
    none('clients: connections left', clients.end.open),
    ...processRows('server', server, rss('server')),
    ...processRows('clients', clients, rss('clients')),
    noText('server: errors of its handlers', server.end.reported),
    row('clients: faults', '0', faults.join('\n') || '0', faults.length === 0),
    none('server, closed: sockets and servers', closed.left.handles),
    none('server, closed: Conn objects', closed.left.conns),
  ];
}

function processRows(name: string, course: Course<Snapshot>, rss: readonly number[]): Row[] {
  const { fresh, start, end } = course;
  // Pools have their own bound.
  const taken = ({ memory, pooled }: Snapshot): number => memory.heap + memory.external - pooled;
  return [
    memoryRow(`${name}: heap and external, without pools, MiB`, taken(start), taken(end)),
    rssRow(`${name}: RSS while all are connected, MiB`, rss),
    ...(Object.keys(NAMES) as (keyof Leftovers)[]).map((key) => {
      const [bound, measured] = [fresh.left[key], end.left[key]];
      return row(`${name}: ${NAMES[key]}`, `<= ${bound}`, String(measured), measured <= bound);
    }),
    row(`${name}: MiB kept in pools`, `<= ${mib(POOLED)}`, mib(end.pooled), end.pooled <= POOLED),
    noText(`${name}: uncaught, unhandled`, end.uncaught),
    noText(`${name}: warnings`, end.warnings),
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
  const first = texts.length === 0 ? '' : `: ${texts[0]}`;
  return row(what, '0', `${texts.length}${first}`, texts.length === 0);
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
