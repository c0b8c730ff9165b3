import type { Census, Left } from './census.ts';
import { nearlyAll } from './plan.ts';
import { type Course, keysOf, mib, type Observed } from './soak.ts';

/** What was asked, what was seen. */
export interface Row {
  readonly what: string;
  readonly bound: string;
  readonly measured: string;
  readonly ok: boolean;
}

/** By how much memory may be above what it was. */
const TENTH = 1.1;
/** What pools may keep (bytes), of slabs and of message buffers: their own bounds. */
const POOLED = 10.5 * 2 ** 20;
const NAMES: { readonly [K in keyof Left]: string } = {
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

/** Judges what a soak has seen. */
export function judge(observed: Observed): Row[] {
  const { plan, server, clients, samples, closed } = observed;
  const full = samples.filter(({ clients }) => clients.open >= nearlyAll(plan));
  return [
    ...presence(observed),
    ...processRows(
      'server',
      server,
      full.map(({ server }) => server.memory.rss),
    ),
    ...processRows(
      'clients',
      clients,
      full.map(({ clients }) => clients.memory.rss),
    ),
    told('server: errors of its handlers', server.end.reported),
    {
      what: 'clients: what went otherwise than it should',
      bound: '0',
      measured: faultsOf(clients.end.faults),
      ok: clients.end.faults.size === 0,
    },
    nothing('server, closed: sockets and servers', closed.left.handles),
    nothing('server, closed: Conn objects', closed.left.conns),
  ];
}

function presence({ plan, samples, server, clients }: Observed): Row[] {
  const least = nearlyAll(plan);
  const open = samples.map(({ clients }) => clients.open);
  // They take their time to come: what counts is the time from the first look that found them all.
  const since = open.slice(
    Math.max(
      0,
      open.findIndex((count) => count >= least),
    ),
  );
  const middle = since.toSorted((a, b) => a - b)[since.length >> 1] ?? 0;
  return [
    {
      what: 'connections at a time',
      bound: `>= ${least}`,
      measured: String(middle),
      ok: middle >= least,
    },
    nothing('server: connections left', server.end.open),
    nothing('clients: connections left', clients.end.open),
  ];
}

function processRows(name: string, course: Course<Census>, rss: readonly number[]): Row[] {
  const { fresh, start, end } = course;
  // What lies in pools has a bound of its own.
  const taken = ({ memory, pooled }: Census): number => memory.heap + memory.external - pooled;
  return [
    memoryRow(`${name}: heap and external, without pools, MiB`, taken(start), taken(end)),
    rssRow(`${name}: RSS while all are there, MiB`, rss),
    ...keysOf(end.left).map((key) => ({
      what: `${name}: ${NAMES[key]}`,
      bound: `<= ${fresh.left[key]}`,
      measured: String(end.left[key]),
      ok: end.left[key] <= fresh.left[key],
    })),
    {
      what: `${name}: MiB kept in pools`,
      bound: `<= ${mib(POOLED)}`,
      measured: mib(end.pooled),
      ok: end.pooled <= POOLED,
    },
    told(`${name}: uncaught, unhandled`, end.uncaught),
    told(`${name}: warnings`, end.warnings),
  ];
}

function memoryRow(what: string, start: number, end: number): Row {
  return {
    what,
    bound: `<= ${mib(start * TENTH)} (${mib(start)} + 10 %)`,
    measured: mib(end),
    ok: end <= start * TENTH,
  };
}

/**
 * RSS is what allocators keep, and they keep most of what they ever had: when all have left it says little. With as many
 * connections as before it should be as before: of the looks while all were there, the last third is held against the one
 * before.
 */
function rssRow(what: string, rss: readonly number[]): Row {
  const third = Math.floor(rss.length / 3);
  if (third < 2) {
    return { what, bound: '-', measured: `not judged by ${rss.length} looks`, ok: true };
  }
  const middle = (from: number, to: number): number => {
    const sorted = rss.slice(from, to).toSorted((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? 0;
  };
  return memoryRow(what, middle(third, 2 * third), middle(2 * third, rss.length));
}

function nothing(what: string, count: number): Row {
  return { what, bound: '0', measured: String(count), ok: count === 0 };
}

function told(what: string, texts: readonly string[]): Row {
  const first = texts.length === 0 ? '' : `: ${texts[0]}`;
  return { what, bound: '0', measured: `${texts.length}${first}`, ok: texts.length === 0 };
}

function faultsOf(faults: ReadonlyMap<string, number>): string {
  if (faults.size === 0) return '0';
  return [...faults].map(([what, count]) => `${count} x ${what}`).join('\n');
}

/** The rows as a table of text. */
export function tableOf(rows: readonly Row[]): string {
  const width = (column: 'what' | 'bound'): number =>
    Math.max(...rows.map((row) => row[column].length));
  const [what, bound] = [width('what'), width('bound')];
  const line = (...[a, b, c, d]: string[]): string =>
    `${d!.padEnd(4)}  ${a!.padEnd(what)}  ${b!.padEnd(bound)}  ${c}`;
  return [
    line('what', 'bound', 'measured', 'ok'),
    ...rows.map(({ what, bound, measured, ok }) => line(what, bound, measured, ok ? 'yes' : 'NO')),
  ].join('\n');
}
