// The declarations from the tarballs, by every supported TypeScript: `pnpm long types` packs them
// and runs this.
import { cpSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshProject, install, run, tarballs, uninstall, write } from './fresh-project.ts';

const COMPILERS = ['5.4', '5.5', '5.6', '5.7', '5.8', '5.9', '6.0', '7.0'];
const LIB = ['--lib', 'es2022'];
const CHECKED = ['--skipLibCheck', 'false'];
/** On top of what `tsc --init` writes. */
const VARIANTS: readonly (readonly string[])[] = [[], CHECKED, [...CHECKED, ...LIB]];

let project = '';

/** Compiles a program of this folder with the tsconfig.json that `tsc --init` writes. */
function compile(
  compiler: string,
  program: string,
  ...options: readonly string[]
): { status: number | null; output: string } {
  const folder = join(project, `${program}-${compiler}`);
  const tsc = join(project, 'node_modules', `typescript-${compiler}`, 'bin/tsc');
  rmSync(folder, { recursive: true, force: true });
  write(folder, 'package.json', { type: 'module' });
  cpSync(join(import.meta.dirname, `${program}.ts`), join(folder, `${program}.ts`));
  expect(run(folder, tsc, '--init').status).toBe(0);
  return run(folder, tsc, '-p', '.', '--noEmit', ...options);
}

describe('the declarations', { timeout: 120_000 }, () => {
  beforeAll(() => {
    const compilers = COMPILERS.map((each) => `typescript-${each}@npm:typescript@~${each}.0`);
    project = freshProject([...tarballs(), ...compilers]);
  }, 300_000);

  afterAll(() => rmSync(dirname(project), { recursive: true, force: true }), 60_000);

  describe('without @types/node', () => {
    it.each(COMPILERS)('compile in a page, by TypeScript %s', (compiler) => {
      for (const options of [[], CHECKED, [...CHECKED, '--lib', 'es2022,dom']]) {
        expect(compile(compiler, 'portable', ...options)).toEqual({ status: 0, output: '' });
      }
    });

    it.each(COMPILERS)('say what to install for `req`, by TypeScript %s', (compiler) => {
      const { status, output } = compile(compiler, 'program');
      expect(status).not.toBe(0);
      expect(output).toMatch(
        /'headers' does not exist on type '\{ readonly 'run npm install --save-dev @types\/node'/,
      );
    });
  });

  describe.each(['20', '22', '24', '26'])('with @types/node %s', (version) => {
    beforeAll(() => install(project, `@types/node@${version}`), 60_000);
    afterAll(() => uninstall(project, '@types/node'), 60_000);

    it.each(COMPILERS)('compile as tsc --init of TypeScript %s has it', (compiler) => {
      // The declarations of Node 26 themselves need TypeScript 5.6.
      const unchecked = version === '26' && ['5.4', '5.5'].includes(compiler);
      for (const options of unchecked ? [[]] : VARIANTS) {
        expect([options, compile(compiler, 'program', ...options)]).toEqual([
          options,
          { status: 0, output: '' },
        ]);
      }
    });
  });
});
