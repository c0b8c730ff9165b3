import type { Contest, ContestResult, Reading, Running } from '../harness/runner.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import type { ContenderName } from '../rivals/contenders.ts';
import type { ServerAnswers } from '../rivals/server-worker.ts';
import { type Environment, maskOf, type Scenario, startChild } from './scenario.ts';

/** Connections of a window: few enough that the ports of this machine suffice. */
const CONNECTIONS: readonly number[] = [200, 2000];
/** Masks and corks change nothing here. */
const BASE = 'ws';
const CONTENDERS: readonly ContenderName[] = [
  'receive',
  'loop',
  'serveRaw',
  BASE,
  'bun',
  'bare',
  'raw1',
];
/** Openings before the first reading. V8 still compiles then: they cost up to four times as much. */
const WARM_UP = 4000;
/** No message is sent. */
const NOTHING: EchoPlan = { content: 'binary', sizes: [1], count: 1, fragments: 1, raw: false };

/** Openings of a fresh process that `--cold` measures, in windows of the first of {@link CONNECTIONS}. */
const COLD_OPENINGS = 2000;

/** `ws-bench handshakes --cold`. */
const handshakesCold: Scenario = {
  name: 'handshakes',
  summary: `the first ${COLD_OPENINGS} openings of a fresh process, with their closes`,
  help: '',
  full: { processes: 9, rounds: 1, ms: 0, warmUpMs: 0 },
  minutes: 1,
  quick: { processes: 3, rounds: 1, ms: 0, warmUpMs: 0 },
  contests: (environment) => [
    { ...handshakeContest(environment, CONNECTIONS[0]!, COLD_OPENINGS), once: true },
  ],
  tables,
};

/** `ws-bench handshakes`. */
export const handshakes: Scenario = {
  name: 'handshakes',
  summary: 'openings and closes per CPU second, next to ws and to a bare upgraded socket',
  help: `Opens ${CONNECTIONS.join(' or ')} connections, then closes all of them by a close handshake. The CPU of the server is read
before, between and after.

  serveRaw  ours without node:http: @ws/node-server/raw
  bare      a socket from the 'upgrade' event of Node's http server: it parses no frame, and echoes
            the close frame as bytes
  raw1      the same without Node's http server, and all sockets read into one buffer
`,
  full: { processes: 3, rounds: 3, ms: 0, warmUpMs: 0 },
  minutes: 2,
  quick: { processes: 1, rounds: 2, ms: 0, warmUpMs: 0 },
  variants: { cold: handshakesCold },
  contests: (environment) => CONNECTIONS.map((count) => handshakeContest(environment, count)),
  tables,
};

/** @param cold - Openings of the only window of a process, without a warm-up. Default: warm. */
function handshakeContest(environment: Environment, connections: number, cold = 0): Contest {
  const name = cold === 0 ? `${connections} connections` : `first ${cold}`;
  return {
    name,
    contenders: CONTENDERS,
    async start(contender): Promise<Running> {
      const started = startChild<ServerAnswers>('./server-worker.js', contender, name, environment);
      const { child } = started;
      const port = await child.ask('listen', { contender: started.name as ContenderName });
      const window = (): Promise<Reading> =>
        openAndClose(environment, port, connections, () => child.ask('usage', undefined));
      const end = (): Promise<void> => child.end();
      if (cold > 0) return { window: () => meanOf(window, cold / connections), end };
      for (let opened = 0; opened < WARM_UP; opened += connections) await window();
      return { mask: await maskOf(started.name, child), window, end };
    },
  };
}

/** The means of several windows. */
async function meanOf(window: () => Promise<Reading>, count: number): Promise<Reading> {
  let [open, both] = [0, 0];
  for (let i = 0; i < count; i++) {
    const reading = await window();
    open += reading['open']! / count;
    both += reading['both']! / count;
  }
  return { open, both };
}

async function openAndClose(
  { load }: Environment,
  port: number,
  connections: number,
  usage: () => Promise<{ readonly cpu: number }>,
): Promise<Reading> {
  const before = await usage();
  const request = { target: { port }, connections, corpus: NOTHING };
  const { group } = await load.ask('open', request);
  const opened = await usage();
  await load.ask('close', group);
  const closed = await usage();
  return {
    open: (opened.cpu - before.cpu) / connections,
    both: (closed.cpu - before.cpu) / connections,
  };
}

function tables(results: readonly ContestResult[]): Table[] {
  const rows = [
    ['open', 'openings'],
    ['both', 'openings with closes'],
  ] as const;
  return rows.flatMap(([metric, what]) => [
    ratioTable(
      {
        title: what,
        unit: `${what} per CPU second of the server, relative to ${BASE}`,
        note: 'More is better.',
        results,
      },
      BASE,
      metric,
    ),
    metricTable(
      { title: `CPU of ${what}`, unit: 'µs of the server', note: 'Less is better.', results },
      metric,
    ),
  ]);
}
