import { describe, expect, it } from 'vitest';
import type { Left } from '../../src/soak/census.ts';
import type { ClientCensus } from '../../src/soak/clients.ts';
import type { ServerCensus } from '../../src/soak/server.ts';
import type { Moment, Observed } from '../../src/soak/soak.ts';
import { judge, tableOf } from '../../src/soak/verdict.ts';

const MIB = 2 ** 20;
const LEFT: Left = {
  conns: 0,
  sockets: 2,
  timers: 3,
  signals: 1,
  listeners: 9,
  handles: 3,
  files: 30,
  lent: 0,
  history: 0,
};

type Both = ServerCensus & ClientCensus;

function census(other: Partial<Both> = {}, left: Partial<Left> = {}): Both {
  return {
    memory: { rss: 100 * MIB, heap: 12 * MIB, external: 20 * MIB, arrayBuffers: MIB },
    left: { ...LEFT, ...left },
    pooled: MIB,
    uncaught: [],
    warnings: [],
    open: 0,
    reported: [],
    faults: new Map(),
    ...other,
  };
}

function moment(at: number, open: number, rss = 100): Moment {
  const memory = { rss: rss * MIB, heap: 0, external: 0, arrayBuffers: 0 };
  return {
    at,
    server: { memory, delay: 0, open, opened: open },
    clients: { memory, delay: 0, open, opened: open, ended: 0, messages: 0, faults: 0 },
  };
}

function observed(end: Both = census(), samples: readonly Moment[] = [moment(5, 99)]): Observed {
  const course = { fresh: census(), start: census(), end };
  return {
    plan: { connections: 100, seconds: 60, seed: 1, secure: false, compression: 'off' },
    server: course,
    clients: course,
    samples,
    totals: moment(0, 0).clients,
    closed: census({}, { handles: 0 }),
  };
}

/** What the verdict on `seen` holds against it. */
function broken(seen: Observed): string[] {
  return judge(seen)
    .filter(({ ok }) => !ok)
    .map(({ what }) => what);
}

describe('the verdict of a soak', () => {
  it('is good when everything is as it was', () => {
    expect(broken(observed())).toEqual([]);
  });

  it.each(Object.keys(LEFT) as (keyof Left)[])('tells of one of the %s too many', (name) => {
    const rows = broken(observed(census({}, { [name]: LEFT[name] + 1 })));
    expect(rows).toHaveLength(2);
    expect(rows[0]!.replace('server', 'clients')).toBe(rows[1]);
  });

  it('tells of memory that has grown by more than a tenth', () => {
    const grown = (heap: number, pooled = 1): Both => {
      const memory = { rss: 0, heap: heap * MIB, external: 20 * MIB, arrayBuffers: 0 };
      return census({ memory, pooled: pooled * MIB });
    };
    // 31 MiB before, without the one in pools.
    expect(broken(observed(grown(15)))).toEqual([]);
    expect(broken(observed(grown(17, 3)))).toEqual([]);
    expect(broken(observed(grown(15.2)))).toEqual([
      'server: heap and external, without pools, MiB',
      'clients: heap and external, without pools, MiB',
    ]);
  });

  it('tells of RSS that grows while as many are there', () => {
    const course = (last: number): Moment[] =>
      [60, 80, 100, 101, last, last].map((rss, i) => moment(i, 100, rss));
    expect(broken(observed(census(), course(110)))).toEqual([]);
    expect(broken(observed(census(), course(112)))).toEqual([
      'server: RSS while all are there, MiB',
      'clients: RSS while all are there, MiB',
    ]);
  });

  it.each([
    { other: { uncaught: ['x'] }, what: 'uncaught' },
    { other: { warnings: ['x'] }, what: 'warnings' },
    { other: { reported: ['x'] }, what: 'errors of its handlers' },
    { other: { faults: new Map([['echo: x', 1]]) }, what: 'otherwise' },
    { other: { open: 1 }, what: 'connections left' },
    { other: { pooled: 11 * MIB }, what: 'kept in pools' },
  ])('tells of $what', ({ other, what }) => {
    const rows = broken(observed(census(other)));
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(row).toContain(what);
  });

  it('tells of connections that were never there', () => {
    expect(broken(observed(census(), [moment(5, 89)]))).toEqual(['connections at a time']);
    expect(broken(observed(census(), [moment(5, 90)]))).toEqual([]);
    expect(broken(observed(census(), []))).toEqual(['connections at a time']);
  });

  it('forgives that they came slowly, and not that they left', () => {
    const course = (...open: number[]): Moment[] => open.map((count, i) => moment(i, count));
    expect(broken(observed(census(), course(10, 20, 30, 40, 95, 95)))).toEqual([]);
    expect(broken(observed(census(), course(95, 20, 30, 40, 50, 95)))).toEqual([
      'connections at a time',
    ]);
  });

  it('tells of what a closed server leaves', () => {
    const closed = census({}, { handles: 1, conns: 1 });
    expect(broken({ ...observed(), closed })).toEqual([
      'server, closed: sockets and servers',
      'server, closed: Conn objects',
    ]);
  });

  it('is a table of bounds and figures', () => {
    const rows = judge(observed(census({}, { conns: 7 })));
    const table = tableOf(rows).split('\n');
    expect(table[0]).toMatch(/^ok +what +bound +measured$/);
    expect(table).toHaveLength(rows.length + 1);
    expect(table.find((line) => line.includes('server: Conn'))).toMatch(/^NO .*<= 0 +7$/);
  });
});
