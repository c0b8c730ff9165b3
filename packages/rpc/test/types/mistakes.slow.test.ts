import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CORRECT, MISTAKES, PRELUDE } from './mistakes.ts';

const ROOT = join(import.meta.dirname, '../../../..');

describe.each(['typescript-5.4', 'typescript', 'typescript-7'])('%s', (compiler) => {
  let folder = '';
  /** The messages of the compiler, by file. */
  const said = new Map<string, string>();

  beforeAll(() => {
    mkdirSync(join(ROOT, '.out'), { recursive: true });
    folder = mkdtempSync(join(ROOT, '.out/rpc-mistakes-'));
    const programs = [CORRECT, ...MISTAKES.map(([, code]) => code)];
    for (const [i, code] of programs.entries()) {
      writeFileSync(join(folder, `${i}.mts`), `${PRELUDE}${code}\n`);
    }
    const options = {
      target: 'es2022',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: [],
      lib: ['es2022', 'dom', 'esnext.disposable'],
    };
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: options, include: ['*.mts'] }),
    );
    const tsc = join(ROOT, 'tools/node_modules', compiler, 'bin/tsc');
    const { stdout } = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], {
      encoding: 'utf8',
    });
    for (const [line, file] of stdout.matchAll(/^(?:.*[/\\])?(\d+\.mts)\(.*$(?:\n .*)*/gm)) {
      said.set(file!, `${said.get(file!) ?? ''}${line}\n`);
    }
  }, 600_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('compiles a correct program', () => {
    expect(said.get('0.mts')).toBeUndefined();
  });

  it.each(MISTAKES.map(([title, , message], i) => [title, message, i + 1] as const))(
    'refuses %s',
    (_, message, i) => {
      expect(said.get(`${i}.mts`)).toMatch(message);
    },
  );
});
