import type { Contest, ContestResult, Reading, Running } from '../harness/runner.ts';
import { spreadOf } from '../harness/statistics.ts';
import type { Memory } from '../harness/usage.ts';
import { contenderTable, metricTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { startEcho, type Workload } from './echo.ts';
import { allowedConnections, type Environment, type Scenario } from './scenario.ts';

const SIZES: readonly number[] = [2500, 5000, 15_000];
/** With a key of `limits` for each connection, or for all. */
const KEYED = 10_000;
/** The metrics, in the order of the tables. */
const METRICS: Readonly<Record<string, readonly [title: string, note: string]>> = {
  resident: ['Resident memory', "V8's default flags, nothing collected by hand"],
  young: ['Young generation', 'part of the resident memory above, by the same flags'],
  collected: [
    'Resident memory after collections',
    'the same processes after four forced collections',
  ],
  heap: ['Live heap', 'the JavaScript heap after the same collections'],
};

/** `ws-bench memory`. */
export const memory: Scenario = {
  name: 'memory',
  summary: 'memory of an idle connection after one echo, next to ws and to a bare upgraded socket',
  help: `Opens connections as fast as it can to a fresh server with V8's default flags. Each echoes one message
of 1 KiB. The growth of the process is read twice: as an operator sees it, and after forced collections.

  bare  a socket from the 'upgrade' event of Node's http server with a listener that echoes bytes
  raw1  a socket without Node's http server; all of them read into one buffer
  bun   its heap is that of JavaScript alone, not of its sockets
  one key, own key  receive, with an entry of limits by which all connections have one key, or each its own
`,
  full: { processes: 3, rounds: 1, ms: 0, warmUpMs: 0 },
  minutes: 4,
  quick: { processes: 1, rounds: 1, ms: 0, warmUpMs: 0 },
  contests: (environment) => [
    ...SIZES.filter((size) => size <= allowedConnections(size)).map((size) =>
      memoryContest(
        environment,
        `${size} idle connections`,
        ['receive', 'loop', 'serveRaw', 'ws', 'bun', 'bare', 'raw1'],
        size,
        { content: 'ascii' },
      ),
    ),
    memoryContest(
      environment,
      `limits: ${KEYED} idle connections`,
      ['receive', 'one key', 'own key'],
      allowedConnections(KEYED),
      { content: 'ascii' },
    ),
  ],
  tables: memoryTables,
};

/**
 * A contest by the memory of a connection after echoes of 1 KiB.
 *
 * @param more - The traffic: its content or its compression.
 * @param each - Echoes on each connection.
 */
export function memoryContest(
  environment: Environment,
  name: string,
  contenders: readonly string[],
  connections: number,
  more: Pick<Workload, 'content' | 'compression'>,
  each = 1,
): Contest {
  // `startEcho` opens one connection, which loads the code of the server.
  const traffic = { connections: 1, depth: 1, sizes: [1024], flags: ['--expose-gc'], ...more };
  return {
    name,
    contenders,
    alone: true,
    once: true,
    async start(contender): Promise<Running> {
      const server = await startEcho(environment, name, contender, traffic);
      return {
        mask: server.mask,
        window: () => growth(environment, server, connections, each),
        end: () => server.end(),
      };
    },
  };
}

async function growth(
  { load }: Environment,
  { child, group, openMore }: Awaited<ReturnType<typeof startEcho>>,
  connections: number,
  each: number,
): Promise<Reading> {
  const echo = async (of: number): Promise<void> => {
    await load.ask('run', { group: of, depth: 1, each });
    await load.ask('check', of);
  };
  await echo(group);
  const before = await child.ask('memory', false);
  await echo(await openMore(connections));
  const after = await child.ask('memory', false);
  const collected = await child.ask('memory', true);
  const per = (metric: keyof Memory, now: Memory): number =>
    (now[metric]! - before[metric]!) / connections;
  return {
    resident: per('resident', after),
    ...(after.young !== undefined && { young: per('young', after) }),
    collected: per('resident', collected),
    heap: per('heap', collected),
  };
}

/** A table for each metric, and the resident memory next to that of a bare socket. */
export function memoryTables(results: readonly ContestResult[]): Table[] {
  const absolute = Object.entries(METRICS).map(([metric, [title, note]]) =>
    metricTable(
      { title, unit: 'bytes for each connection', note: `Less is better; ${note}.`, results },
      metric,
    ),
  );
  const ratios = (['resident', 'collected'] as const).map((metric) =>
    contenderTable(
      {
        title: `${METRICS[metric]![0]}, as times that of a bare socket`,
        unit: 'ratio within a generation of processes',
        note: 'Less is better.',
        results: results.filter(({ readings }) => readings['bare'] !== undefined),
      },
      (result, name) => timesBare(result, name, metric),
    ),
  );
  return [...absolute, ...ratios].filter(({ labels }) => labels.length > 0);
}

function timesBare(result: ContestResult, name: string, metric: string) {
  const own = result.readings[name]?.[metric];
  const bare = result.readings['bare']?.[metric];
  return own && bare && spreadOf(own.map(([bytes], process) => bytes! / bare[process]![0]!));
}
