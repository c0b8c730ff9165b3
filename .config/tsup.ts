import { defineConfig } from 'tsup';

type Config = ReturnType<typeof defineConfig>;

/** The one build recipe of every published package: an ESM file for each entry, with types. */
export function library(entry: string[] = ['src/index.ts']): Config {
  return defineConfig({
    entry,
    format: ['esm'],
    target: 'node20',
    platform: 'neutral',
    sourcemap: true,
    clean: true,
    silent: true,
    treeshake: false,
    // tsup's d.ts worker sets baseUrl (deprecated in TypeScript 6) and cannot work in a composite project.
    dts: {
      compilerOptions: {
        composite: false,
        incremental: false,
        ignoreDeprecations: '6.0',
        stripInternal: true,
      },
    },
  });
}
