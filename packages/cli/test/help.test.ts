import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../src/commands.ts';
import { OPTIONS } from '../src/options.ts';
import { start, wsx } from './run.ts';

describe('wsx --help', () => {
  const commands = Object.keys(COMMANDS) as (keyof typeof COMMANDS)[];
  const own = commands.filter((name) => !('passes' in COMMANDS[name]));

  it.each([[], ...own.map((name) => [name]), ['help', 'bench'], ['help', 'check']])(
    'fits one screen of 24 lines and begins with an example: %s %s',
    async (...words) => {
      const args = words[0] === 'help' ? words : [...words, '--help'];
      const { code, out } = await wsx(args);
      expect(code).toBe(0);
      const lines = out.trimEnd().split('\n');
      expect(lines.length).toBeLessThanOrEqual(24);
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
      expect(lines[0]).toMatch(/\bwsx /);
    },
  );

  it('names every command', async () => {
    const { out } = await wsx(['--help']);
    for (const name of commands.slice(1)) expect(out).toContain(`wsx ${name} `);
  });

  it('names every option of a command', async () => {
    for (const name of own) {
      const { out } = await wsx([name, '--help']);
      for (const option of COMMANDS[name].options) expect(out, name).toContain(`--${option}`);
    }
    const used = new Set(own.flatMap((name): string[] => [...COMMANDS[name].options, 'help']));
    expect(Object.keys(OPTIONS).filter((name) => !used.has(name))).toEqual([]);
  });

  it('is printed for no arguments, with exit code 2', async () => {
    const { code, out } = await wsx([]);
    expect(code).toBe(2);
    expect(out).toMatch(/^wsx /);
  });

  it.each([['--help'], ['--version'], ['listen', '--help'], ['completion', 'bash']])(
    'has exit code 8 when stdout fails, and no message for a reader that has gone: %s %s',
    async (...args) => {
      for (const [code, words] of [
        ['EPIPE', ''],
        ['ENOSPC', 'wsx: stdout: no space left\n'],
      ]) {
        const stdout = new Writable({
          write: (_chunk, _encoding, done) =>
            done(Object.assign(new Error('failed'), { code, syscall: 'write' })),
        });
        const run = start(args, { stdout });
        expect(await run.code).toBe(8);
        await new Promise((resolve) => setImmediate(resolve));
        expect(run.err()).toBe(words);
      }
    },
  );

  it('has the version beside it', async () => {
    expect(await wsx(['--version'])).toMatchObject({ code: 0, out: '0.1.0\n' });
  });
});

describe('a mistake on the command line', () => {
  it.each([
    [['lisen'], 'no URL and no command: lisen; did you mean listen?'],
    [['listen', '1', '2'], 'unexpected: 2; expected wsx listen [HOST:][PORT]'],
    [['listen', 'x:y'], 'expected a port, such as 8080 or 0.0.0.0:8080, got x:y'],
    [['listen', '65536'], 'expected a port'],
    [['replay', 'x'], 'expected wsx replay FILE URL\n     for example: wsx replay feed.jsonl'],
    [['replay', 'a.jsonl', 'ws://y', '--reconnect'], 'wsx replay has no option --reconnect'],
    [['tunnel', 'tcp:1', 'ws://y', '--reconnect'], 'wsx tunnel has no option --reconnect'],
    [['listen', '--reconnect'], 'wsx listen has no option --reconnect'],
    [['listen', '-k'], 'wsx listen has no option -k'],
    [['ws://y', '--toString'], 'unknown option --toString'],
    [['completion', 'fish'], 'no completion for fish; write bash or zsh'],
    [['tunnel', 'tcp:1', 'tcp:2'], 'one end is a URL of ws or wss, the other one is not'],
    [['tunnel', 'x', 'ws://y'], 'expected an end such as ws://host:8080'],
    [['tunnel', 'wss://127.0.0.1:1', 'tcp:2'], 'wss://127.0.0.1:1 needs --cert'],
  ])('%j is explained', async (args, words) => {
    const { code, err } = await wsx(args);
    expect(err).toContain(words);
    expect(code).toBe(2);
  });
});
