import { describe, expect, it } from 'vitest';
import type { LoadPlan } from '../../src/client/plan.ts';
import { Tally } from '../../src/client/tally.ts';
import { type LoadResult, loadReport, resultOf } from '../../src/scenarios/load-report.ts';

const plan: LoadPlan = {
  url: 'ws://127.0.0.1:1',
  connections: 2,
  payload: 1024,
  text: true,
  depth: 1,
  rate: undefined,
  durationMs: 3000,
  timeoutMs: 1000,
  compression: false,
  insecure: false,
  headers: [['Authorization', 'Bearer 1234']],
  subprotocols: [],
};

function result(tally: Tally, ms: number, changes: Partial<LoadPlan> = {}): LoadResult {
  const facts = {
    ms,
    extensions: [''],
    opened: 2,
    busy: [0.5],
    abandoned: 0,
    interrupted: false,
  };
  return resultOf({ ...plan, ...changes }, tally, facts);
}

/** A tally with these numbers of echoes per second, with a latency of 1 ms. */
function tallyOf(...seconds: number[]): Tally {
  const tally = new Tally();
  seconds.forEach((count, second) => {
    for (let i = 0; i < count; i++) tally.echo(1000 * second + 500, 1);
  });
  tally.sent = tally.echoed;
  return tally;
}

describe('resultOf', () => {
  it.each([
    [[10, 20, 30, 1], 3001, [10, 20, 30]],
    [[10, 20, 30], 2500, [10, 20, 60]],
    [[5], 250, [20]],
    [[10], 3000, [10, 0, 0]],
  ])('makes rates of %j echoes in %i ms', (counts, ms, rates) => {
    const { throughput, rate } = result(tallyOf(...counts), ms);
    expect(throughput).toEqual(rates);
    expect(rate).toBeCloseTo((1000 * counts.reduce((a, b) => a + b)) / ms);
  });

  it('excludes late echoes from the throughput', () => {
    const tally = tallyOf(10);
    tally.stop();
    tally.echo(1200, 700);
    const { throughput, rate, echoed, latency } = result(tally, 1000);
    expect([throughput, rate, echoed]).toEqual([[10], 10, 11]);
    expect(latency['max']).toBeGreaterThan(690);
  });

  it('has a curve up to the largest latency', () => {
    const tally = new Tally();
    for (let ms = 1; ms <= 1000; ms++) tally.echo(0, ms);
    const { curve, latency } = result(tally, 1000);
    expect(curve.at(-1)).toEqual([100, latency['max']]);
    expect(curve.every(([p, ms]) => Math.abs(ms - 10 * p) < 5)).toBe(true);
    expect(curve.length).toBeGreaterThan(30);
    expect(latency['p50']).toBeCloseTo(500, -1);
    expect(latency['p99.9']).toBeCloseTo(999, -1);
  });

  it('omits header values', () => {
    expect(JSON.stringify(result(tallyOf(1), 1000))).not.toContain('1234');
  });

  it('omits the query of the URL', () => {
    const url = 'ws://127.0.0.1:1/echo?token=abcd';
    const tally = tallyOf(1);
    tally.fail('handshake: status 403', `${url} was refused`);
    const { document, text, charts } = loadReport(result(tally, 1000, { url }));
    const all = JSON.stringify([document, text, charts]);
    expect(all).not.toContain('abcd');
    expect(all).toContain('ws://127.0.0.1:1/echo?*** was refused');
  });
});

describe('loadReport', () => {
  it('fails with errors, lists the most frequent first, and has a chart of them', () => {
    const tally = tallyOf(5);
    tally.fail('timeout', 'no echo in time');
    tally.fail('close: 1011', 'close 1011 (internal server error)', 12);
    const { text, failed, charts } = loadReport(result(tally, 1000));
    expect(failed).toBe(true);
    expect(text).toMatch(/12 x close: 1011 .*\n +1 x timeout/);
    expect(charts?.at(-1)).toMatchObject({ kind: 'bars', labels: ['close: 1011', 'timeout'] });
  });

  it('succeeds without an echo', () => {
    const { text, charts, failed } = loadReport(result(new Tally(), 1000));
    expect(text).toContain('0 messages sent, 0 echoed');
    expect(text).toMatch(/^p50 +-$/m);
    expect(text).toMatch(/^mean +-$/m);
    expect(charts?.map(({ kind }) => kind)).toEqual(['lines']);
    expect(failed).toBe(false);
  });

  it.each([
    [300, 'the server did not keep up: 10 of 100 per second'],
    [200, 'the load did not keep up: 200 of 300 messages became due'],
  ])('says which end did not keep up, with %i messages due', (due, said) => {
    const tally = tallyOf(10, 10, 10);
    tally.due = due;
    expect(loadReport(result(tally, 3000, { rate: 100 })).text).toContain(said);
  });

  it('reports missing connections, and their messages are no sign of a slow end', () => {
    const tally = tallyOf(50, 50, 50);
    tally.due = 150;
    tally.skipped = 150;
    const { text } = loadReport(result(tally, 3000, { rate: 100, connections: 4 }));
    expect(text).toContain('2 of 4 connections, ');
    expect(text).toContain('150 of 300 messages were not sent: no connection was open for them');
    expect(text).not.toContain('keep up');
  });

  it('reports that latency counts messages without an echo', () => {
    const tally = new Tally();
    tally.giveUp(1000);
    const { text } = loadReport(result(tally, 1000));
    expect(text).toContain('1 messages without an echo in time; latency counts each');
    expect(text).toMatch(/^p50 +10\d\d$|^p50 +1000$/m);
  });

  it('warns about a late load', () => {
    const tally = tallyOf(100);
    tally.due = 100;
    tally.left(7);
    const { text } = loadReport(result(tally, 1000, { rate: 100 }));
    expect(text).toContain('the load sent up to 7.00 ms late (99 %)');
  });

  it('warns about a busy load', () => {
    const facts = {
      ms: 1000,
      extensions: [''],
      opened: 2,
      abandoned: 0,
      interrupted: false,
    };
    const { text } = loadReport(resultOf(plan, tallyOf(9), { ...facts, busy: [0.2, 0.97] }));
    expect(text).toContain('the load used 97 % of a core');
  });

  it.each([
    [['permessage-deflate'], 'compression: permessage-deflate'],
    [[''], 'compression: none: the server declined'],
  ])('shows the agreed compression: %j', (extensions, said) => {
    const rest = { ms: 1000, opened: 2, busy: [0], abandoned: 0, interrupted: false };
    const report = loadReport(
      resultOf({ ...plan, compression: true }, tallyOf(1), { ...rest, extensions }),
    );
    expect(report.text).toContain(said);
  });
});
