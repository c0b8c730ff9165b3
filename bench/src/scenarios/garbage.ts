import type { Contest, ContestResult, Running } from '../harness/runner.ts';
import { metricTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { BASE } from '../rivals/contenders.ts';
import { startEcho, type Workload } from './echo.ts';
import type { Environment } from './scenario.ts';

/** Begin of the names of these contests. */
export const GARBAGE = 'garbage ';

const CONNECTIONS = 32;
const DEPTH = 16;
/** Messages on each connection in a window: few enough that V8 does not collect their buffers. */
const EACH = 96;
/** Runs before the measurement: compiled code and type feedback are on the heap too. */
const WARM_UPS = 60;

/** A young generation large enough that no collection happens. */
const FLAGS: readonly string[] = [
  '--expose-gc',
  '--min-semi-space-size=512',
  '--max-semi-space-size=512',
];

/** A contest by the heap bytes of a message, garbage included. */
export function garbageContest(environment: Environment, name: string, size: number): Contest {
  const workload: Workload = {
    connections: CONNECTIONS,
    depth: DEPTH,
    sizes: [size],
    content: 'binary',
    flags: FLAGS,
  };
  return {
    name,
    contenders: ['receive', 'loop', BASE, 'raw1'],
    async start(contender): Promise<Running> {
      const { load } = environment;
      const { child, group, mask, end } = await startEcho(environment, name, contender, workload);
      const echo = async (): Promise<void> => {
        await load.ask('run', { group, depth: DEPTH, each: EACH });
        await load.ask('check', group);
      };
      for (let i = 0; i < WARM_UPS; i++) await echo();
      return {
        mask,
        async window() {
          const first = await child.ask('heap', true);
          const before = await child.ask('heap', false);
          await echo();
          const after = await child.ask('heap', false);
          // Both differences contain the cost of a request.
          return { heap: (after - before - (before - first)) / (CONNECTIONS * EACH) };
        },
        end,
      };
    },
  };
}

export function garbageTable(results: readonly ContestResult[]): Table {
  return metricTable(
    {
      title: 'Garbage',
      unit: 'heap bytes for a message, without a collection',
      note: 'Less is better. The part of raw1 is that of sockets of Node.',
      results,
    },
    'heap',
  );
}
