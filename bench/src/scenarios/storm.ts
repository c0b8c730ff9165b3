import type { Command, Report, Values } from '../command-line/command.ts';
import { wholeNumber } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { Child } from '../harness/child.ts';
import { chooseCores, coresLine } from '../harness/cores.ts';
import { lackOfPackage } from '../harness/optional-package.ts';
import { type Table, textOf } from '../report/table.ts';
import type { NodeFigures, StormAnswers } from '../rivals/storm-worker.ts';
import { certificate } from '../rivals/tls.ts';

const NODES = 2;
const CLIENTS = 10_000;
/** Messages a second to each node, with a ms of work: 30 % of the core of both. */
const BUSY = 300;
/** Of each node. */
const HANDSHAKES = { perSecond: 150, burst: 150 };
/** Most ms of a storm: without a pace, clients may need as long as their delays. */
const QUIET_MS = 3_000;

const DELAY = 'p99 delay of other messages, ms';
/** What a storm may cost with `handshakes`. */
const BOUNDS = {
  'all back, s': 60,
  [DELAY]: 100,
  'latest turn, ms': 200,
  'refusals a client': 1.5,
} as const;
type Figures = Record<keyof typeof BOUNDS, number>;

const SUMMARY = 'all clients of two busy nodes return at once, with and without handshakes';

const HELP = `ws-bench storm: ${SUMMARY}

usage: ws-bench storm [options]

A third node is killed, and its ${CLIENTS} clients dial two others, which share a core. Each of the two is busy
to 30 % of it with messages. A tenth of the clients are pages, which see no Retry-After. The exit code is 1
when a storm with handshakes: { perSecond: ${HANDSHAKES.perSecond}, burst: ${HANDSHAKES.burst} } exceeds:

${Object.entries(BOUNDS)
  .map(([name, bound]) => `  ${name.padEnd(34)}${bound}`)
  .join('\n')}

options
  --only PART   ws or wss, paced or unpaced; default: all
  --clients N   default: ${CLIENTS}
  --per-second N  handshakes a second of each node; default: ${HANDSHAKES.perSecond}
  --json [FILE]  print one JSON document instead of the table, or write it to FILE besides the table
`;

/** `ws-bench storm`. */
export const storm: Command = {
  summary: SUMMARY,
  help: HELP,
  options: {
    only: { type: 'string', default: '' },
    clients: { type: 'string' },
    'per-second': { type: 'string' },
  },
  common: ['json'],
  run,
};

async function run(values: Values, _words: readonly string[], stop: AbortSignal): Promise<Report> {
  const lack = lackOfPackage('selfsigned');
  if (lack !== undefined) throw new UsageError(`storm: ${lack}`);
  const count = wholeNumber(values, 'clients', CLIENTS, { least: 10, most: 1_000_000 });
  const perSecond = wholeNumber(values, 'per-second', HANDSHAKES.perSecond, {
    least: 1,
    most: 1_000_000,
  });
  const rows = (['ws', 'wss'] as const).flatMap((scheme) =>
    ['paced', 'unpaced'].map((pace) => ({ name: `${scheme}, ${pace}`, scheme, pace })),
  );
  const only = String(values['only'])
    .split(',')
    .map((part) => part.trim());
  const chosen = rows.filter(({ scheme, pace }) =>
    only.every((part) => part === '' || part === scheme || part === pace),
  );
  const results = new Map<string, Figures>();
  for (const { name, scheme, pace } of chosen) {
    if (stop.aborted) break;
    const handshakes = pace === 'paced' ? { ...HANDSHAKES, perSecond } : undefined;
    results.set(name, await stormOf(scheme === 'wss', handshakes, count));
  }
  const missed = [...results].flatMap(([name, figures]) =>
    name.endsWith('unpaced')
      ? []
      : Object.entries(BOUNDS)
          .filter(([figure, bound]) => figures[figure as keyof Figures] > bound)
          .map(([figure, bound]) => `${name}: ${figure} is above ${bound}`),
  );
  const tables = tablesOf(results, count);
  return {
    document: { cores: chooseCores(), tables, missed },
    tables,
    text: [coresLine(chooseCores()), ...tables.map((table) => textOf(table)), ...missed, ''].join(
      '\n',
    ),
    exitCode: missed.length > 0 ? 1 : 0,
    ...(stop.aborted && { endedEarly: `stopped after ${results.size} of ${chosen.length}` }),
  };
}

async function stormOf(
  secure: boolean,
  handshakes: typeof HANDSHAKES | undefined,
  count: number,
): Promise<Figures> {
  const cores = chooseCores();
  const tls = secure ? await certificate() : undefined;
  const start = (core: number | undefined): Child<StormAnswers> =>
    new Child('./storm-worker.js', core);
  const nodes = Array.from({ length: NODES }, () => start(cores.server));
  const [old, sender, clients] = [start(cores.server), start(cores.load), start(cores.load)];
  try {
    const ports = await Promise.all(nodes.map((node) => node.ask('listen', { handshakes, tls })));
    const first = await old.ask('listen', { handshakes: undefined, tls: undefined });
    await clients.ask('open', { count, first, ports, secure });
    await sender.ask('send', { ports, perSecond: BUSY, secure });
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    for (const node of nodes) {
      const { p99 } = await node.ask('figures', undefined);
      // The messages that wait would grow without end.
      if (p99 > BOUNDS[DELAY])
        throw new Error(`the machine is too busy: ${DELAY} ${p99.toFixed()} before the storm`);
    }
    const back = clients.ask('back', undefined);
    await old.end();
    const { ms, refusals } = await back;
    const figures = await Promise.all(nodes.map((node) => node.ask('figures', undefined)));
    const most = (of: (node: NodeFigures) => number): number => Math.max(...figures.map(of));
    return {
      'all back, s': ms / 1_000,
      [DELAY]: most(({ p99 }) => p99),
      'latest turn, ms': most(({ late }) => late),
      'refusals a client': refusals / count,
    };
  } finally {
    await Promise.all([...nodes, old, sender, clients].map((child) => child.end()));
  }
}

function tablesOf(results: ReadonlyMap<string, Figures>, count: number): Table[] {
  const labels = [...results.keys()];
  return (Object.keys(BOUNDS) as (keyof Figures)[]).map((figure) => ({
    title: figure,
    unit: `${count} clients; at most ${BOUNDS[figure]} with handshakes`,
    note: 'Less is better.',
    labels,
    series: [{ name: 'storm', values: labels.map((label) => results.get(label)![figure]) }],
  }));
}
