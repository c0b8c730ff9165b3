import type { LoadProgress, Opened, ShareResult } from '../client/load-run.ts';
import type { ClientAnswers } from '../client/load-url-worker.ts';
import type { LoadPlan } from '../client/plan.ts';
import { type Failure, Tally } from '../client/tally.ts';
import type { Command, Report, Values } from '../command-line/command.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { Child } from '../harness/child.ts';
import { withoutQuery } from '../report/head.ts';
import { LoadBar } from '../report/progress-bar.ts';
import { LOAD_OPTIONS, readPlan, readWorkers } from './load-options.ts';
import { type LoadResult, loadReport, resultOf } from './load-report.ts';

/** Redraw interval of the bar, in ms. */
const UPDATE_INTERVAL_MS = 200;
/** No limit for the command's own processes: they limit every wait themselves. */
const ANSWER_TIMEOUT_MS = 2 ** 31 - 1;

const SUMMARY = `load for any echo server, with every echo verified: latency by percentile,
throughput over time, errors by kind`;

const HELP = `ws-bench load: ${SUMMARY}

usage: ws-bench load <url> [options]

  ws-bench load ws://127.0.0.1:8080 --connections 64 --depth 16 --payload 16
  ws-bench load wss://example.org/echo --rate 2000 --duration 30s --html report.html

The server must echo each message. By default each echo triggers the next message, with --depth
messages in flight on each connection (a closed loop): this measures how much a server can do. With
--rate, messages become due at fixed moments, whatever the server does, and latency counts from that
moment. So the latency includes the wait of messages that a stalled server held up.

Each message is different. Errors are: an echo that differs, is missing, is a duplicate, is out of
order, or takes longer than --timeout; a connection that cannot be opened or ends early. Errors are
counted by kind, and the exit code is 1 for any error. Throughput counts correct echoes. Latency counts
correct echoes, and messages without an echo in time with the time waited. Ctrl-C ends the load early
and prints the results so far.

options
  --connections N    default: 50
  --payload SIZE     of each message: 125, 16KiB, 1MiB; default: 128 bytes. From 4 bytes on all echoes
                     are distinguishable
  --depth N          maximum number of messages in flight on a connection; default: 1, and with --rate
                     1000 or 16 MiB
  --rate N           messages per second of all connections together; default: a closed loop
  --duration TIME    10s, 500ms, 2m; in seconds without a unit; default: 10s
  --timeout TIME     limit for a handshake and for an echo; default: 10s
  --text, --binary   the type of the messages; default: binary. Text is JSON-like ASCII
  --compression      offer permessage-deflate; the report shows the server's answer
  --insecure         accept any certificate of a wss server
  --header 'N: V'    send this header in the handshake; may be repeated
  --subprotocol NAME offer this subprotocol; may be repeated, the preferred one first
  --workers N        number of processes that share the connections; default: half of the cores. The
                     report warns when they were the bottleneck
  --json [FILE]      print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE        write a page with charts
`;

/** `ws-bench load <url>`. */
export const load: Command = {
  summary: SUMMARY,
  help: HELP,
  options: LOAD_OPTIONS,
  common: ['json', 'html'],
  words: { name: 'url', least: 1, most: 1 },
  run,
};

type Worker = Child<ClientAnswers>;

async function run(values: Values, [url]: readonly string[]): Promise<Report> {
  const plan = readPlan(url!, values);
  const of = readWorkers(values, plan.connections);
  const workers = Array.from(
    { length: of },
    () => new Child<ClientAnswers>('./load-url-worker.js', [], undefined),
  );
  const interrupt = new Interrupt(workers);
  try {
    const opened = await Promise.all(
      workers.map((worker, index) => worker.ask('open', { plan, index, of }, ANSWER_TIMEOUT_MS)),
    );
    const refused = opened.find((one) => one.refused !== undefined)?.refused;
    if (refused !== undefined) throw new UsageError(refused);
    if (!opened.some(({ open }) => open > 0))
      throw noConnectionError(plan, opened, interrupt.happened);
    const shares = await drive(workers, plan);
    return loadReport(combine(plan, shares, interrupt.happened));
  } finally {
    interrupt.end();
    await Promise.all(workers.map((worker) => worker.end()));
  }
}

/** Runs the workers, with a progress bar on a terminal. */
async function drive(workers: readonly Worker[], plan: LoadPlan): Promise<ShareResult[]> {
  const bar = new LoadBar(plan.durationMs);
  let updating = false;
  const update = async (): Promise<void> => {
    if (updating) return;
    updating = true;
    const parts = await Promise.all(
      workers.map((worker) => worker.ask('progress', undefined, ANSWER_TIMEOUT_MS)),
    );
    bar.show(parts.reduce(sum));
    updating = false;
  };
  // A process that exits rejects its `run` too, and that rejection counts.
  const timer = setInterval(() => void update().catch(() => {}), UPDATE_INTERVAL_MS);
  try {
    return await Promise.all(
      workers.map((worker) => worker.ask('run', undefined, ANSWER_TIMEOUT_MS)),
    );
  } finally {
    clearInterval(timer);
    bar.end();
  }
}

function sum(a: LoadProgress, b: LoadProgress): LoadProgress {
  return { echoed: a.echoed + b.echoed, errors: a.errors + b.errors, open: a.open + b.open };
}

function combine(plan: LoadPlan, shares: readonly ShareResult[], interrupted: boolean): LoadResult {
  const tally = new Tally();
  for (const share of shares) tally.add(share.tally);
  return resultOf(plan, tally, {
    ms: Math.max(...shares.map(({ ms }) => ms)),
    opened: shares.reduce((all, { opened }) => all + opened, 0),
    extensions: [...new Set(shares.flatMap(({ extensions }) => extensions))],
    busy: shares.map(({ busy }) => busy),
    abandoned: shares.reduce((all, { abandoned }) => all + abandoned, 0),
    interrupted,
  });
}

/** The error for a load without any open connection. */
function noConnectionError(
  { url }: LoadPlan,
  opened: readonly Opened[],
  interrupted: boolean,
): Error {
  if (interrupted) return new Error('interrupted before a connection was open');
  const failures: [string, Failure][] = opened.flatMap(({ failures }) => Object.entries(failures));
  const [kind, { example }] = failures[0] ?? ['connect: failed', { example: 'no reason given' }];
  const advice = kind.endsWith('ECONNREFUSED')
    ? '; no server listens there'
    : kind.startsWith('handshake')
      ? '; is it a WebSocket server, and is the path right?'
      : '';
  return new Error(`no connection to ${withoutQuery(url)}: ${example}${advice}`);
}

/** Ends the load early on the first Ctrl-C, and the process on the second. */
class Interrupt {
  happened = false;
  readonly #workers: readonly Worker[];
  readonly #listener = (): void => {
    if (this.happened) process.exit(130);
    this.happened = true;
    for (const worker of this.#workers) void worker.ask('stop', undefined).catch(() => {});
  };

  constructor(workers: readonly Worker[]) {
    this.#workers = workers;
    process.on('SIGINT', this.#listener).on('SIGTERM', this.#listener);
  }

  end(): void {
    process.off('SIGINT', this.#listener).off('SIGTERM', this.#listener);
  }
}
