import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';

/** The folder of the programs over the public API of packages around ws. */
export const programs: string = import.meta.dirname;

/** Runs a program with its own ws and with this package. Both leave the same traces. */
export async function sameWithWs(program: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const run = async (...flags: string[]): Promise<{ traces: object; stderr: string }> => {
    const options = { timeout: 50_000, env: { ...process.env, ...env } };
    const args = [...flags, program];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, options);
    return { traces: JSON.parse(stdout) as object, stderr };
  };
  const swap = join(programs, 'swap.mjs');
  const [theirs, ours] = await Promise.all([run(), run('--import', swap)]);
  expect(Object.keys(theirs.traces).length, 'an empty trace proves nothing').toBeGreaterThan(0);
  expect(ours.stderr, 'which copies were loaded').toContain('compat true, ws false');
  expect(ours.traces).toEqual(theirs.traces);
}
