import process from 'node:process';

/**
 * Options of Stryker for one package.
 *
 * @param {string} name - The package: its tests judge the mutants.
 * @param {string[]} sources - Globs in its `src`: the files whose mutants are tried.
 */
export function options(name, sources) {
  // vitest.config.ts reads it, in Stryker's processes.
  process.env['MUTATED'] = name;
  return {
    testRunner: 'vitest',
    plugins: ['@stryker-mutator/vitest-runner'],
    vitest: { configFile: 'tests/mutation/vitest.config.ts', related: false },
    mutate: sources.map((glob) => `packages/${name}/src/${glob}`),
    // Packages import each other through node_modules: tests of a copy would run the original.
    inPlace: true,
    coverageAnalysis: 'perTest',
    ignoreStatic: true,
    concurrency: 2,
    disableTypeChecks: false,
    incremental: true,
    incrementalFile: `.out/mutation/${name}.json`,
    tempDirName: '.out/mutation/backup',
    reporters: ['clear-text', 'html', 'progress-append-only'],
    htmlReporter: { fileName: `.out/mutation/${name}.html` },
    clearTextReporter: { allowColor: false, reportTests: false },
    thresholds: { high: 98, low: 94 },
  };
}
