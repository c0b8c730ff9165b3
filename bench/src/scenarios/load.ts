import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command, Report, Values } from '../command-line/command.ts';
import { list } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { Child } from '../harness/child.ts';
import { unlessStopped } from '../harness/interruption.ts';
import { MachineWatch } from '../harness/machine-watch.ts';
import type { Target } from '../load/handshake.ts';
import type { LoadAnswers, RunResult } from '../load/load-worker.ts';
import type { ScriptAnswers } from '../load/script-worker.ts';
import { durationOf, type Stages } from '../load/stages.ts';
import type { Threshold } from '../load/thresholds.ts';
import type { UsersResult } from '../load/users.ts';
import { LiveLine } from '../report/progress-bar.ts';
import {
  corpusOf,
  type LoadPlan,
  planOf,
  RATE_DEPTH,
  stagesOf,
  targetOf,
  thresholdsOf,
  usersTargetOf,
} from './load-plan.ts';
import { reportOf, scatters } from './load-report.ts';

/** Time between two lines of progress, in ms. */
const PROGRESS_MS = 500;

const SUMMARY =
  'load for any echo server, with every byte verified, or for any server by a script:\nrate and latency by percentile';

const HELP = `ws-bench load: ${SUMMARY.replace('\n', ' ')}

usage: ws-bench load <url> [options]

  ws-bench load ws://127.0.0.1:8080 --connections 64 --depth 16 --payload 16
  ws-bench load wss://example.org/echo --rate 2000 --duration 30s
  ws-bench load ws://127.0.0.1:8080 --stage 10s:50 --stage 30s:50 --threshold 'p95<50'
  ws-bench load ws://127.0.0.1:8080/chat --script chat.mjs

Without a script the server must echo each message as one frame. By default each echo sends the next
message, with --depth messages in flight on each connection (a closed loop): this measures how much a
server can do. With --rate, messages become due at fixed moments, whatever the server does, and latency
counts from that moment. So it includes the wait of messages that a stalled server held up. The first
wrong, missing or surplus byte ends the run.

options
  --connections N  default: 50
  --payload SIZE   of each message: 125, 16KiB, 1MiB; default: 128 bytes
  --text           send text, of several scripts; default: binary
  --depth N        messages in flight on a connection; default: 1, and with --rate ${RATE_DEPTH}
  --rate N         messages per second of all connections together; default: a closed loop
  --duration TIME  10s, 500ms, 2m; in seconds without a unit; default: 10s
  --header 'N: V'  send this header in the handshake; may be repeated
  --script FILE    a module whose default export is the work of one user; see below
  --stage T:N[@R]  ramp to N connections in the time T, and to R messages per second; may be repeated.
                   The first one begins with none
  --threshold 'X'  such as 'p95<50' (ms; also p50, p90, p99, p99.9, max), 'rate>1000', 'errors<1%'; may
                   be repeated. A missed one is exit code 99. Default: 'errors==0'
  --json [FILE]    print one JSON document instead of text, or write it to FILE besides the text
  --html FILE      also write a page with charts of rate and latency, for a browser
  --history        compare with earlier results of the same command on this machine; kept in
                   ~/.cache/ws-bench/history.jsonl (or below $XDG_CACHE_HOME)

A script, with one message in flight on each connection:

  export const options = {
    stages: [{ duration: '10s', connections: 50, rate: 500 }],
    thresholds: ['p95<50', 'errors<1%'],
  };
  export default async function (user) {
    const socket = await user.connect();      // { path, subprotocols, headers }
    while (await user.next()) {               // waits for its turn at a rate; false at the end
      socket.send('ping');                    // a string or bytes
      await socket.expect('pong');            // text, bytes, a RegExp, a function, or nothing
    }                                         // { timeout: 5000, skip: true } skips other messages
  }

Each user calls the function again when it returns. With --script and --stage an error is counted, and its
user begins again half a second later; the run goes on, unless the first connection fails. Options of
the command line win over those of the script. A certificate of a wss server is not checked.
`;

/** `ws-bench load <url>`. */
export const load: Command = {
  summary: SUMMARY,
  help: HELP,
  options: {
    connections: { type: 'string' },
    payload: { type: 'string' },
    text: { type: 'boolean' },
    depth: { type: 'string' },
    rate: { type: 'string' },
    duration: { type: 'string' },
    header: { type: 'string', multiple: true },
    script: { type: 'string' },
    stage: { type: 'string', multiple: true },
    threshold: { type: 'string', multiple: true },
  },
  common: ['json', 'html', 'history'],
  words: { name: 'url', least: 1, most: 1 },
  run,
};

async function run(values: Values, [url]: readonly string[], stop: AbortSignal): Promise<Report> {
  const target = targetOf(url!, list(values['header']));
  const plan = planOf(values, url!);
  const thresholds = thresholdsOf(values, {});
  if (plan.script !== undefined && !existsSync(plan.script)) {
    throw new UsageError(`--script: there is no file '${plan.script}'`);
  }
  const ofUsers = plan.script !== undefined || plan.stages !== undefined;
  try {
    return ofUsers
      ? await loadOfUsers(plan, values, url!, stop)
      : await loadOfEchoes(plan, target, thresholds, stop);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new Error(`${plan.url}: ${(error as Error).message}`, { cause: error });
  }
}

async function loadOfEchoes(
  plan: LoadPlan,
  target: Target,
  thresholds: readonly Threshold[],
  stop: AbortSignal,
): Promise<Report> {
  const { connections, depth, ms, rate } = plan;
  const watch = await MachineWatch.start();
  const child = new Child<LoadAnswers>('./load-worker.js', undefined);
  try {
    const corpus = corpusOf(plan);
    const opened = await unlessStopped(child.ask('open', { target, connections, corpus }), stop);
    if (opened === undefined) return notBegun(plan);
    const { group } = opened;
    const running = child.ask('run', { group, depth, ms, rate, keeps: true });
    const onStop = (): void => void child.ask('stop', undefined).catch(() => {});
    const ran = await withProgress(running, ms, { stop, onStop }, async () => ({
      messages: await child.ask('progress', group),
      connections,
      errors: 0,
    }));
    // Nothing was measured.
    if (ran.fault !== undefined && ran.messages === 0) throw new Error(ran.fault);
    return {
      ...reportOf(plan, ran, thresholds),
      warnings: warningsOf(watch, plan, ran),
      ...stoppedAfter(stop, ran, ms),
    };
  } finally {
    await ended(child, stop);
  }
}

async function loadOfUsers(
  plan: LoadPlan,
  values: Values,
  url: string,
  stop: AbortSignal,
): Promise<Report> {
  const child = new Child<ScriptAnswers>('./script-worker.js', undefined);
  try {
    const options =
      plan.script === undefined
        ? (await child.ask('echo', corpusOf(plan)), {})
        : await child.ask('script', plan.script);
    const stages: Stages = stagesOf(plan, values, options);
    const thresholds = thresholdsOf(values, options);
    const watch = await MachineWatch.start();
    const target = usersTargetOf(url, list(values['header']));
    const running = child.ask('run', { target, stages });
    const onStop = (): void => void child.ask('stop', undefined).catch(() => {});
    const ms = durationOf(stages);
    const ran = await withProgress(running, ms, { stop, onStop }, () =>
      child.ask('progress', undefined),
    );
    const isEmpty = ran.messages === 0 && ran.errors === 0;
    if (isEmpty && plan.script === undefined && !stop.aborted) {
      throw new Error('no echo arrived: the stages are too short');
    }
    const ranPlan = stages.connections > 0 ? plan : { ...plan, stages: stages.stages };
    return {
      ...reportOf(ranPlan, ran, thresholds),
      warnings: warningsOf(watch, ranPlan, ran),
      ...stoppedAfter(stop, ran, ms),
    };
  } finally {
    await ended(child, stop);
  }
}

/** A stopped process does not wait for its children. */
async function ended(child: { end(): Promise<void> }, stop: AbortSignal): Promise<void> {
  if (!stop.aborted) await child.end();
}

function stoppedAfter(stop: AbortSignal, { ms }: { ms: number }, planned: number) {
  if (!stop.aborted) return {};
  return { endedEarly: `stopped after ${Math.round(ms / 1000)} of ${Math.ceil(planned / 1000)} s` };
}

function notBegun(plan: LoadPlan): Report {
  return { document: { plan }, tables: [], text: '', endedEarly: 'stopped before the load' };
}

function warningsOf(watch: MachineWatch, plan: LoadPlan, ran: RunResult | UsersResult): string[] {
  return [
    ...watch.end([], true),
    ...(scatters(plan, ran)
      ? ['the rate changed by more than half during the load; see the rate over time']
      : []),
  ];
}

interface Counts {
  readonly messages: number;
  readonly connections: number;
  readonly errors: number;
}

/** Shows the progress of a load until it ends. The abort of `stop` calls `onStop`. */
async function withProgress<T>(
  running: Promise<T>,
  ms: number,
  { stop, onStop }: { readonly stop: AbortSignal; readonly onStop: () => void },
  ask: () => Promise<Counts>,
): Promise<T> {
  const line = new LiveLine();
  const began = performance.now();
  let [last, before] = [began, 0];
  let over = false;
  const ended = running.finally(() => {
    over = true;
  });
  ended.catch(() => {});
  stop.addEventListener('abort', onStop, { once: true });
  if (stop.aborted) onStop();
  try {
    for (;;) {
      await Promise.race([ended, sleep(PROGRESS_MS, undefined, { ref: false })]);
      if (over) return await ended;
      const { messages, connections, errors } = await ask();
      const now = performance.now();
      const rate = Math.round((1000 * (messages - before)) / (now - last));
      [last, before] = [now, messages];
      const faults = errors === 0 ? '' : `, ${errors} errors`;
      line.show(
        `${Math.round((now - began) / 1000)} of ${Math.ceil(ms / 1000)} s: ${rate} messages per second on ${connections} connections${faults}`,
      );
    }
  } finally {
    stop.removeEventListener('abort', onStop);
    line.end();
  }
}
