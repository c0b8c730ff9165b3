import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { COMMANDS, type CommandName } from '../src/commands.ts';
import { start, wsx } from './run.ts';

const commands = Object.keys(COMMANDS) as CommandName[];

describe('wsx --help', () => {
  it('names every command, and fits a terminal of 80 columns and 24 lines', async () => {
    const { code, out } = await wsx(['--help']);
    expect(code).toBe(0);
    const lines = out.trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(24);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    for (const name of commands.slice(1)) expect(out).toContain(`wsx ${name} `);
  });

  it.each(commands)('prints the example and the options of %s', async (name) => {
    const command = COMMANDS[name];
    const { code, out } = await wsx(['help', name]);
    expect(code).toBe(0);
    expect(out.startsWith(`${command.example}\n`)).toBe(true);
    for (const option of command.options) expect(out).toContain(`--${option}`);
    // Another program prints the help of the others.
    if (!('passes' in command)) expect((await wsx([name, '--help'])).out).toBe(out);
  });

  it('is printed without arguments too, with exit code 2', async () => {
    const { out } = await wsx(['-h']);
    expect(await wsx([])).toEqual({ code: 2, out, err: '' });
  });

  it.each([
    ['EPIPE', ''],
    ['ENOSPC', 'wsx: stdout: no space left\n'],
  ])('has exit code 8 after the error %s of stdout', async (code, message) => {
    const error = Object.assign(new Error('failed'), { code, syscall: 'write' });
    const stdout = new Writable({ write: (_chunk, _encoding, done) => done(error) });
    const run = start(['--help'], { stdout });
    expect(await run.code).toBe(8);
    await new Promise((resolve) => setImmediate(resolve));
    expect(run.err()).toBe(message);
  });
});

describe('wsx --version', () => {
  it('prints the version of the package', async () => {
    const file = new URL('../package.json', import.meta.url);
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
    expect(await wsx(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });
});

describe('a mistake on the command line', () => {
  it.each([
    [['listen', '1', '2'], 'unexpected: 2; expected wsx listen [HOST:][PORT]'],
    [['listen', 'x:y'], 'expected a port, such as 8080 or 0.0.0.0:8080, got x:y'],
    [['listen', '65536'], 'expected a port'],
    [['listen', '--reconnect'], 'wsx listen has no option --reconnect'],
    [['replay', 'x'], 'expected wsx replay FILE URL\n     for example: wsx replay feed.jsonl'],
    [['completion', 'fish'], 'no completion for fish; write bash or zsh'],
    [['tunnel', 'tcp:1', 'tcp:2'], 'one end is a URL of ws or wss, the other one is not'],
    [['tunnel', 'x', 'ws://y'], 'expected an end such as ws://host:8080'],
    [['tunnel', 'wss://127.0.0.1:1', 'tcp:2'], 'wss://127.0.0.1:1 needs --cert'],
  ])('is explained, with exit code 2: %j', async (args, words) => {
    const { code, err } = await wsx(args);
    expect(err).toContain(words);
    expect(code).toBe(2);
  });

  it('is no reason to hide a defect: its stack is printed', async () => {
    const env = new Proxy(
      {},
      {
        get: () => {
          throw new RangeError('mine');
        },
      },
    );
    const run = start(['ws://127.0.0.1:1'], { env });
    expect(await run.code).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(run.err()).toMatch(/^wsx: RangeError: mine\n +at /);
  });
});
