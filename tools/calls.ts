// `pnpm long calls`: how many functions a reader steps through, in our packages and in `ws`.
import process from 'node:process';
import { parseArgs } from 'node:util';
import { CallCounter, type Calls, type FileOf, ourFile, wsFile } from './calls/coverage.ts';
import { WALKS } from './calls/walks.ts';
import { allowClosedOutput } from './run.ts';

/** Steps before the first that counts: they fill pools and settle what is made on first use. */
const WARMUP = 30;
/** Steps that count. A timer can run in one of them, so the median of their calls is printed. */
const STEPS = 9;

type Library = 'ours' | 'ws';
const FILES: Readonly<Record<Library, FileOf>> = { ours: ourFile, ws: wsFile };

const names = Object.keys(WALKS).join(', ');
const USAGE = `usage: pnpm long calls [--list WALK] [--json]

Counts files, functions and calls of one step, by V8's precise coverage of the sources.
--list WALK  prints each of our functions with its calls (${names}); --list ws:WALK those of ws
--json       prints the figures as a document

Fails when a walk of ours has more calls than its bound.`;

const { values } = parseArgs({
  options: {
    list: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

// No turn is a long one then, however busy the machine is: more writes are more calls.
const started = performance.now();
performance.now = () => started;

allowClosedOutput();
if (values.help) console.log(USAGE);
else if (values.list === undefined) await printTable(values.json);
else await printList(values.list);

async function printTable(json: boolean): Promise<void> {
  const rows = [];
  for (const [walk, { what, bound, ws: theirs }] of Object.entries(WALKS)) {
    const ours = summary(await count(walk, 'ours'));
    const ws = theirs && summary(await count(walk, 'ws'));
    rows.push({ walk, what, ours, ws, bound });
    if (ours.calls > bound) process.exitCode = 1;
  }
  if (json) {
    console.log(JSON.stringify(rows, undefined, 2));
    return;
  }
  console.log(
    'files / functions / calls     ours              ws             bound (calls of ours)',
  );
  for (const { walk, what, ours, ws, bound } of rows) {
    const held = ours.calls <= bound ? 'held' : `${ours.calls - bound} above`;
    const figures = `${format(ours).padEnd(18)}${(ws === undefined ? '' : format(ws)).padEnd(15)}${bound}, ${held}`;
    console.log(`${walk.padEnd(30)}${figures.padEnd(50)}${what}`);
  }
}

async function printList(argument: string): Promise<void> {
  const [walk, library]: [string, Library] = argument.startsWith('ws:')
    ? [argument.slice(3), 'ws']
    : [argument, 'ours'];
  if (WALKS[walk]?.[library] === undefined) {
    console.error(`no walk ${argument}; the walks are ${names}`);
    process.exitCode = 2;
    return;
  }
  const calls = await count(walk, library);
  for (const { file, name, count } of calls) {
    console.log(`${String(count).padStart(4)}  ${name.padEnd(32)} ${file}`);
  }
  console.log(`${format(summary(calls))}: files / functions / calls`);
}

/** The calls of one step: those of the step with the median of calls. */
async function count(walk: string, library: Library): Promise<Calls[]> {
  const counter = new CallCounter();
  await counter.start();
  const running = await WALKS[walk]![library]!();
  const steps: Calls[][] = [];
  for (let i = 0; i < WARMUP + STEPS; i++) {
    await running.prepare?.();
    await counter.reset();
    await running.step();
    if (i >= WARMUP) steps.push(await counter.take(FILES[library]));
  }
  await running.end();
  counter.stop();
  return steps.toSorted((a, b) => summary(a).calls - summary(b).calls)[STEPS >> 1]!;
}

interface Summary {
  readonly files: number;
  readonly functions: number;
  readonly calls: number;
}

function summary(calls: readonly Calls[]): Summary {
  return {
    files: new Set(calls.map(({ file }) => file)).size,
    functions: calls.length,
    calls: calls.reduce((sum, { count }) => sum + count, 0),
  };
}

function format({ files, functions, calls }: Summary): string {
  return `${files} / ${functions} / ${calls}`;
}
