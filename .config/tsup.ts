import { defineConfig } from 'tsup';

type Config = ReturnType<typeof defineConfig>;

/**
 * The one build recipe of every published package: an ESM file for each entry, with types.
 *
 * @param bundled - Private workspace packages that the output contains, types included.
 * @param reference - What the declarations use and a project's tsconfig may not include.
 */
export function library(
  entry: string[] = ['src/index.ts'],
  bundled: string[] = [],
  reference?: 'types="node"' | 'lib="esnext.disposable"',
): Config {
  return defineConfig({
    entry,
    noExternal: bundled,
    format: ['esm'],
    target: 'node20',
    platform: 'neutral',
    sourcemap: false,
    clean: true,
    silent: true,
    treeshake: false,
    // tsup's d.ts worker sets baseUrl (deprecated in TypeScript 6) and cannot work in a composite project.
    dts: {
      ...(reference !== undefined && { banner: `/// <reference ${reference} />` }),
      compilerOptions: {
        composite: false,
        incremental: false,
        ignoreDeprecations: '6.0',
        stripInternal: true,
        ...(bundled.length > 0 && withSources(bundled)),
      },
    },
  });
}

/** Makes the d.ts worker include the types of private packages. It leaves other packages external. */
function withSources(packages: readonly string[]): object {
  const source = (name: string): string => `../${name.replace('@ws/', '')}/src/index.ts`;
  return {
    rootDir: '..',
    paths: Object.fromEntries(packages.map((name) => [name, [source(name)]])),
  };
}
