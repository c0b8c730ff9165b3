import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { targets } from '../targets.ts';
import { runCommand } from './run-command.ts';

const fuzz = (...args: string[]) => runCommand('run.ts', args);

describe('pnpm fuzz', { timeout: 60_000 }, () => {
  it('lists the targets, and explains itself', async () => {
    const list = await fuzz('--list');
    expect(
      list.out
        .trimEnd()
        .split('\n')
        .map((line) => line.split(' ')[0]),
    ).toEqual(targets.map(({ name }) => name));
    const help = await fuzz('--help');
    expect(help.out).toContain('usage: pnpm fuzz');
    expect([list.code, help.code]).toEqual([0, 0]);
  });

  it.each([
    [['frame-headers'], 'no such target: frame-headers'],
    [['--minutes', '0'], '--minutes: not a number that it takes: 0'],
    [['--minutes', 'ten'], '--minutes: not a number that it takes: ten'],
    [['--speed', '1'], "Unknown option '--speed'"],
    [['utf8', '--replay', 'no-such-file'], 'ENOENT'],
    [['--replay', 'some-file'], '--replay needs the name of one target'],
  ])('refuses %j', async (args, says) => {
    const { code, out, err } = await fuzz(...args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(says);
  });

  it('says its seed, how fast it was and how far it came', async () => {
    const { code, out } = await fuzz('frame-header', '--minutes', '0.02', '--seed', '11');
    expect(out).toMatch(/^seed 11, 0.02 min for each target\n/);
    expect(out).toMatch(/frame-header +\d+ executions, \d+\/s, \d+ edges, \d+ inputs\n$/);
    expect(code).toBe(0);
  });

  it('replays a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
    const file = join(folder, 'input');
    writeFileSync(file, Uint8Array.of(0x03, 0xe8));
    const { code, out } = await fuzz('close-payload', '--replay', file);
    rmSync(folder, { recursive: true });
    expect([code, out]).toEqual([0, 'close-payload: nothing found in 2 bytes\n']);
  });

  it('replays a file that is longer than what targets make', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
    const file = join(folder, 'input');
    writeFileSync(file, new Uint8Array(100_000).fill(0x61));
    const { code, out } = await fuzz('utf8', '--replay', file);
    rmSync(folder, { recursive: true });
    expect([code, out]).toEqual([0, 'utf8: nothing found in 100000 bytes\n']);
  });
});
