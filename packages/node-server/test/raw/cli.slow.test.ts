import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it } from 'vitest';

const cli = fileURLToPath(new URL('./cli.ts', import.meta.url));

function run(...args: string[]): Promise<{ code: unknown; out: string; error: string }> {
  const flags = [...LOADER, cli];
  return new Promise((resolve) => {
    execFile(process.execPath, [...flags, ...args], (failure, out, error) =>
      resolve({ code: failure?.code ?? 0, out, error }),
    );
  });
}

describe('pnpm long raw', () => {
  it.each([
    [['--cases', 'x'], '--cases: not a valid number: x\n'],
    // Otherwise a run without a request succeeds.
    [['--cases', '0'], '--cases: not a valid number: 0\n'],
    [['--seed', '-'], '--seed: not a valid number: -\n'],
    [['--nope'], "Unknown option '--nope'\n"],
  ])('rejects %j', async (args, error) => {
    expect(await run(...args)).toEqual({
      code: 2,
      out: '',
      error: expect.stringContaining(`${error}\nusage: pnpm long raw`) as string,
    });
  });

  it('repeats the requests of a seed', async () => {
    const { code, out, error } = await run('--cases', '20', '--seed', '7');
    expect([code, error]).toEqual([0, '']);
    expect(out).toMatch(/^20 requests, seed 7\n/);
  });
});
