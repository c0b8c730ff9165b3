import { Worker } from 'node:worker_threads';
import type { Finding } from './finding.ts';
import { InputSlot, type Order, type Progress, type Report } from './protocol.ts';

/** How far an input may go, before it is ended and is a finding. */
export interface Bounds {
  /** An input that runs for so long is taken for one that never ends. Milliseconds, default 30,000. */
  readonly stuckMs: number;
  /** What a run may hold in objects, and twice that besides them: inputs are short. MiB, default 1,024. */
  readonly memoryMb: number;
}

export interface SessionOptions extends Omit<Order, 'slot'> {
  readonly bounds?: Bounds;
  readonly onProgress?: (progress: Progress) => void;
}

/** What a session came to. */
export interface Outcome {
  readonly progress: Progress;
  readonly finding: Finding | undefined;
  /** Files of the corpus, when they were to be kept. */
  readonly kept: number | undefined;
}

const BOUNDS: Bounds = { stuckMs: 30_000, memoryMb: 1024 };
const MIB = 1024 * 1024;

/** Fuzzes one target in a thread, and looks after it: an input that never ends or eats all memory is a finding too. */
export async function fuzz({
  bounds = BOUNDS,
  onProgress,
  ...order
}: SessionOptions): Promise<Outcome> {
  const slot = new InputSlot();
  const worker = new Worker(new URL('./thread.mjs', import.meta.url), {
    workerData: { ...order, slot: slot.memory } satisfies Order,
    resourceLimits: { maxOldGenerationSizeMb: bounds.memoryMb },
  });
  let progress: Progress = { executions: 0, edges: 0, inputs: 0 };
  let stop = (): void => {};
  try {
    return await new Promise<Outcome>((resolve) => {
      const broken = (sign: string, text: string): void => {
        const finding = { input: order.only ?? slot.read(), text: `${sign}: ${text}`, sign };
        resolve({ progress, finding, kept: undefined });
      };
      stop = watch(slot, bounds, broken);
      worker.on('error', (error) => broken('thread', `it ended with ${String(error)}`));
      worker.on('exit', () => broken('thread', 'it ended without a word'));
      worker.on('message', (report: Report) => {
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

/** Looks whether the inputs go on, and what they hold. V8 bounds the memory of objects, but not that of buffers. */
function watch(
  slot: InputSlot,
  { stuckMs, memoryMb }: Bounds,
  broken: (sign: string, text: string) => void,
): () => void {
  const most = process.memoryUsage.rss() + 3 * memoryMb * MIB;
  let turn = slot.turn;
  let since = performance.now();
  const timer = setInterval(() => {
    if (process.memoryUsage.rss() > most) broken('memory', `it grew by ${3 * memoryMb} MiB`);
    if (slot.turn !== turn) {
      ({ turn } = slot);
      since = performance.now();
    } else if (turn > 0 && performance.now() - since > stuckMs) {
      broken('stuck', `it has run for ${stuckMs / 1000} s`);
    }
  }, 100);
  return () => clearInterval(timer);
}
