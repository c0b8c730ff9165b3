import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runCli } from '../harness/cli.ts';
import { lawNames } from '../harness/laws.ts';
import { parseCommand, UsageError } from '../harness/parse-command.ts';
import { targets } from '../targets.ts';
import { type Exit, runCommand } from './run-command.ts';

const names = { targets: targets.map(({ name }) => name), laws: lawNames() };
const parse = (...args: string[]) => parseCommand(args, names);

describe('parseCommand', () => {
  it('gives named targets ten minutes, and all targets a few seconds', () => {
    expect(parse('utf8', '--seed', '7')).toEqual({
      kind: 'fuzz',
      targets: ['utf8'],
      minutes: 10,
      seed: 7,
      keep: false,
    });
    expect(parse('--keep')).toMatchObject({ targets: names.targets, minutes: 0.17, keep: true });
  });

  it('reads laws with minutes or with runs', () => {
    expect(parse('laws', 'kernels', '--runs', '1000', '--seed', '7')).toEqual({
      kind: 'laws',
      laws: ['kernels'],
      budget: { runs: 1000 },
      seed: 7,
    });
    expect(parse('laws', '--minutes', '2')).toMatchObject({
      laws: names.laws,
      budget: { minutes: 2 },
    });
    expect(parse('laws')).toMatchObject({ laws: names.laws, budget: { minutes: 0.17 } });
  });

  it('makes a new seed if none is given', () => {
    expect(parse()).toMatchObject({ seed: expect.any(Number) });
  });

  it.each([
    [['frame-headers'], 'unknown target: frame-headers'],
    [['laws', 'utf8'], 'unknown law: utf8'],
    [['--minutes', '0'], '--minutes: invalid number: 0'],
    [['--minutes', 'ten'], '--minutes: invalid number: ten'],
    [['--seed', '-1'], '--seed'],
    [['--speed', '1'], "Unknown option '--speed'"],
    [['--replay', 'some-file'], '--replay needs the name of one target'],
    [['utf8', 'inflate', '--replay', 'some-file'], '--replay needs the name of one target'],
    [['utf8', '--runs', '5'], '--runs needs laws'],
    [['laws', '--runs', '0'], '--runs: invalid number: 0'],
    [['laws', '--runs', '5', '--minutes', '1'], 'laws: give --minutes or --runs, not both'],
    [['laws', '--keep'], 'laws: --keep and --replay need a target'],
  ])('rejects %j', (args, message) => {
    expect(() => parse(...args)).toThrow(UsageError);
    expect(() => parse(...args)).toThrow(message);
  });
});

describe('runCli', () => {
  afterEach(() => vi.restoreAllMocks());

  /** Runs a command in this process. */
  async function run(...args: string[]): Promise<Exit> {
    const lines = { out: '', err: '' };
    vi.spyOn(console, 'log').mockImplementation((...line) => {
      lines.out += `${line.join(' ')}\n`;
    });
    vi.spyOn(console, 'error').mockImplementation((...line) => {
      lines.err += `${line.join(' ')}\n`;
    });
    const code = await runCli(args, new URL('../targets.ts', import.meta.url));
    return { code, ...lines };
  }

  it('lists the targets', async () => {
    const { code, out } = await run('--list');
    const lines = out.trimEnd().split('\n');
    expect(lines.map((line) => line.split(' ')[0])).toEqual(names.targets);
    expect(code).toBe(0);
  });

  it('prints its usage', async () => {
    const { code, out } = await run('--help');
    expect(out).toContain('usage: pnpm fuzz');
    expect(code).toBe(0);
  });

  it.each([
    [['frame-headers'], 'unknown target: frame-headers'],
    [['utf8', '--replay', 'no-such-file'], '--replay: ENOENT'],
    [['utf8', '--minutes', '-1'], "Option '--minutes' needs a value"],
    [['--speed', '1'], "Unknown option '--speed'"],
  ])('returns 2 for %j', async (args, message) => {
    const { code, out, err } = await run(...args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(message);
    expect(err).toMatch(/^[^\n]+; see --help\n$/);
  });
});

describe.concurrent('pnpm fuzz', () => {
  const fuzz = (...args: string[]) => runCommand('run.ts', args);

  it('exits with 2 for a bad option', async () => {
    const { code, out, err } = await fuzz('--speed', '1');
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain("Unknown option '--speed'");
  });

  it('prints no error when the reader of its list closes the pipe', async () => {
    const script = `"$0" --conditions=@ws/source --import tsx fuzz/run.ts --list | true`;
    const all = ['-o', 'pipefail', '-c', script, process.execPath];
    const cwd = join(import.meta.dirname, '../..');
    expect(await promisify(execFile)('bash', all, { cwd })).toEqual({ stdout: '', stderr: '' });
  });

  it('prints its seed, its speed and its progress', async () => {
    const { code, out } = await fuzz('frame-header', '--minutes', '0.02', '--seed', '11');
    expect(out).toMatch(/^seed 11, 0.02 min for each target\n/);
    expect(out).toMatch(/frame-header +\d+ executions, \d+\/s, \d+ edges, \d+ inputs\n$/);
    expect(code).toBe(0);
  });

  it.each([
    ['a file', 'close-payload', Uint8Array.of(0x03, 0xe8)],
    ['a file above the length of all targets', 'utf8', new Uint8Array(100_000).fill(0x61)],
  ])('replays %s', async (_, target, bytes) => {
    const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
    const file = join(folder, 'input');
    writeFileSync(file, bytes);
    const { code, out } = await fuzz(target, '--replay', file);
    rmSync(folder, { recursive: true });
    expect([code, out]).toEqual([0, `${target}: nothing found in ${bytes.length} bytes\n`]);
  });
});
