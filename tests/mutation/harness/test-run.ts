import {
  type File,
  getFn,
  type Suite,
  startTests,
  type Test,
  type VitestRunner,
} from '@vitest/runner';
import type { Loader } from './loader.ts';
import type { Meter } from './meters.ts';
import type { FileFigures } from './orders.ts';
import { STILL, Stillness } from './stillness.ts';

/** What planted code counts in this process. */
const meter: Meter = {
  hits: new Uint8Array(1 << 16),
  turns: 0,
  testTurns: 0,
  limit: 0,
  endless: false,
  stop() {
    meter.endless = true;
    throw new Error('a loop without end');
  },
};

export interface RunOptions {
  readonly root: string;
  readonly test: string;
  /** The tests that run; all when it is left out. */
  readonly ids?: readonly string[];
  readonly testTimeoutMs: number;
  /** Turns of loops. */
  readonly limit: number;
  /** Whether the first failure ends it. */
  readonly bail: boolean;
}

export interface RunResult {
  readonly figures: FileFigures;
  readonly endless: boolean;
  readonly failures: readonly Failure[];
}

/** So many tests of a file may wait in vain before the rest is left: one that fails says more. */
const WAITS = 3;

interface Failure {
  readonly name: string;
  /** Whether it waited for too long, and nothing else. */
  readonly waited: boolean;
}

/** What vitest asks for the state of its worker; here there is none, and one file runs after another. */
export async function pretendWorker(loader: Loader): Promise<void> {
  const modules = { forEach: () => loader.forget() };
  Object.assign(globalThis, {
    __meter: meter,
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

/** Runs one test file as vitest does: its own functions collect and run the tests. */
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
      meter.testTurns = 0;
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
      const stillness = new Stillness();
      try {
        await Promise.race([getFn(test)(), stillness.promise]);
      } finally {
        stillness.end();
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

  Object.assign(meter, { turns: 0, limit, endless: false });
  meter.hits.fill(0);
  const specs = ids === undefined ? [test] : [{ filepath: test, testIds: [...ids] }];
  const [file] = await startTests(specs, runner);
  keepOutside();
  const { endless, turns } = meter;
  return { endless, failures, figures: figuresOf(file!, turns, [...outside], regions) };
}

function takeHits(): number[] {
  const taken: number[] = [];
  for (let i = meter.hits.indexOf(1); i >= 0; i = meter.hits.indexOf(1, i + 1)) taken.push(i);
  meter.hits.fill(0);
  return taken;
}

function figuresOf(
  file: File,
  turns: number,
  outside: readonly number[],
  regions: ReadonlyMap<string, number[]>,
): FileFigures {
  return {
    path: file.filepath,
    turns,
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

/** Its name, and those of what it stands in. */
function nameOf(task: Test | Suite): string {
  const { suite } = task;
  return suite === undefined || 'filepath' in suite ? task.name : `${nameOf(suite)} > ${task.name}`;
}

function isTimeout(message: string): boolean {
  return message === STILL || /^(Test|Hook) timed out in /.test(message);
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
    // Nobody reads it, and between arrays of 65,536 numbers it takes minutes.
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
