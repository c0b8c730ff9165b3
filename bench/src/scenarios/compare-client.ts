import { Child } from '../harness/child.ts';
import { rotated } from '../harness/statistics.ts';
import type { SinkAnswers, SinkPlan } from '../load/sink-worker.ts';
import { type Environment, profileFlags } from '../rivals/contenders.ts';
import type { SenderAnswers } from '../rivals/sender-worker.ts';
import type { RoundPlan } from './compare-echo.ts';

const RUN_TIMEOUT_MS = 3_600_000;
const CONNECTIONS = 64;
const PLAN: SinkPlan = { batch: 16, size: 16, count: 64 };

/** The senders. */
type ClientName = 'ours' | 'ws' | 'ws+bufferutil';

/** Microseconds of the client's CPU for a message, one value for each round. */
export interface ClientReadings {
  readonly name: ClientName;
  readonly cpu: number[];
}

interface Running {
  readonly client: Child<SenderAnswers>;
  readonly sink: Child<SinkAnswers>;
  readonly readings: ClientReadings;
  sent: number;
}

/** Measures clients side by side, each in its own process and with its own sink. */
export async function measureClients(
  { cores, profile }: Environment,
  plan: RoundPlan,
): Promise<ClientReadings[]> {
  const children: Child<never>[] = [];
  const start = <A extends Record<string, (argument: never) => unknown>>(
    child: Child<A>,
  ): Child<A> => {
    children.push(child);
    return child;
  };
  const running: Running[] = [];
  try {
    for (const name of ['ours', 'ws', 'ws+bufferutil'] as const) {
      const sink = start(new Child<SinkAnswers>('./sink-worker.js', [], cores.load));
      const port = await sink.ask('listen', PLAN);
      const client = start(
        new Child<SenderAnswers>(
          './sender-worker.js',
          name === 'ours' ? profileFlags(profile, 'client') : [],
          cores.server,
          { WS_NO_BUFFER_UTIL: name === 'ws' ? '1' : '' },
        ),
      );
      const library = name === 'ours' ? 'ours' : 'ws';
      await client.ask('open', { library, port, connections: CONNECTIONS, plan: PLAN });
      running.push({ client, sink, readings: { name, cpu: [] }, sent: 0 });
    }
    for (const one of running) await oneWindow(one, plan.warmUpMs, false);
    for (let round = 0; round < plan.rounds; round++) {
      for (const one of rotated(running, round)) await oneWindow(one, plan.ms, true);
    }
    return running.map(({ readings }) => readings);
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}

async function oneWindow(one: Running, ms: number, counts: boolean): Promise<void> {
  const before = await one.client.ask('cpu', undefined);
  const messages = await one.client.ask('run', ms, RUN_TIMEOUT_MS);
  const cpu = (await one.client.ask('cpu', undefined)) - before;
  one.sent += messages;
  const verified = await one.sink.ask('verified', undefined);
  if (verified !== one.sent)
    throw new Error(`${one.sent} messages were sent, but ${verified} verified`);
  if (counts) one.readings.cpu.push(cpu / messages);
}
