import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const run = fileURLToPath(new URL('./run.ts', import.meta.url));

/** Runs a soak of seconds. With `faulty`, the servers leak. */
function soak(option: string, faulty = {}): string {
  const flags = ['--no-warnings', '--conditions=@ws/source', '--import', 'tsx', run];
  const size = ['--connections', '40', '--minutes', '0.02', option];
  const env = { ...process.env, ...faulty };
  return spawnSync(process.execPath, [...flags, ...size], { encoding: 'utf8', env }).stdout;
}

describe('pnpm long soak', { timeout: 600_000 }, () => {
  it.each(['--tls', '--seed=7'])('reports that nothing remains: %s', (option) => {
    const out = soak(option);
    expect(out).toMatch(/\d+ open, \d+ opened; rss .* heap .* external .* MiB/);
    expect(out).toMatch(/\nnothing remains\n$/);
  });

  it('reports every kind of leak and error of a faulty server', () => {
    const broken = soak('--seed=11', { SOAK_FAULTY: '1' }).matchAll(/^NO +(\S.*?) {2}/gm);
    expect([...broken].map(([, what]) => what)).toEqual(
      expect.arrayContaining([
        'heap and external, without pools, MiB',
        'pooled buffers lent',
        'Conn objects',
        'timers',
        'listeners',
        'uncaught, unhandled',
        'faults of idle and abusive clients',
        'closed: Conn objects',
      ]),
    );
  });
});
