import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { CORPUS } from './corpus.ts';
import type { Finding } from './finding.ts';
import { InputSlot, type Progress, type WorkerReport, type WorkerTask } from './protocol.ts';

export interface RunOptions extends Omit<WorkerTask, 'slot' | 'corpus'> {
  /** Default: the corpus of the repository. */
  readonly corpus?: string;
  readonly onProgress?: (progress: Progress) => void;
}

export interface RunOutcome {
  readonly progress: Progress;
  readonly finding: Finding | undefined;
  /** Inputs of a search that reached something new; inputs in the corpus after a selection. */
  readonly inputs: readonly Uint8Array[];
}

/** Milliseconds before an input counts as endless. */
const STUCK_MS = 30_000;
/** MiB of the worker's heap. The process may grow by three times as much. */
const MEMORY_MB = 1024;

// Optimized code does not count the calls of a function that it inlines, and the point where V8
// optimizes depends on time. A seed would not repeat its search, and a second selection would lose
// inputs. V8 reads the flag when a thread starts.
setFlagsFromString('--no-opt');

/**
 * Does one job in a fresh worker thread, and stops the thread when an input never ends or exhausts
 * the memory. Such an input is a finding.
 */
export async function runInWorker({
  onProgress,
  corpus = CORPUS.href,
  ...task
}: RunOptions): Promise<RunOutcome> {
  const slot = new InputSlot();
  const worker = new Worker(new URL('./thread.mjs', import.meta.url), {
    workerData: { ...task, corpus, slot: slot.memory } satisfies WorkerTask,
    // The targets are tested from their sources, also in a worker of vitest.
    execArgv: ['--conditions=@ws/source'],
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
  });
  let progress: Progress = { executions: 0, edges: 0, inputs: 0 };
  let stop = (): void => {};
  try {
    return await new Promise<RunOutcome>((resolve) => {
      const fail = (signature: string, message: string): void => {
        const input = task.job.kind === 'replay' ? task.job.input : slot.read();
        const finding = { input, text: `${signature}: ${message}`, signature };
        resolve({ progress, finding, inputs: [] });
      };
      stop = watchInputs(slot, fail);
      worker.on('error', (error) => fail('thread', `failed with ${String(error)}`));
      worker.on('exit', () => fail('thread', 'exited before its report'));
      worker.on('message', (report: WorkerReport) => {
        ({ progress } = report);
        if (report.kind === 'end') resolve(report);
        else onProgress?.(progress);
      });
    });
  } finally {
    stop();
    await worker.terminate();
  }
}

/**
 * Checks every 100 ms that the inputs advance and that the memory stays within its limit. V8 limits
 * the heap of a worker, but not the memory of its buffers.
 *
 * @returns A function that stops the checks.
 */
function watchInputs(
  slot: InputSlot,
  fail: (signature: string, message: string) => void,
): () => void {
  const maxRss = process.memoryUsage.rss() + 3 * MEMORY_MB * 1024 * 1024;
  let count = slot.count;
  let since = performance.now();
  const timer = setInterval(() => {
    if (process.memoryUsage.rss() > maxRss) fail('memory', `grew by ${3 * MEMORY_MB} MiB`);
    if (slot.count !== count) {
      ({ count } = slot);
      since = performance.now();
    } else if (count > 0 && performance.now() - since > STUCK_MS) {
      fail('stuck', `no end after ${STUCK_MS / 1000} s`);
    }
  }, 100);
  return () => clearInterval(timer);
}
