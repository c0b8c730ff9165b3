import { describe, expect, it } from 'vitest';
import { runCli } from '../../src/command-line/run.ts';

describe('ws-bench load', () => {
  it.each([
    [
      ['--stage', '10s'],
      '--stage: expected TIME:CONNECTIONS or TIME:CONNECTIONS@RATE, such as 10s:50',
    ],
    [['--stage', 'soon:5'], '--stage: expected a time such as 10s'],
    [['--stage', '1s:5', '--stage', '1s:5@10'], 'stages: give a rate to each stage or to none'],
    [['--stage', '1s:5', '--rate', '5'], '--rate: a --stage says that itself'],
    [['--stage', '1s:5', '--depth', '5'], '--depth has no meaning with --stage'],
    [['--script', 'a.mjs', '--payload', '5'], '--payload has no meaning with --script'],
    [['--script', '/no/such.mjs'], "--script: there is no file '/no/such.mjs'"],
    [
      ['--threshold', 'p95'],
      "threshold 'p95': expected p50, p90, p95, p99, p99.9, max, rate or errors",
    ],
  ])('rejects %j', async (args, message) => {
    let err = '';
    const output = { out: () => {}, err: (text: string) => (err += text) };
    expect(await runCli(['load', 'ws://a', ...args], output)).toBe(2);
    expect(err).toContain(message);
  });
});
