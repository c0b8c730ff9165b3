// A process that runs the tests of one order after another: vitest stays, each test file gets a new thread.
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import {
  createVitest,
  type TestModule,
  type TestRunResult,
  type TestSpecificationOptions,
} from 'vitest/node';
import type { Answer, FileFigures, MeasureOrder, Order, Tried, TryOrder } from './orders.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** How long a test may wait for what never comes. */
const TEST_TIMEOUT_MS = Number(process.argv[2]);

/** What the files say instead of what stands on the disk, by absolute path. */
let planted: Readonly<Record<string, string>> = {};

const vitest = await createVitest(
  'test',
  {
    root,
    watch: false,
    reporters: [{}],
    pool: 'threads',
    maxWorkers: 1,
    bail: 1,
    testTimeout: TEST_TIMEOUT_MS,
    hookTimeout: TEST_TIMEOUT_MS,
    setupFiles: [fileURLToPath(new URL('./setup.ts', import.meta.url))],
    coverage: { enabled: false },
    onConsoleLog: () => false,
  },
  {
    plugins: [
      {
        name: 'planted-text',
        enforce: 'pre',
        load: (id) => planted[id.replace(/\?.*$/, '')],
      },
    ],
  },
);
await vitest.standalone();
const project = vitest.getRootProject();

async function run(
  sources: Readonly<Record<string, string>>,
  limit: number,
  test: string,
  options?: TestSpecificationOptions,
): Promise<TestRunResult> {
  const changed = new Set([...Object.keys(planted), ...Object.keys(sources)]);
  planted = sources;
  for (const path of changed) vitest.invalidateFile(path);
  project.provide('limit', limit);
  vitest.state.filesMap.clear();
  vitest.state.errorsSet.clear();
  return vitest.runTestSpecifications([project.createSpecification(test, options)]);
}

async function measure({ sources, tests }: MeasureOrder): Promise<Answer> {
  vitest.config.bail = 0;
  const files: FileFigures[] = [];
  for (const path of tests) {
    const { testModules } = await run(sources, Number.MAX_SAFE_INTEGER, path);
    for (const module of testModules) files.push(figuresOf(module));
  }
  vitest.config.bail = 1;
  return { kind: 'measured', files };
}

function figuresOf(module: TestModule): FileFigures {
  const { regions = [], turns = 0 } = module.meta();
  return {
    path: module.moduleId,
    turns,
    errors: module.errors().map(({ message }) => message),
    regions,
    tests: [...module.children.allTests()].map((test) => ({
      id: test.id,
      name: test.fullName,
      ms: test.diagnostic()?.duration ?? 0,
      passed: test.result().state === 'passed',
      regions: test.meta().regions ?? [],
    })),
  };
}

async function tryMutant({ path, text, test, ids, limit }: TryOrder): Promise<Tried> {
  const options = { testIds: [...ids] };
  const { testModules, unhandledErrors } = await run({ [path]: text }, limit, test, options);
  const killed = (killer: string): Tried => ({ kind: 'tried', outcome: 'killed', killer });
  const timedOut: Tried = { kind: 'tried', outcome: 'timed out' };
  for (const module of testModules) {
    if (module.meta().endless === true) return timedOut;
    for (const test of module.children.allTests('failed')) {
      const errors = test.result().errors ?? [];
      const waited = errors.every(({ message }) => message.startsWith('Test timed out in'));
      return waited ? timedOut : killed(test.fullName);
    }
    if (module.state() === 'failed') return killed('import or hooks');
  }
  if (unhandledErrors.length > 0) return killed('an error that nobody caught');
  return { kind: 'tried', outcome: 'survived' };
}

async function answer(order: Order): Promise<void> {
  process.send?.(order.kind === 'measure' ? await measure(order) : await tryMutant(order));
}

process.on('message', (order: Order) => void answer(order));
process.on('disconnect', () => process.exit());
process.send?.({ kind: 'ready' });
