import { setImmediate } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { keepCorpus, readCorpus } from './corpus.ts';
import { type Finding, minimise } from './finding.ts';
import { Fuzzer } from './fuzzer.ts';
import { InputSlot, type Order, type Report } from './protocol.ts';
import type { TargetList } from './target.ts';

// Fuzzes one target, for as long as it is told or until something is found. In a thread of its own: the one that started
// it can end it, whatever loop it is in.

/** How long a finding is made smaller, at most. */
const MINIMISING_MS = 30_000;

const { list, target: name, seed, seconds = 0, keep = false, only, slot }: Order = workerData;
const { targets }: TargetList = await import(list);
const target = targets.find((one) => one.name === name)!;
const shown = new InputSlot(slot);
const onInput = (input: Uint8Array): void => shown.show(input);
const corpus = readCorpus(name).map(({ bytes }) => bytes);
const fuzzer = new Fuzzer(target, { seed, corpus, onInput });

function say(report: Report): void {
  parentPort!.postMessage(report);
}

const progress = () => ({
  executions: fuzzer.executions,
  edges: fuzzer.edges,
  inputs: fuzzer.inputs.length,
});

let finding: Finding | undefined = await fuzzer.start(only && [only]);
const started = performance.now();
let said = started;
while (finding === undefined && performance.now() - started < seconds * 1000) {
  finding = await fuzzer.batch();
  if (performance.now() - said < 500) continue;
  said = performance.now();
  say({ kind: 'progress', progress: progress() });
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
const keeps = keep && finding === undefined;
const kept = keeps ? await keepCorpus(target, fuzzer.inputs, onInput) : undefined;
say({ kind: 'end', progress: reached, finding, kept });
