import { afterEach, describe, expect, it } from 'vitest';
import { runServerSuite, serverSuiteCases } from '../../src/index.ts';
import { differences } from './differences.ts';
import { FAULTS, type Fault } from './naive-faults.ts';
import { type NaiveServer, naiveServer } from './naive-server.ts';

const running: NaiveServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

async function started(...faults: readonly Fault[]): Promise<string> {
  const server = await naiveServer(...faults);
  running.push(server);
  return server.url;
}

describe('a naive server', { timeout: 120_000 }, () => {
  it('passes every case when it does nothing wrong', async () => {
    const report = await runServerSuite(await started());
    expect(differences(report)).toEqual([]);
    // It keeps no window, and cases about windows do not apply.
    expect(report.counts.skipped).toBe(6);
  });

  it.each(
    Object.entries(FAULTS).map(([fault, { chapter, by }]) => ({
      fault: fault as Fault,
      chapter,
      by,
    })),
  )('that $fault is caught in chapter $chapter, by "$by"', async ({ fault, chapter, by }) => {
    const [one, ...more] = serverSuiteCases().filter(
      ({ chapter: of, title }) => of === chapter && title === by,
    );
    expect(more).toEqual([]);
    const report = await runServerSuite(await started(fault), { only: [one!.id], timeout: 1000 });
    expect(report.results.map(({ verdict }) => verdict)).toEqual([
      one!.level === 'must' ? expect.stringMatching(/^(?:fail|non-strict)$/) : 'non-strict',
    ]);
    expect(differences(report).join()).toMatch(FAULTS[fault].says);
  });
});
