import type { Opened, ShareResult, Standing } from '../client/load-run.ts';
import type { ClientAnswers } from '../client/load-url-worker.ts';
import type { LoadPlan } from '../client/plan.ts';
import { type Failure, Tally } from '../client/tally.ts';
import { Child } from '../harness/child.ts';
import { withoutQuery } from '../report/head.ts';
import { LoadBar } from '../report/load-bar.ts';
import { UsageError } from '../usage-error.ts';
import { LOAD_OPTIONS, readPlan, readWorkers } from './load-options.ts';
import { type LoadResult, loadReport, resultOf } from './load-report.ts';
import type { Report, Scenario, Values } from './scenario.ts';

/** How often the bar moves, in ms. */
const GLANCE = 200;
/** How patient the command is with its own processes: they bound every wait themselves. */
const PATIENCE = 2 ** 31 - 1;

const SUMMARY = `echoes against anyone's server, every one of them verified: latency by
percentile, throughput over time, errors by kind`;

const HELP = `ws-bench load: ${SUMMARY}

usage: ws-bench load <url> [options]

  ws-bench load ws://127.0.0.1:8080 --connections 64 --depth 16 --payload 16
  ws-bench load wss://example.org/echo --rate 2000 --duration 30s --html report.html

The server must send each message back. As a rule the next message leaves when an echo is back, --depth
of them at a time on each connection (a closed loop): that finds out how much a server can do. With
--rate messages become due at fixed moments, whatever the server does, and latency counts from the
moment at which a message was due: one that had to wait because the server stalled has waited.

Each message is another one. An echo that differs is an error, and so is one that is missing, comes
twice, comes out of order, or takes longer than --timeout; so is a connection that cannot be opened or
ends early. Errors are counted by kind, and the exit code is 1 when there were any. Throughput is of
right echoes only; latency is theirs, and that of messages that had not come back in time, which count
with the time they were waited for. Ctrl-C ends the load early and prints what there is.

options
  --connections N    50
  --payload SIZE     of each message: 125, 16KiB, 1MiB; 128 bytes. From 4 on all echoes can be told apart
  --depth N          the most messages in flight on a connection; 1, and with --rate 1000, or 16 MiB
  --rate N           messages per second, of all connections together; default: as many as come back
  --duration TIME    10s, 500ms, 2m; without unit in seconds; 10s
  --timeout TIME     for a handshake, and for an echo; 10s
  --text, --binary   the type of the messages; binary. Text is ASCII that looks like JSON
  --compression      offer permessage-deflate; the report says what the server made of it
  --insecure         take any certificate of a wss server
  --header 'N: V'    send this header in the handshake; may be given again
  --subprotocol NAME offer it; may be given again, the most wanted first
  --workers N        processes that share the connections; half of the cores. The report warns when they
                     had no time left
  --json [FILE]      print one JSON document instead of tables, or write it to a file besides
  --html FILE        write a page with charts
`;

/** `ws-bench load <url>`. */
export const load: Scenario = {
  summary: SUMMARY,
  help: HELP,
  options: LOAD_OPTIONS,
  common: ['json', 'html'],
  argument: 'url',
  run,
};

type Worker = Child<ClientAnswers>;

async function run(values: Values): Promise<Report> {
  const plan = readPlan(values);
  const of = readWorkers(values, plan.connections);
  const workers = Array.from(
    { length: of },
    () => new Child<ClientAnswers>('./load-url-worker.js', [], undefined),
  );
  const interrupt = new Interrupt(workers);
  try {
    const opened = await Promise.all(
      workers.map((worker, index) => worker.ask('open', { plan, index, of }, PATIENCE)),
    );
    const refused = opened.find((one) => one.refused !== undefined)?.refused;
    if (refused !== undefined) throw new UsageError(refused);
    if (!opened.some(({ open }) => open > 0)) throw nobody(plan, opened, interrupt.happened);
    const shares = await drive(workers, plan);
    return loadReport(combine(plan, shares, interrupt.happened));
  } finally {
    interrupt.end();
    await Promise.all(workers.map((worker) => worker.end()));
  }
}

/** Until everybody is done, with a bar where a person is watching. */
async function drive(workers: readonly Worker[], plan: LoadPlan): Promise<ShareResult[]> {
  const bar = new LoadBar(plan.durationMs);
  let glancing = false;
  const glance = async (): Promise<void> => {
    if (glancing) return;
    glancing = true;
    const standings = await Promise.all(
      workers.map((worker) => worker.ask('standing', undefined, PATIENCE)),
    );
    bar.show(standings.reduce(sum));
    glancing = false;
  };
  // A process that is gone rejects its `run` as well, which is the one that counts.
  const timer = setInterval(() => void glance().catch(() => {}), GLANCE);
  try {
    return await Promise.all(workers.map((worker) => worker.ask('run', undefined, PATIENCE)));
  } finally {
    clearInterval(timer);
    bar.end();
  }
}

function sum(a: Standing, b: Standing): Standing {
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

/** What to say when not one connection is open. */
function nobody({ url }: LoadPlan, opened: readonly Opened[], interrupted: boolean): Error {
  if (interrupted) return new Error('interrupted before a connection was open');
  const failures: [string, Failure][] = opened.flatMap(({ failures }) => Object.entries(failures));
  const [kind, { example }] = failures[0] ?? ['connect: failed', { example: 'no reason given' }];
  const advice = kind.endsWith('ECONNREFUSED')
    ? '; nobody listens there'
    : kind.startsWith('handshake')
      ? '; is it a WebSocket server, and is the path right?'
      : '';
  return new Error(`no connection to ${withoutQuery(url)}: ${example}${advice}`);
}

/** Ctrl-C: the load ends early; the second time at once. */
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
