import type { Timing } from '../harness/batches.ts';
import type { SharedContest } from '../harness/runner.ts';
import type { Kernels } from '../kernels/kernels.ts';
import type { KernelAnswers } from '../kernels/kernels-worker.ts';
import { BASE, BEFORE, isOurs } from '../rivals/contenders.ts';
import { type Environment, startChild } from './scenario.ts';

interface Timed {
  readonly times: Readonly<Record<string, Timing>>;
  readonly mask: string;
}

/** Contests of work without sockets: the contenders take turns in one process. */
export function kernelContests(environment: Environment, kernels: Kernels): SharedContest[] {
  return Object.keys(kernels).map((name) => ({
    name,
    measure: (rounds) => timeAll(environment, name, rounds),
  }));
}

/** Our figures and those of `ws` with a native mask are from one process. */
async function timeAll(
  environment: Environment,
  contest: string,
  rounds: number,
): ReturnType<SharedContest['measure']> {
  const { before } = environment;
  const native = await timeIn(environment, BASE, contest, rounds);
  const { ws, ...readings } = native.times as Record<string, Timing>;
  const masks: Record<string, string> = {};
  if (ws !== undefined) {
    const plain = await timeIn(environment, 'ws', contest, rounds);
    readings[BASE] = ws;
    readings['ws'] = plain.times['ws']!;
    Object.assign(masks, { ws: plain.mask, [BASE]: native.mask });
  }
  if (before !== undefined) {
    const { times } = await timeIn(environment, `${BASE}${BEFORE}`, contest, rounds);
    for (const name of Object.keys(times).filter(isOurs))
      readings[`${name}${BEFORE}`] = times[name]!;
  }
  return { readings, masks };
}

async function timeIn(
  environment: Environment,
  contender: string,
  contest: string,
  rounds: number,
): Promise<Timed> {
  const script = './kernels-worker.js';
  const { child } = startChild<KernelAnswers>(script, contender, contest, environment);
  try {
    const times = await child.ask('time', { contest, rounds });
    return { times, mask: await child.ask('mask', undefined) };
  } finally {
    await child.end();
  }
}
