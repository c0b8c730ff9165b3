import { describe, expect, it, vi } from 'vitest';
import {
  runServerSuite,
  type ServerSuiteOptions,
  type SuiteReport,
  serverSuiteCases,
} from '../../src/index.ts';
import { differences } from './differences.ts';
import { FAULTS, type Fault, LIBERTIES, type Liberty } from './naive-faults.ts';
import { naiveServer } from './naive-server.ts';

// The tests mostly wait for timeouts, so eight of them share the processor.
vi.setConfig({ maxConcurrency: 8 });

/** Runs the suite against a naive server with these faults. */
async function reportOn(
  faults: readonly (Fault | Liberty)[],
  options: ServerSuiteOptions,
): Promise<SuiteReport> {
  const server = await naiveServer(...faults);
  try {
    return await runServerSuite(server.url, options);
  } finally {
    await server.close();
  }
}

interface Planted {
  readonly fault: Fault;
  readonly chapter: number;
  readonly by: string;
}

const PLANTED: readonly Planted[] = Object.entries(FAULTS).map(([fault, { chapter, by }]) => ({
  fault: fault as Fault,
  chapter,
  by,
}));
/**
 * Chapters that run alone. The large messages of chapter 9 would delay other tests, and the segments
 * of chapter 10 merge when the event loop is busy.
 */
const ALONE = [9, 10];
const FAULTS_ALONE = PLANTED.filter(({ chapter }) => ALONE.includes(chapter));
const OTHER_FAULTS = PLANTED.filter(({ chapter }) => !ALONE.includes(chapter));

/** A case for a MUST may also note a SHOULD; each case fails for a MUST that all cases check. */
const VERDICTS = {
  must: expect.stringMatching(/^(?:fail|non-strict)$/),
  should: expect.stringMatching(/^(?:fail|non-strict)$/),
  advice: expect.stringMatching(/^(?:fail|advice)$/),
};

/** Checks that the case with this title, in this chapter, reports the fault. */
async function expectCaught({ fault, chapter, by }: Planted): Promise<void> {
  const [one, ...more] = serverSuiteCases([], [], true).filter(
    (facts) => facts.chapter === chapter && facts.title === by,
  );
  expect(more).toEqual([]);
  const report = await reportOn([fault], {
    only: [one!.id],
    floods: true,
    // A flood keeps the timers of this process late: by a small part of a longer bound.
    timeout: by.startsWith('100,000') ? 5000 : 1000,
    seed: '1',
  });
  const [result] = report.results;
  if (result!.verdict === 'skipped') {
    // Other programs kept the processor for most of the time.
    expect(result!.because.join()).toContain('the machine was late');
    return;
  }
  expect(report.results.map(({ verdict }) => verdict)).toEqual([VERDICTS[one!.level]]);
  expect(differences(report).join()).toMatch(FAULTS[fault].reports);
}

describe('a naive server', { timeout: 300_000 }, () => {
  // naive.long.test.ts runs the whole suite.
  it('passes every case without a fault, except those of chapters 9, 12 and 14', async () => {
    const chapters = [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13];
    const report = await reportOn([], {
      only: chapters.map((chapter) => `${chapter}.*`),
      timeout: 30_000,
    });
    expect(differences(report)).toEqual([]);
    expect(report.counts.pass).toBeGreaterThan(1000);
  });

  it.each(FAULTS_ALONE)('that $fault fails "$by"', expectCaught);
});

describe.concurrent('a naive server', () => {
  it.each(Object.keys(LIBERTIES) as Liberty[])('that %s fails no case', async (liberty) => {
    const report = await reportOn([liberty], { only: LIBERTIES[liberty], timeout: 10_000 });
    expect(differences(report)).toEqual([]);
  });

  it('that accepts messages of any size is advised to bound them', async () => {
    const options = { only: ['12.24'], timeout: 20_000 };
    const { results } = await reportOn(['accepts messages of any size'], options);
    const verdicts = results.map(({ verdict }) => verdict);
    expect(verdicts).toContain('advice');
    expect(verdicts).not.toContain('fail');
  });

  it.each(OTHER_FAULTS)('that $fault fails "$by"', expectCaught);
});
