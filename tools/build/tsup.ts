import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { defineConfig } from 'tsup';
import { commonJS } from './commonjs.ts';
import { compact } from './compact.ts';

type Config = ReturnType<typeof defineConfig>;

/**
 * The one build recipe of every published package: an ES module for each entry, CommonJS for each
 * public one, and types that both formats share.
 *
 * @param reference - What the declarations use and a project's tsconfig may not include.
 * @throws Error with WS_BUILT set: tests use what is built.
 */
export function library(
  entry: string[] = ['src/index.ts'],
  reference?: 'types="node"' | 'lib="es2022"' | 'lib="esnext.disposable"',
): Config {
  // A build removes `dist`: programs that start meanwhile find half a package.
  if (process.env['WS_BUILT'] !== undefined) {
    throw new Error('a build beside tests of what is built (WS_BUILT)');
  }
  // `clean` of tsup would remove the files of the build beside it.
  rmSync('dist', { recursive: true, force: true });
  // tsup has no hook after the declarations.
  process.once('exit', shortenDeclarations);
  // A module of the runtime of Workers.
  const shared = { entry, silent: true, external: ['cloudflare:workers'] };
  return defineConfig([
    {
      ...shared,
      format: 'esm',
      target: 'node20',
      platform: 'neutral',
      sourcemap: false,
      treeshake: false,
      minifyIdentifiers: true,
      minifySyntax: true,
      esbuildPlugins: [compact, commonJS()],
    },
    {
      ...shared,
      // A declaration for CommonJS is valid in both formats, one for ES modules only in its own.
      format: 'cjs',
      // tsup's d.ts worker sets baseUrl (deprecated in TypeScript 6) and cannot work in a composite project.
      dts: {
        only: true,
        ...(reference !== undefined && { banner: `/// <reference ${reference} />` }),
        compilerOptions: {
          composite: false,
          incremental: false,
          ignoreDeprecations: '6.0',
          stripInternal: true,
          // `pnpm check types` checks the types. A second check here doubles the time of a build.
          noCheck: true,
        },
      },
    },
  ]);
}

/** Declarations that only the other packages of the workspace use. */
const INTERNAL = join('dist', 'internal.d.cts');

/** The examples of docstrings. The reference on the site has them; in the tarballs they cost 5 kB. */
const EXAMPLE = /(?:^ *\*\n)?^ *\* @example\n(?:^ *\*(?!\/).*\n)*?(?=^ *\*(?:\/| @[a-z]))/gm;
const COMMENT = /^ *\/\*\*[^]*?\*\/\n/gm;

function shortenDeclarations(): void {
  for (const name of readdirSync('dist', { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.d.cts')) continue;
    const file = join('dist', name);
    const removed = file === INTERNAL ? COMMENT : EXAMPLE;
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(removed, ''));
  }
}
