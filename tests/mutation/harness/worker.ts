// A process that runs the tests of one request at a time.
import process from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Loader } from './loader.ts';
import type { Measured, MeasureRequest, Request, Tried, TryRequest } from './messages.ts';
import { pretendWorker, runTests } from './test-run.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const testTimeoutMs = Number(process.argv[2]);
const loader = new Loader(root);
let uncaught = 0;

async function measure({ sources, test }: MeasureRequest): Promise<Measured> {
  loader.override(sources);
  const limit = Number.MAX_SAFE_INTEGER;
  const { figures } = await runTests(loader, { root, test, testTimeoutMs, limit, bail: false });
  return { kind: 'measured', figures };
}

async function tryMutant({ path, text, test, ids, limit }: TryRequest): Promise<Tried> {
  uncaught = 0;
  loader.override({ [path]: text });
  const options = { root, test, ids, testTimeoutMs, limit, bail: true };
  const { endless, failures, figures } = await runTests(loader, options);
  // Node reports an unhandled rejection one turn later.
  await setImmediate();
  await setImmediate();
  if (endless) return { kind: 'tried', outcome: 'timed out', killer: 'a loop' };
  const failure = failures.find(({ waited }) => !waited) ?? failures[0];
  if (failure !== undefined) {
    if (!failure.waited) return { kind: 'tried', outcome: 'killed', killer: failure.name };
    return { kind: 'tried', outcome: 'timed out', killer: failure.name, waited: true };
  }
  if (figures.errors.length > 0) return { kind: 'tried', outcome: 'killed', killer: 'its import' };
  if (uncaught > 0) return { kind: 'tried', outcome: 'killed', uncaught: true };
  return { kind: 'tried', outcome: 'survived' };
}

async function answer(request: Request): Promise<void> {
  process.send?.(request.kind === 'measure' ? await measure(request) : await tryMutant(request));
}

for (const event of ['uncaughtException', 'unhandledRejection'])
  process.on(event, () => uncaught++);
process.on('message', (request: Request) => void answer(request));
process.on('disconnect', () => process.exit());
await pretendWorker(loader);
process.send?.('ready');
