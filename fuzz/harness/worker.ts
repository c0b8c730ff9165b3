import { setImmediate } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { readCorpus, selectCorpus, writeCorpus } from './corpus.ts';
import { type Finding, minimise } from './finding.ts';
import { Fuzzer } from './fuzzer.ts';
import {
  InputSlot,
  type Job,
  type Progress,
  type WorkerReport,
  type WorkerTask,
} from './protocol.ts';
import type { TargetList } from './target.ts';

// Worker thread: does one job for one target. The supervisor can terminate the thread in any loop.

/** Time limit for shrinking a finding. */
const MINIMISING_MS = 30_000;

const { list, target: name, corpus: folder, job, slot }: WorkerTask = workerData;
const { targets }: TargetList = await import(list);
const target = targets.find((one) => one.name === name)!;
const root = new URL(folder);
const corpus = readCorpus(name, root);
const currentInput = new InputSlot(slot);
const onInput = (input: Uint8Array): void => currentInput.write(input);

if (job.kind === 'search') await search(job);
else if (job.kind === 'replay') await replay(job.input);
else await select(job.found);

function report(message: WorkerReport): void {
  parentPort!.postMessage(message);
}

function progressOf({ executions, edges, inputs }: Fuzzer): Progress {
  return { executions, edges, inputs: inputs.length };
}

async function search({
  seed,
  seconds = Infinity,
  executions = Infinity,
  slow,
}: Extract<Job, { kind: 'search' }>): Promise<void> {
  const known = corpus.map(({ bytes }) => bytes);
  const fuzzer = new Fuzzer(target, { seed, corpus: known, slow, onInput });
  let finding = await fuzzer.start();
  const started = performance.now();
  let reported = started;
  while (
    finding === undefined &&
    performance.now() - started < seconds * 1000 &&
    fuzzer.executions < executions
  ) {
    finding = await fuzzer.batch();
    if (performance.now() - reported < 500) continue;
    reported = performance.now();
    report({ kind: 'progress', progress: progressOf(fuzzer) });
    await setImmediate();
  }
  const progress = progressOf(fuzzer);
  if (finding !== undefined) finding = await shrink(fuzzer, finding);
  fuzzer.stop();
  report({ kind: 'end', progress, finding, inputs: fuzzer.inputs });
}

async function shrink(fuzzer: Fuzzer, finding: Finding): Promise<Finding> {
  const until = performance.now() + MINIMISING_MS;
  const input = await minimise(finding.input, async (smaller) => {
    return performance.now() < until && (await fuzzer.repeats(finding, smaller));
  });
  return { ...finding, input };
}

async function replay(input: Uint8Array): Promise<void> {
  const fuzzer = new Fuzzer(target, { seed: 0, corpus: [], onInput });
  const finding = await fuzzer.start([input]);
  fuzzer.stop();
  report({ kind: 'end', progress: progressOf(fuzzer), finding, inputs: [] });
}

async function select(found: readonly Uint8Array[]): Promise<void> {
  const { inputs, edges } = await selectCorpus(target, corpus, found, onInput);
  writeCorpus(name, inputs, root);
  report({
    kind: 'end',
    progress: { executions: currentInput.count, edges, inputs: inputs.length },
    finding: undefined,
    inputs: inputs.map(({ bytes }) => bytes),
  });
}
