import { Worker } from 'node:worker_threads';
import type { Finding } from './finding.ts';
import { InputSlot, type Progress, type Report } from './protocol.ts';

export interface SessionOptions {
  readonly target: string;
  readonly seed: number;
  readonly seconds: number;
  readonly keep: boolean;
  readonly onProgress: (progress: Progress) => void;
}

/** What a session came to. */
export interface Outcome {
  readonly progress: Progress;
  readonly finding: Finding | undefined;
  /** Files of the corpus, when they were to be kept. */
  readonly kept: number | undefined;
}

/** An input that runs for so long is taken for one that never ends. Milliseconds. */
const STUCK_MS = 30_000;
/** What a thread may hold: inputs are bounded, and what a target keeps of them is a finding. */
const HEAP_MB = 1024;

/** Fuzzes one target in a thread, and looks after it: an input that never ends or eats all memory is a finding too. */
export async function fuzz({ onProgress, ...order }: SessionOptions): Promise<Outcome> {
  const slot = new InputSlot();
  const worker = new Worker(new URL('./thread.mjs', import.meta.url), {
    workerData: { ...order, slot: slot.memory },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  let progress: Progress = { executions: 0, edges: 0, inputs: 0 };
  const watch = watchdog(slot);
  try {
    return await new Promise<Outcome>((resolve) => {
      const broken = (sign: string, text: string): void =>
        resolve({ progress, finding: { input: slot.read(), text, sign }, kept: undefined });
      watch.onStuck = () => broken('stuck', `stuck: it has run for ${STUCK_MS / 1000} s`);
      worker.on('error', (error) => broken('thread', `the thread ended: ${String(error)}`));
      worker.on('exit', () => broken('thread', 'the thread ended without a word'));
      worker.on('message', (report: Report) => {
        ({ progress } = report);
        if (report.kind === 'end') resolve(report);
        else onProgress(progress);
      });
    });
  } finally {
    watch.stop();
    await worker.terminate();
  }
}

interface Watchdog {
  onStuck: () => void;
  readonly stop: () => void;
}

/** Looks whether the inputs go on. */
function watchdog(slot: InputSlot): Watchdog {
  let turn = slot.turn;
  let since = performance.now();
  const timer = setInterval(() => {
    if (slot.turn !== turn) {
      ({ turn } = slot);
      since = performance.now();
    } else if (turn > 0 && performance.now() - since > STUCK_MS) watch.onStuck();
  }, 500);
  const watch = { onStuck: () => {}, stop: () => clearInterval(timer) };
  return watch;
}
