import { setImmediate } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { mergeCorpus, readCorpus } from './corpus.ts';
import { type Finding, minimise } from './finding.ts';
import { Fuzzer } from './fuzzer.ts';
import { InputSlot, type WorkerReport, type WorkerTask } from './protocol.ts';
import type { TargetList } from './target.ts';

// Worker thread: fuzzes one target until its time is over or an input fails. The supervisor can
// terminate the thread in any loop.

/** Time limit for shrinking a finding. */
const MINIMISING_MS = 30_000;

const { list, target: name, seed, seconds = 0, keep = false, only, slot }: WorkerTask = workerData;
const { targets }: TargetList = await import(list);
const target = targets.find((one) => one.name === name)!;
const currentInput = new InputSlot(slot);
const onInput = (input: Uint8Array): void => currentInput.write(input);
const corpus = readCorpus(name).map(({ bytes }) => bytes);
const fuzzer = new Fuzzer(target, { seed, corpus, onInput });

function report(message: WorkerReport): void {
  parentPort!.postMessage(message);
}

const progress = () => ({
  executions: fuzzer.executions,
  edges: fuzzer.edges,
  inputs: fuzzer.inputs.length,
});

let finding: Finding | undefined = await fuzzer.start(only && [only]);
const started = performance.now();
let reported = started;
while (finding === undefined && performance.now() - started < seconds * 1000) {
  finding = await fuzzer.batch();
  if (performance.now() - reported < 500) continue;
  reported = performance.now();
  report({ kind: 'progress', progress: progress() });
  await setImmediate();
}
const reached = progress();
if (finding !== undefined && only === undefined) {
  const found = finding;
  const until = performance.now() + MINIMISING_MS;
  const input = await minimise(found.input, async (smaller) => {
    return performance.now() < until && (await fuzzer.repeats(found, smaller));
  });
  finding = { ...found, input };
}
fuzzer.stop();
const merges = keep && finding === undefined;
const kept = merges ? await mergeCorpus(target, fuzzer.inputs, onInput) : undefined;
report({ kind: 'end', progress: reached, finding, kept });
