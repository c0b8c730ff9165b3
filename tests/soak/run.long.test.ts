import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { soak } from './soak.ts';
import { judge } from './verdict.ts';

const run = fileURLToPath(new URL('./run.ts', import.meta.url));

describe('pnpm long soak', { timeout: 240_000 }, () => {
  it('reports that nothing remains', async () => {
    const flags = ['--no-warnings', '--conditions=@ws/source', '--import', 'tsx'];
    const size = ['--connections', '60', '--minutes', '0.05', '--seed', '7'];
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, run, ...size]);
    expect(stdout).toMatch(/^seed 7, 60 connections \(limit of open files: \d+\), 3 s, TCP, /);
    expect(stdout).toMatch(/\n {2}all after \d+\.\d s\n/);
    expect(stdout).toMatch(/\d+ s: \d+ open .* rss .* heap .* external .* delay \d+ ms/);
    expect(stdout).toMatch(/\nnothing remains\n$/);
  });

  it('reports that nothing remains of TLS', async () => {
    const observed = await soak(
      { connections: 60, seconds: 2, seed: 7, secure: true, compression: 'takeover' },
      () => {},
    );
    expect(judge(observed).filter(({ ok }) => !ok)).toEqual([]);
  });

  it('reports every kind of leak and error of a faulty server', async () => {
    const plan = { connections: 40, seconds: 1, seed: 11, secure: false, faulty: true } as const;
    const observed = await soak({ ...plan, compression: 'off' }, () => {});
    const broken = judge(observed).filter(({ ok }) => !ok);
    expect(broken.map(({ what }) => what)).toEqual(
      expect.arrayContaining([
        'server: heap and external, without pools, MiB',
        'server: pooled buffers lent',
        'server: Conn objects',
        'server: timers',
        'server: listeners',
        'server: uncaught, unhandled',
        'clients: faults',
        'server, closed: Conn objects',
      ]),
    );
    expect(observed.server.end.left.conns).toBeGreaterThan(40);
  });
});
