import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { soak } from '../../src/soak/soak.ts';
import { judge } from '../../src/soak/verdict.ts';

const run = fileURLToPath(new URL('../../src/soak/run.ts', import.meta.url));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function command(...args: string[]): Promise<Ended> {
  const flags = ['--no-warnings', '--conditions=@ws/source', '--import', 'tsx'];
  return new Promise((resolve) => {
    execFile(process.execPath, [...flags, run, ...args], (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

// Each waits for its processes more than it works: they run at a time.
describe.concurrent('pnpm soak', { timeout: 240_000 }, () => {
  it('explains itself when it is called wrongly', async () => {
    const { code, out, err } = await command('--minutes', 'ten');
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/^--minutes: .*ten\n\nusage: pnpm soak/);
  });

  it('explains itself when it is asked', async () => {
    const { code, out } = await command('--help');
    expect(code).toBe(0);
    expect(out).toContain('usage: pnpm soak');
  });

  it('finds nothing that is left', async () => {
    const size = ['--connections', '60', '--minutes', '0.05', '--seed', '7'];
    const { code, out } = await command(...size);
    expect(out).toMatch(/^seed 7, 60 connections \(limit of open files: \d+\), 3 s, TCP, /);
    expect(out).toMatch(/\n {2}all after \d+\.\d s\n/);
    expect(out).toMatch(/\d+ s: \d+ open .* rss .* heap .* external .* delay \d+ ms/);
    expect(out).toMatch(/\nnothing is left\n$/);
    expect(code).toBe(0);
  });

  it('finds nothing that is left of TLS', async () => {
    const observed = await soak(
      { connections: 60, seconds: 2, seed: 7, secure: true, compression: 'takeover' },
      () => {},
    );
    expect(judge(observed).filter(({ ok }) => !ok)).toEqual([]);
  });

  it('tells of a server that keeps connections, timers, listeners, buffers, memory, and errs', async () => {
    const observed = await soak(
      {
        connections: 40,
        seconds: 1,
        seed: 11,
        secure: false,
        compression: 'off',
        faulty: true,
      },
      () => {},
    );
    const broken = judge(observed).filter(({ ok }) => !ok);
    expect(broken.map(({ what }) => what)).toEqual(
      expect.arrayContaining([
        'server: heap and external, without pools, MiB',
        'server: pooled buffers lent',
        'server: Conn objects',
        'server: timers',
        'server: listeners',
        'server: uncaught, unhandled',
        'clients: what went otherwise than it should',
        'server, closed: Conn objects',
      ]),
    );
    expect(observed.server.end.left.conns).toBeGreaterThan(40);
  });
});
