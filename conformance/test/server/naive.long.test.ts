import { expect, it } from 'vitest';
import { runServerSuite, serverSuiteCases } from '../../src/index.ts';
import { differences } from './differences.ts';
import { naiveServer } from './naive-server.ts';

it('a naive server passes every case without a fault', { timeout: 300_000 }, async () => {
  const server = await naiveServer();
  try {
    const report = await runServerSuite(server.url, { timeout: 15_000 });
    expect(differences(report)).toEqual([]);
    // The naive server has no TLS and keeps no window, so these cases are skipped.
    expect(report.counts.skipped).toBe(12 + serverSuiteCases(['14']).length);
  } finally {
    await server.close();
  }
});
