import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const compat = join(import.meta.dirname, '..');
const root = join(compat, '../..');
const entry = join(compat, 'entry');
const theirs = join(root, 'node_modules/@types/ws');

const DECLARATIONS = {
  '@types/ws': { mts: join(theirs, 'index.d.mts'), cts: join(theirs, 'index.d.ts') },
  'this package': { mts: join(entry, 'index.d.ts'), cts: join(entry, 'index.d.cts') },
};

/** Compiles a program that imports `ws`. Returns the messages of the compiler. */
async function compile(program: string, declarations: string, compiler: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'ws-types-'));
  const config = join(folder, 'tsconfig.json');
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2023'],
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
    paths: { ws: [declarations] },
    strict: true,
    noEmit: true,
    noUncheckedIndexedAccess: true,
  };
  writeFileSync(config, JSON.stringify({ compilerOptions, files: [program] }));
  try {
    const tsc = join(root, 'tools/node_modules', compiler, 'bin/tsc');
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', config]);
    return stdout;
  } catch (error) {
    return (error as { stdout: string }).stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('a program of ws', () => {
  test.each([
    ['mts', '@types/ws', 'typescript-7'],
    ['mts', 'this package', 'typescript-7'],
    ['mts', 'this package', 'typescript-5.4'],
    ['cts', 'this package', 'typescript-7'],
  ] as const)('in %s compiles with %s and %s', async (kind, name, compiler) => {
    const program = join(import.meta.dirname, `types/program.${kind}`);
    expect(await compile(program, DECLARATIONS[name][kind], compiler)).toBe('');
  });

  test('may give WebSocketServer, the type, the class of its connections', async () => {
    const program = join(import.meta.dirname, 'types/generic.mts');
    const { mts } = DECLARATIONS['this package'];
    expect(await compile(program, mts, 'typescript-7')).toBe('');
    // The day it compiles, the program belongs to the ones above.
    expect(await compile(program, DECLARATIONS['@types/ws'].mts, 'typescript-7')).toContain(
      "Type 'WebSocketServer' is not generic",
    );
  });
});
