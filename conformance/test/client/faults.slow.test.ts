import { describe, expect, it, vi } from 'vitest';
import { judged } from '../judged.ts';
import { askClient, differences, isDifference, lineOf } from './ask-client.ts';
import { naiveClient } from './naive-client.ts';
import { FAULTS, type Fault, LIBERTIES } from './naive-faults.ts';

// The tests mostly wait for timeouts, so eight of them share the processor.
vi.setConfig({ maxConcurrency: 8 });

type Planted = readonly [fault: Fault, section: string];

/** Chapter 9: its large messages would delay other tests beyond their timeouts. */
const LIMITS = '9';
const PLANTED = Object.entries(FAULTS) as unknown as readonly Planted[];
const FAULTS_OF_LIMITS = PLANTED.filter(([, section]) => section.startsWith(LIMITS));
const OTHER_FAULTS = PLANTED.filter(([, section]) => !section.startsWith(LIMITS));

/** Checks that a case of the section reports the fault. */
async function expectCaught(fault: Fault, section: string): Promise<void> {
  const client = (url: string) => naiveClient(url, Number.parseInt(section, 10) >= 12, fault);
  const results = await judged(
    () =>
      askClient(client, {
        only: [section],
        timeout: 1000,
        concurrency: 2,
        until: isDifference,
      }),
    (all) => all.some(isDifference),
  );
  const caught = results.filter(isDifference);
  expect(caught.length).toBeGreaterThan(0);
  expect(caught.map(lineOf).join()).not.toMatch(/the suite itself|never connected/);
}

describe('the client suite', { timeout: 300_000 }, () => {
  // naive.long.test.ts runs the whole suite.
  it('passes a naive client without a fault, except for chapters 9, 12 and 14', async () => {
    const chapters = [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13];
    const results = await askClient((url) => naiveClient(url, true), {
      only: chapters.map((chapter) => `${chapter}.*`),
      concurrency: 4,
      timeout: 8_000,
    });
    expect(differences(results)).toEqual([]);
    expect(results.length).toBeGreaterThan(1000);
  });

  it.each(FAULTS_OF_LIMITS)('reports a client that %s in %s', expectCaught);
});

describe.concurrent('the client suite', () => {
  it.each(Object.entries(LIBERTIES))('passes a client that %s', async (liberty, only) => {
    const client = (url: string): Promise<void> => naiveClient(url, false, liberty as Fault);
    expect(differences(await askClient(client, { only, concurrency: 4 }))).toEqual([]);
  });

  it.each(OTHER_FAULTS)('reports a client that %s in %s', expectCaught);
});
