import { spawnSync } from 'node:child_process';
import { lacksDaemon, nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { fileOf, wsx } from './run.ts';

/** Writes a completion script to a file. */
async function script(shell: string): Promise<string> {
  return fileOf((await wsx(['completion', shell])).out, '_wsx');
}

describe.skipIf(lacksDaemon('bash'))('wsx completion bash', () => {
  nothingLeft();

  /** What bash offers after these words. */
  async function offered(...words: string[]): Promise<string[]> {
    const file = await script('bash');
    const list = words.map((word) => `'${word}'`).join(' ');
    const program = `source '${file}'; COMP_WORDS=(wsx ${list}); COMP_CWORD=${words.length}
_wsx; compgen -W "\${COMPREPLY[*]}"; complete -p wsx >&2`;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', program], { encoding: 'utf8' });
    expect(stderr).toMatch(/^complete .*-F _wsx wsx\n$/);
    return stdout.split('\n').filter((line) => line !== '');
  }

  it.each([
    [['li'], ['listen']],
    [['re'], ['record', 'replay']],
    [['w'], ['ws://', 'wss://']],
    [['ws://x', '--pro'], ['--proxy']],
    [['listen', '--st'], ['--static']],
    [['listen', '--reco'], []],
    [['replay', 'file', '--ex'], ['--expect']],
    [
      ['completion', ''],
      ['bash', 'zsh'],
    ],
  ])('offers after %j: %j', async (words, expected) => {
    expect(await offered(...words)).toEqual(expected);
  });
});

describe.skipIf(lacksDaemon('zsh'))('wsx completion zsh', () => {
  nothingLeft();

  it('is a script that zsh accepts', async () => {
    const file = await script('zsh');
    const program = `autoload -Uz compinit; compinit -D; source '${file}'; print $_comps[wsx]`;
    const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', program], { encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({ stdout: '_wsx\n', stderr: '' });
  });
});
