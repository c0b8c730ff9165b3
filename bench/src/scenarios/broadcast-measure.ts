import { Child } from '../harness/child.ts';
import { rotated } from '../harness/statistics.ts';
import type { AudienceAnswers } from '../load/audience-worker.ts';
import type { BroadcastAnswers, BroadcastPlan } from '../rivals/broadcast-worker.ts';
import { type Environment, profileFlags } from '../rivals/contenders.ts';
import type { RoundPlan } from './compare-echo.ts';

const ANSWER_TIMEOUT_MS = 3_600_000;
const MESSAGES: BroadcastPlan = { size: 100, count: 61 };

/** Numbers of messages in one turn. */
export const PER_TURN: readonly number[] = [1, 16];

/** The senders. */
type BroadcasterName = 'ours' | 'ws' | 'ws+bufferutil';

/** Microseconds of the server's CPU for a message to one receiver, one value for each round. */
export interface BroadcastReadings {
  readonly name: BroadcasterName;
  readonly perTurn: number;
  readonly cpu: number[];
}

interface Running {
  readonly server: Child<BroadcastAnswers>;
  readonly audience: number;
  readonly name: BroadcasterName;
}

/** Measures broadcasts side by side, each server in its own process. */
export async function measureBroadcast(
  { cores, profile }: Environment,
  receivers: number,
  plan: RoundPlan,
): Promise<BroadcastReadings[]> {
  const servers: Child<BroadcastAnswers>[] = [];
  const load = new Child<AudienceAnswers>('./audience-worker.js', [], cores.load);
  try {
    const running: Running[] = [];
    for (const name of ['ours', 'ws', 'ws+bufferutil'] as const) {
      const server = new Child<BroadcastAnswers>(
        './broadcast-worker.js',
        name === 'ours' ? profileFlags(profile, 'broadcast') : [],
        cores.server,
        { WS_NO_BUFFER_UTIL: name === 'ws' ? '1' : '' },
      );
      servers.push(server);
      const library = name === 'ours' ? 'ours' : 'ws';
      const port = await server.ask('listen', { library, plan: MESSAGES });
      const audience = await load.ask(
        'open',
        { port, receivers, plan: MESSAGES },
        ANSWER_TIMEOUT_MS,
      );
      running.push({ server, audience, name });
    }
    const result: BroadcastReadings[] = [];
    for (const perTurn of PER_TURN) {
      const readings = new Map(
        running.map((one) => [one, { name: one.name, perTurn, cpu: [] as number[] }]),
      );
      const window = async (one: Running, ms: number): Promise<number> => {
        const before = await one.server.ask('cpu', undefined);
        const { audience } = one;
        const messages = await load.ask('run', { audience, perTurn, ms }, ANSWER_TIMEOUT_MS);
        return ((await one.server.ask('cpu', undefined)) - before) / (messages * receivers);
      };
      for (const one of running) await window(one, plan.warmUpMs);
      for (let round = 0; round < plan.rounds; round++) {
        for (const one of rotated(running, round))
          readings.get(one)!.cpu.push(await window(one, plan.ms));
      }
      result.push(...readings.values());
    }
    return result;
  } finally {
    await Promise.all([load, ...servers].map((child) => child.end()));
  }
}
