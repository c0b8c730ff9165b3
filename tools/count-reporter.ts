import type { Reporter, TestModule } from 'vitest/node';

/** Names the skipped tests, and ends a run with the line `N passed, N failed`. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    let passed = 0;
    // An error outside a test, or a file that did not load, fails the run without a failed test.
    let failed = errors.length + modules.filter((module) => module.errors().length > 0).length;
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state === 'failed') failed++;
        else console.log(`skipped: ${module.relativeModuleId}: ${test.fullName}`);
      }
    }
    // After the summary of vitest's own reporter.
    process.once('exit', () => console.log(`${passed} passed, ${failed} failed`));
  }
}
