import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { targets } from '../targets.ts';

const run = fileURLToPath(new URL('../run.ts', import.meta.url));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function fuzz(...args: string[]): Promise<Ended> {
  const all = ['--conditions=@ws/source', '--import', 'tsx', run, ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, all, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

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
});
