import {
  type File,
  getFn,
  type Suite,
  startTests,
  type Test,
  type VitestRunner,
} from '@vitest/runner';
import { IDLE_MESSAGE, IdleDetector } from './idle-detector.ts';
import type { Counters } from './instrument.ts';
import type { Loader } from './loader.ts';
import type { FileFigures } from './messages.ts';

const counters: Counters = {
  hits: new Uint8Array(1 << 16),
  loops: 0,
  testLoops: 0,
  limit: 0,
  endless: false,
  stop() {
    counters.endless = true;
    throw new Error('endless loop');
  },
};

export interface RunOptions {
  readonly root: string;
  readonly test: string;
  /** The tests to run. Default: all. */
  readonly ids?: readonly string[];
  readonly testTimeoutMs: number;
  /** Most loop iterations. */
  readonly limit: number;
  /** Stops at the first failure. */
  readonly bail: boolean;
}

export interface RunResult {
  readonly figures: FileFigures;
  readonly endless: boolean;
  readonly failures: readonly Failure[];
}

/** Tests of a file that may wait in vain before the rest is skipped: a failure is more precise. */
const WAITS = 3;

interface Failure {
  readonly name: string;
  /** All its errors are timeouts. */
  readonly waited: boolean;
}

/** Sets the worker state that vitest reads: this process is not a vitest worker. */
export async function pretendWorker(loader: Loader): Promise<void> {
  const modules = { forEach: () => loader.forget() };
  Object.assign(globalThis, {
    __counters: counters,
    __vitest_worker__: {
      config: {},
      ctx: {},
      environment: { name: 'node' },
      evaluatedModules: { idToModuleMap: modules },
      providedContext: {},
    },
  });
  await import('vitest');
}

/** Runs one test file with vitest's own runner. */
export async function runTests(loader: Loader, options: RunOptions): Promise<RunResult> {
  const { expect } = await import('vitest');
  const { root, test, ids, testTimeoutMs, limit, bail } = options;
  const outside = new Set<number>();
  const regions = new Map<string, number[]>();
  const failures: Failure[] = [];
  const keepOutside = (): void => {
    for (const region of takeHits()) outside.add(region);
  };
  const fail = (task: Test | Suite): void => {
    const { errors = [] } = task.result ?? {};
    const waited = errors.length > 0 && errors.every(({ message }) => isTimeout(message));
    failures.push({ name: nameOf(task), waited });
  };
  const isOver = (): boolean =>
    bail && (failures.some(({ waited }) => !waited) || failures.length >= WAITS);
  const runner: VitestRunner = {
    config: configOf(root, testTimeoutMs),
    importFile: (path) => loader.load(path),
    onBeforeRunSuite(suite) {
      if (isOver()) suite.mode = 'skip';
    },
    onAfterRunSuite(suite) {
      if (suite.result?.state === 'fail' && (suite.result.errors?.length ?? 0) > 0) fail(suite);
    },
    onBeforeRunTask(task) {
      if (isOver()) task.mode = 'skip';
      counters.testLoops = 0;
      keepOutside();
    },
    onBeforeTryTask() {
      expect.setState({
        assertionCalls: 0,
        isExpectingAssertions: false,
        isExpectingAssertionsError: null,
        expectedAssertionsNumber: null,
        expectedAssertionsNumberErrorGen: null,
      });
    },
    async runTask(test) {
      const idleDetector = new IdleDetector();
      try {
        await Promise.race([getFn(test)(), idleDetector.promise]);
      } finally {
        idleDetector.end();
      }
    },
    onAfterTryTask() {
      const { assertionCalls, expectedAssertionsNumber, expectedAssertionsNumberErrorGen } =
        expect.getState();
      const wrong = expectedAssertionsNumber !== assertionCalls;
      if (expectedAssertionsNumber !== null && wrong) throw expectedAssertionsNumberErrorGen?.();
    },
    onAfterRunTask(task) {
      regions.set(task.id, takeHits());
      if (task.result?.state === 'fail') fail(task);
    },
    extendTaskContext: (context) => Object.assign(context, { expect }),
  };

  Object.assign(counters, { loops: 0, limit, endless: false });
  counters.hits.fill(0);
  const specs = ids === undefined ? [test] : [{ filepath: test, testIds: [...ids] }];
  const [file] = await startTests(specs, runner);
  keepOutside();
  const { endless, loops } = counters;
  return { endless, failures, figures: figuresOf(file!, loops, [...outside], regions) };
}

function takeHits(): number[] {
  const taken: number[] = [];
  for (let i = counters.hits.indexOf(1); i >= 0; i = counters.hits.indexOf(1, i + 1)) taken.push(i);
  counters.hits.fill(0);
  return taken;
}

function figuresOf(
  file: File,
  loops: number,
  outside: readonly number[],
  regions: ReadonlyMap<string, number[]>,
): FileFigures {
  return {
    path: file.filepath,
    loops,
    errors: (file.result?.errors ?? []).map(({ message }) => message),
    regions: outside,
    tests: testsOf(file).map((test) => ({
      id: test.id,
      name: nameOf(test),
      ms: test.result?.duration ?? 0,
      passed: test.result?.state === 'pass',
      regions: regions.get(test.id) ?? [],
    })),
  };
}

function testsOf(suite: Suite): Test[] {
  return suite.tasks.flatMap((task) => (task.type === 'suite' ? testsOf(task) : [task]));
}

/** The name with the names of its suites. */
function nameOf(task: Test | Suite): string {
  const { suite } = task;
  return suite === undefined || 'filepath' in suite ? task.name : `${nameOf(suite)} > ${task.name}`;
}

function isTimeout(message: string): boolean {
  return message === IDLE_MESSAGE || /^(Test|Hook) timed out in /.test(message);
}

function configOf(root: string, testTimeoutMs: number): VitestRunner['config'] {
  return {
    root,
    name: undefined,
    setupFiles: [],
    passWithNoTests: true,
    testNamePattern: undefined,
    allowOnly: false,
    sequence: { seed: 0, hooks: 'stack', setupFiles: 'list' },
    chaiConfig: undefined,
    // The diff is not shown, and takes minutes for arrays of 65,536 numbers.
    diffOptions: { maxDepth: 1, truncateThreshold: 1 },
    maxConcurrency: 1,
    testTimeout: testTimeoutMs,
    hookTimeout: testTimeoutMs,
    retry: 0,
    includeTaskLocation: false,
    tags: [],
    tagsFilter: undefined,
    strictTags: false,
  };
}
