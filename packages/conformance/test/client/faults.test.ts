import { describe, expect, it } from 'vitest';
import { askClient, differences, isDifference, words } from './ask-client.ts';
import { naiveClient } from './naive-client.ts';
import { FAULTS, type Fault } from './naive-faults.ts';

describe('the client suite', () => {
  it('finds nothing wrong with a naive client that is right', { timeout: 120_000 }, async () => {
    const results = await askClient((url) => naiveClient(url, true), { concurrency: 4 });
    expect(differences(results)).toEqual([]);
  });

  it.each(Object.entries(FAULTS) as [Fault, number][])(
    'catches a client that %s in chapter %i',
    { timeout: 60_000 },
    async (fault, chapter) => {
      const results = await askClient((url) => naiveClient(url, chapter >= 12, fault), {
        only: [`${chapter}.*`],
        timeout: 1000,
        concurrency: 4,
        until: isDifference,
      });
      const caught = results.filter(isDifference);
      expect(caught.length).toBeGreaterThan(0);
      expect(caught.map(words).join()).not.toMatch(/the suite itself|never came/);
    },
  );
});
