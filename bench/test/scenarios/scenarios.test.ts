import { describe, expect, it } from 'vitest';
import { type ContestResult, type Plan, type Readings, workOf } from '../../src/harness/runner.ts';
import { client } from '../../src/scenarios/client.ts';
import { codec } from '../../src/scenarios/codec.ts';
import { compare } from '../../src/scenarios/compare.ts';
import { deflate } from '../../src/scenarios/deflate.ts';
import { handshakes, handshakesCold } from '../../src/scenarios/handshakes.ts';
import { http2 } from '../../src/scenarios/http2.ts';
import { hub } from '../../src/scenarios/hub.ts';
import { memory } from '../../src/scenarios/memory.ts';
import { micro } from '../../src/scenarios/micro.ts';
import {
  allowedConnections,
  type Environment,
  lackingContenders,
  type Scenario,
  tablesOf,
  withPossible,
} from '../../src/scenarios/scenario.ts';
import { stream } from '../../src/scenarios/stream.ts';

/** No process is started: the contests are only listed. */
const environment = {
  cores: { server: 0, load: 1, shared: false },
  load: undefined as never,
  bun: { path: 'bun', version: '1.0.0' },
  profile: undefined,
  before: undefined,
} satisfies Environment;

const METRICS =
  'us rate wire compressed gc pause busy p50 p99 p999 late heap open both turn resident young collected growth reader writer ns left message delay each share bytes wall server client';
/** A room has each metric for one message in a turn, and for 16. */
const PREFIXES = ['', '1 ', '16 '];
const metrics: Readings = Object.fromEntries(
  PREFIXES.flatMap((prefix) => METRICS.split(' ').map((name) => [`${prefix}${name}`, [[2], [3]]])),
);

/** A result of every contest, in which every metric of every contender is the same. */
function resultsOf({ contests }: Scenario): ContestResult[] {
  return contests(environment).map((contest) => {
    const names =
      'measure' in contest
        ? ['ours', 'receive', 'loop', 'plain JS', 'ws, native mask', 'ws']
        : contest.contenders;
    return {
      name: contest.name,
      masks: {},
      readings: Object.fromEntries(names.map((name) => [name, metrics])),
    };
  });
}

const SCENARIOS = [compare, client, handshakes, memory, stream, deflate, codec, micro, hub];

describe.each(
  [...SCENARIOS, handshakesCold, http2].map((scenario) => [scenario.name, scenario] as const),
)('%s', (_, scenario) => {
  const results = resultsOf(scenario);
  const tables = scenario.tables(results);

  it('has contests with different names', () => {
    const names = results.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('shows every contest in a table, with a column for every contender', () => {
    const shown = tables.flatMap(({ labels, series }) => [
      ...labels,
      ...series.map(({ name }) => name),
    ]);
    for (const { name, readings } of results) {
      expect(shown.some((label) => label.startsWith(name))).toBe(true);
      for (const contender of Object.keys(readings)) expect(shown).toContain(contender);
    }
  });

  it('has a value for every label', () => {
    for (const { labels, series } of tables) {
      expect(labels.length).toBeGreaterThan(0);
      for (const { values } of series) expect(values).toHaveLength(labels.length);
    }
  });

  it('has no table for contests that were not chosen', () => {
    for (const { labels } of scenario.tables(results.slice(0, 1))) {
      expect(labels.length).toBeGreaterThan(0);
    }
  });
});

/** Ms of the windows, warm-ups and starts of a plan. */
function workOfAll(scenario: Scenario, plan: Omit<Plan, 'seed'>): number {
  const works = scenario
    .contests(environment)
    .map((contest) => workOf(contest, { ...plan, seed: 1 }));
  return works.reduce((sum, work) => sum + work, 0);
}

it.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
  '%s states a duration that its windows fit into',
  (_, scenario) => {
    expect(workOfAll(scenario, scenario.full) / 60_000).toBeLessThan(scenario.minutes + 0.5);
    // The help states a quarter with --quick.
    const quick = workOfAll(scenario, scenario.quick) / 60_000;
    expect(quick).toBeLessThan(Math.ceil(scenario.minutes / 4));
  },
);

describe('compare', () => {
  it('has its first result in 20 s with --quick, and all in 5 minutes', () => {
    const [first] = compare.contests(environment);
    expect(workOf(first!, { ...compare.quick, seed: 1 })).toBeLessThan(15_000);
    expect(workOfAll(compare, compare.quick)).toBeLessThan(4 * 60_000);
  });

  it.each([
    // It sends the same bytes back.
    ['raw1', (name: string) => name.startsWith('JSON')],
  ])('has %s in every row where it can run', (contender, cannot) => {
    const without = resultsOf(compare).filter(({ readings }) => !(contender in readings));
    expect(without.map(({ name }) => name).filter((name) => !cannot(name))).toEqual([]);
    expect(without.length).toBeGreaterThan(0);
  });

  it('relates every row to ws, corked', () => {
    const [echo] = compare.tables(resultsOf(compare));
    expect(echo!.unit).toContain('relative to ws, corked');
    const { values } = echo!.series.find(({ name }) => name === 'ws, corked')!;
    expect(values.every((value) => (value as { median: number }).median === 1)).toBe(true);
  });
});

describe('a machine without Bun', () => {
  const lacking: Environment = { ...environment, bun: { lacks: 'not installed' } };
  const contests = compare.contests(lacking);

  it('is reported once, by the name of the contender and with the reason', () => {
    expect(lackingContenders(contests, lacking)).toEqual(['bun: not installed']);
    expect(lackingContenders(contests, environment)).toEqual([]);
  });

  it('measures the other contenders', () => {
    const [first] = contests;
    expect(withPossible(first!, lacking)).toMatchObject({
      contenders: ['receive', 'loop', 'ws', 'ws, native mask', 'ws, corked', 'raw1'],
    });
  });
});

describe('tablesOf', () => {
  const masked = (mask: string): ContestResult[] =>
    resultsOf(compare).map((result) => ({ ...result, masks: { 'ws, corked': mask } }));

  it('names a corked ws that masks in JavaScript', () => {
    for (const { unit, series } of tablesOf(compare, masked('JS'))) {
      expect(unit).not.toMatch(/ws, corked(?!, JS masks)/);
      expect(series.map(({ name }) => name)).not.toContain('ws, corked');
    }
  });

  it('changes no name with native masks', () => {
    expect(tablesOf(compare, masked('bufferutil'))).toEqual(compare.tables(masked('bufferutil')));
  });
});

describe('deflate', () => {
  it('shows equal levels with own compressors first, then the defaults', () => {
    const [echo] = deflate.tables(resultsOf(deflate));
    expect(echo!.series.map(({ name }) => name).slice(0, 4)).toEqual([
      'receive, level 6, own',
      'ws, corked, level 6',
      'receive, level 1, own',
      'ws, corked, level 1',
    ]);
  });
});

describe('allowedConnections', () => {
  it('returns the requested number below the limit of open files, and fewer at the limit', () => {
    expect(allowedConnections(1)).toBe(1);
    expect(allowedConnections(1e9)).toBeLessThan(1e9);
  });
});
