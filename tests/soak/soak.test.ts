import { describe, expect, it } from 'vitest';
import type { ClientSnapshot } from './clients.ts';
import { openFiles, planOf } from './options.ts';
import type { Leftovers } from './process-monitor.ts';
import type { ServerSnapshot } from './server.ts';
import { durationOf, type Moment, type Observed } from './soak.ts';
import { judge, tableOf } from './verdict.ts';

const MIB = 2 ** 20;
const LEFT: Leftovers = {
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

type Both = ServerSnapshot & ClientSnapshot;

function snapshot(other: Partial<Both> = {}, left: Partial<Leftovers> = {}): Both {
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
  const server = { memory, delay: 0, open, opened: open };
  return { at, server, clients: { ...server, ended: 0, messages: 0, faults: 0 } };
}

function observed(end: Both = snapshot(), samples: readonly Moment[] = [moment(5, 99)]): Observed {
  const course = { fresh: snapshot(), start: snapshot(), end };
  return {
    plan: { connections: 100, seconds: 60, seed: 1, secure: false, compression: 'off' },
    server: course,
    clients: course,
    samples,
    totals: moment(0, 0).clients,
    closed: snapshot({}, { handles: 0, conns: 0 }),
  };
}

/** The broken bounds. */
function broken(seen: Observed): string[] {
  return judge(seen)
    .filter(({ ok }) => !ok)
    .map(({ what }) => what);
}

describe('planOf', () => {
  it('plans ten minutes of 0.4 x the open files by default', () => {
    const plan = { connections: 8_000, seconds: 600, secure: false, compression: 'mixed' };
    expect(planOf([], 20_000)).toEqual({ ...plan, seed: expect.any(Number) });
    expect(planOf([], Infinity)?.connections).toBe(10_000);
    expect(openFiles()).toBeGreaterThan(0);
  });

  it('reads every option', () => {
    const args = '--minutes 0.5 --connections 12 --seed 7 --tls --compression takeover';
    const plan = { connections: 12, seconds: 30, seed: 7, secure: true, compression: 'takeover' };
    expect(planOf(args.split(' '), 20_000)).toEqual(plan);
    expect(planOf(['--help'], 20_000)).toBeUndefined();
  });

  it.each([
    ['--minutes', 'ten'],
    ['--connections', '0'],
    ['--connections', '16001'],
    ['--seed', 'x'],
    ['--compression', 'zip'],
    ['--speed', '1'],
  ])('rejects %s %s', (...args) => {
    expect(() => planOf(args, 20_000)).toThrow(args[0]);
  });
});

describe('durationOf', () => {
  it.each([
    { asked: 60, came: 10, seconds: 50, extended: false },
    { asked: 60, came: 45, seconds: 15, extended: false },
    { asked: 60, came: 46, seconds: 15, extended: true },
    { asked: 60, came: 280, seconds: 15, extended: true },
    { asked: 3, came: 2, seconds: 3, extended: false },
    { asked: 60, came: undefined, seconds: 0, extended: false },
  ])('is $seconds s of $asked s when all are connected after $came s', (row) => {
    const { asked, came, seconds, extended } = row;
    expect(durationOf(asked, came)).toEqual({ seconds, extended });
  });
});

describe('judge', () => {
  it('accepts an end that equals the start', () => {
    expect(broken(observed())).toEqual([]);
  });

  it.each(Object.keys(LEFT) as (keyof Leftovers)[])('reports one more of %s', (name) => {
    const rows = broken(observed(snapshot({}, { [name]: LEFT[name] + 1 })));
    expect(rows).toHaveLength(2);
    expect(rows[0]!.replace('server', 'clients')).toBe(rows[1]);
  });

  it('reports memory outside pools that has grown by more than a tenth', () => {
    const grown = (heap: number, pooled = 1): Both => {
      const memory = { rss: 0, heap: heap * MIB, external: 20 * MIB, arrayBuffers: 0 };
      return snapshot({ memory, pooled: pooled * MIB });
    };
    // Before: 31 MiB without the MiB in pools.
    expect(broken(observed(grown(15)))).toEqual([]);
    expect(broken(observed(grown(17, 3)))).toEqual([]);
    expect(broken(observed(grown(15.2)))[0]).toBe('server: heap and external, without pools, MiB');
  });

  it('reports RSS that grows under a constant number of connections', () => {
    const course = (last: number): Moment[] =>
      [60, 80, 100, 101, last, last].map((rss, i) => moment(i, 100, rss));
    expect(broken(observed(snapshot(), course(110)))).toEqual([]);
    expect(broken(observed(snapshot(), course(112)))).toHaveLength(2);
  });

  it.each([
    { other: { uncaught: ['x'] }, what: 'uncaught' },
    { other: { warnings: ['x'] }, what: 'warnings' },
    { other: { reported: ['x'] }, what: 'errors of its handlers' },
    { other: { faults: new Map([['echo: x', 1]]) }, what: 'faults' },
    { other: { open: 1 }, what: 'connections left' },
    { other: { pooled: 11 * MIB }, what: 'kept in pools' },
  ])('reports $what', ({ other, what }) => {
    const rows = broken(observed(snapshot(other)));
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(row).toContain(what);
  });

  it.each([
    { open: [89], ok: false },
    { open: [90], ok: true },
    { open: [], ok: false },
    { open: [10, 20, 30, 40, 95, 95], ok: true },
    { open: [95, 20, 30, 40, 50, 95], ok: false },
  ])('requires nearly all connections from the first full sample on: $open', ({ open, ok }) => {
    const rows = broken(
      observed(
        snapshot(),
        open.map((count, i) => moment(i, count)),
      ),
    );
    expect(rows).toEqual(ok ? [] : ['connections at a time']);
  });

  it('reports leftovers of a closed server', () => {
    const closed = snapshot({}, { handles: 1, conns: 1 });
    const names = ['server, closed: sockets and servers', 'server, closed: Conn objects'];
    expect(broken({ ...observed(), closed })).toEqual(names);
  });

  it('is printed as a table', () => {
    const table = tableOf(judge(observed(snapshot({}, { conns: 7 })))).split('\n');
    expect(table[0]).toMatch(/^ok +what +bound +measured$/);
    expect(table.find((line) => line.includes('server: Conn'))).toMatch(/^NO .*<= 0 +7$/);
  });
});
