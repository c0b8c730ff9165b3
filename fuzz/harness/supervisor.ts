import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { CORPUS } from './corpus.ts';
import type { Finding } from './finding.ts';
import { InputSlot, type Progress, type WorkerReport, type WorkerTask } from './protocol.ts';

/** Limits of one input. An input that exceeds one ends the worker and is a finding. */
export interface InputLimits {
  /** Milliseconds before an input counts as endless. Default: 30,000. */
  readonly stuckMs: number;
  /** MiB of the worker's heap. The process may grow by three times as much. Default: 1,024. */
  readonly memoryMb: number;
}

export interface RunOptions extends Omit<WorkerTask, 'slot' | 'corpus'> {
  /** Default: the corpus of the repository. */
  readonly corpus?: string;
  readonly limits?: InputLimits;
  readonly onProgress?: (progress: Progress) => void;
}

export interface RunOutcome {
  readonly progress: Progress;
  readonly finding: Finding | undefined;
  /** Inputs of a search that reached something new; inputs in the corpus after a selection. */
  readonly inputs: readonly Uint8Array[];
}

const DEFAULT_LIMITS: InputLimits = { stuckMs: 30_000, memoryMb: 1024 };
const MIB = 1024 * 1024;

// Optimized code does not count the calls of a function that it inlines, and the point where V8
// optimizes depends on time. A seed would not repeat its search, and a second selection would lose
// inputs. V8 reads the flag when a thread starts.
setFlagsFromString('--no-opt');

/**
 * Does one job in a fresh worker thread, and stops the thread when an input never ends or exhausts
 * the memory. Such an input is a finding.
 */
export async function runInWorker({
  limits = DEFAULT_LIMITS,
  onProgress,
  corpus = CORPUS.href,
  ...task
}: RunOptions): Promise<RunOutcome> {
  const slot = new InputSlot();
  const worker = new Worker(new URL('./thread.mjs', import.meta.url), {
    workerData: { ...task, corpus, slot: slot.memory } satisfies WorkerTask,
    // The targets are tested from their sources, also in a worker of vitest.
    execArgv: ['--conditions=@ws/source'],
    resourceLimits: { maxOldGenerationSizeMb: limits.memoryMb },
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
      stop = watchInputs(slot, limits, fail);
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
  { stuckMs, memoryMb }: InputLimits,
  fail: (signature: string, message: string) => void,
): () => void {
  const maxRss = process.memoryUsage.rss() + 3 * memoryMb * MIB;
  let count = slot.count;
  let since = performance.now();
  const timer = setInterval(() => {
    if (process.memoryUsage.rss() > maxRss) fail('memory', `grew by ${3 * memoryMb} MiB`);
    if (slot.count !== count) {
      ({ count } = slot);
      since = performance.now();
    } else if (count > 0 && performance.now() - since > stuckMs) {
      fail('stuck', `no end after ${stuckMs / 1000} s`);
    }
  }, 100);
  return () => clearInterval(timer);
}
