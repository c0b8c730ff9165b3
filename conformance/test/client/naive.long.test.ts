import { expect, it } from 'vitest';
import { askClient, differences } from './ask-client.ts';
import { naiveClient } from './naive-client.ts';

it('the client suite passes a naive client without a fault', { timeout: 300_000 }, async () => {
  const results = await askClient((url) => naiveClient(url, true), {
    concurrency: 4,
    timeout: 15_000,
  });
  expect(differences(results)).toEqual([]);
});
