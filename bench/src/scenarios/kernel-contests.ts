import type { Timing } from '../harness/batches.ts';
import type { SharedContest } from '../harness/runner.ts';
import type { Kernels } from '../kernels/kernels.ts';
import type { KernelAnswers } from '../kernels/kernels-worker.ts';
import { BEFORE, isOurs, NATIVE } from '../rivals/contenders.ts';
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
  const native = await timeIn(environment, NATIVE, contest, rounds);
  const { ws, ...readings } = native.times as Record<string, Timing>;
  const masks: Record<string, string> = {};
  if (ws !== undefined && native.mask === 'JS') {
    // Without bufferutil this is `ws` as it is installed.
    readings['ws'] = ws;
    masks['ws'] = native.mask;
  } else if (ws !== undefined) {
    const plain = await timeIn(environment, 'ws', contest, rounds);
    readings[NATIVE] = ws;
    readings['ws'] = plain.times['ws']!;
    Object.assign(masks, { ws: plain.mask, [NATIVE]: native.mask });
  }
  if (before !== undefined) {
    const { times } = await timeIn(environment, `${NATIVE}${BEFORE}`, contest, rounds);
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
