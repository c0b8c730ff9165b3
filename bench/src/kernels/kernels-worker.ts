// Times work without sockets, in its own process. See `KernelAnswers`.
import { type Timing, timeInterleaved } from '../harness/batches.ts';
import { answer } from '../harness/child.ts';
import { maskOfWs } from '../rivals/masks.ts';
import { codecKernels } from './codec.ts';
import { engineKernels } from './engines.ts';
import type { Kernels } from './kernels.ts';
import { microKernels } from './micro.ts';

interface TimeRequest {
  readonly contest: string;
  readonly rounds: number;
}

/** The requests that the process answers. */
export type KernelAnswers = {
  time: (request: TimeRequest) => Promise<Record<string, Timing>>;
  mask: (nothing?: undefined) => string;
};

const ALL: Kernels = { ...codecKernels, ...engineKernels, ...microKernels };

function time({ contest, rounds }: TimeRequest): Promise<Record<string, Timing>> {
  return timeInterleaved(ALL[contest]!(), rounds);
}

answer({ time, mask: maskOfWs } satisfies KernelAnswers);
