// The load, in its own process. See `LoadAnswers`.
import { answer } from '../harness/child.ts';
import { type CorpusPlan, makeCorpus } from './corpus.ts';
import type { Checked } from './echo-check.ts';
import { type EchoPlan, makeEchoCorpus } from './echo-corpus.ts';
import type { Target } from './handshake.ts';
import { IntervalLatencies, type Latencies, type Percentiles } from './latencies.ts';
import { LoadConnection, type Traffic } from './load-connection.ts';
import { pace } from './pace.ts';
import type { Pieces } from './pieces.ts';
import { keptReplies, knownReplies, type Replies } from './replies.ts';
import { type Interval, Series } from './series.ts';

/** Number of connections that are opened at a time. */
const PARALLEL_DIALS = 128;
/** Number of connections that a counted run uses at a time. */
const PARALLEL_RUNS = 32;
/** Limit for a run without any echo, in ms. */
const STALL_TIMEOUT_MS = 20_000;

/** A request for a group of connections to one server. */
interface OpenRequest {
  readonly target: Target;
  readonly connections: number;
  readonly corpus: CorpusPlan | EchoPlan;
}

/**
 * A request for traffic on all connections of a group: for `ms`, at a `rate` or as a closed loop, or
 * for `each` messages on each connection.
 */
interface RunRequest {
  readonly group: number;
  readonly depth: number;
  readonly ms?: number;
  readonly each?: number;
  /** Fewest messages of a closed loop: it lasts longer than `ms` for them. Default: 0. */
  readonly least?: number;
  /** Messages per second of all connections together. */
  readonly rate?: number | undefined;
  /**
   * Whether the figures count although the run fails or is stopped, and latencies are recorded by
   * interval too. A rate always records latencies, as a whole.
   */
  readonly keeps?: boolean;
}

/** The result of a run. */
export interface RunResult {
  readonly messages: number;
  /** Bytes of the server's frames. */
  readonly bytes: number;
  readonly ms: number;
  /** CPU of this process, in microseconds. */
  readonly cpu: number;
  readonly latency?: Percentiles;
  /** Delay of the load itself, at a rate. */
  readonly late?: Percentiles;
  readonly series?: readonly Interval[];
  /** The error that ended the run. */
  readonly fault?: string;
}

/** The requests that the process answers. */
export type LoadAnswers = {
  /** Returns the number of the group and the agreed extensions. */
  open: (request: OpenRequest) => Promise<{ group: number; agreed: string }>;
  run: (request: RunRequest) => Promise<RunResult>;
  /** Number of echoes so far. */
  progress: (group: number) => number;
  /** Ends a run that keeps its figures, and answers it. */
  stop: (nothing?: undefined) => void;
  /** Verifies each echo since the last check. */
  check: (group: number) => Checked;
  /** Ends all connections without a close handshake. */
  drop: (group: number) => void;
  /** Closes all connections by a close handshake. */
  close: (group: number) => Promise<void>;
};

const groups: LoadConnection[][] = [];
const corpora = new Map<string, Messages>();

/** Messages, and the handling of the replies of a connection that starts with message `first`. */
interface Messages {
  readonly frames: Pieces;
  readonly repliesFrom: (first: number) => Replies;
  /** Whether every connection starts with the first message. */
  readonly aligned: boolean;
}

function messagesOf(plan: CorpusPlan | EchoPlan): Messages {
  const key = JSON.stringify(plan);
  let messages = corpora.get(key);
  if (messages === undefined) corpora.set(key, (messages = makeMessages(plan)));
  return messages;
}

function makeMessages(plan: CorpusPlan | EchoPlan): Messages {
  if ('content' in plan) {
    const { frames, replies } = makeEchoCorpus(plan);
    return {
      frames,
      repliesFrom: (first) => knownReplies(replies, first),
      aligned: false,
    };
  }
  const corpus = makeCorpus(plan);
  return {
    frames: corpus.frames,
    repliesFrom: () => keptReplies(corpus),
    aligned: true,
  };
}

async function open({ target, connections, corpus }: OpenRequest): ReturnType<LoadAnswers['open']> {
  const { frames, repliesFrom, aligned } = messagesOf(corpus);
  const group: LoadConnection[] = [];
  const answers = new Set<string>();
  while (group.length < connections) {
    const some = Math.min(PARALLEL_DIALS, connections - group.length);
    const opened = await Promise.all(
      Array.from({ length: some }, (_, i) => {
        // Neighbours start with different messages, so a reply to the wrong connection is detected.
        const first = aligned ? 0 : (group.length + i) % frames.count;
        return LoadConnection.open(target, frames, repliesFrom(first), first);
      }),
    );
    for (const { connection, agreed } of opened) {
      group.push(connection);
      answers.add(agreed);
    }
  }
  return { group: groups.push(group) - 1, agreed: [...answers].join(' or ') };
}

let stopRun = (): void => {};

async function run({
  group,
  depth,
  ms,
  each,
  rate,
  keeps,
  least = 0,
}: RunRequest): Promise<RunResult> {
  const connections = groups[group]!;
  const latencies = keeps === true || rate !== undefined ? new IntervalLatencies() : undefined;
  const [messages, bytes] = totals(connections);
  const before = process.cpuUsage();
  const began = performance.now();
  const counts = () => ({ messages: totals(connections)[0] - messages });
  const series = keeps === true ? new Series(ms!, latencies!, counts) : undefined;
  let late: Latencies | undefined;
  let fault: string | undefined;
  const stopped = new Promise<void>((resolve) => {
    stopRun = resolve;
  });
  const traffic = async (): Promise<void> => {
    if (each !== undefined) await counted(connections, depth, each);
    else if (rate === undefined) await timed(connections, { depth, ms: ms!, least }, latencies);
    else late = await paced(connections, depth, ms!, rate, latencies!);
  };
  try {
    await Promise.race([traffic(), stopped]);
  } catch (error) {
    if (keeps !== true) throw error;
    fault = (error as Error).message;
  }
  const took = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  const [messagesAfter, bytesAfter] = totals(connections);
  const intervals = series?.end();
  return {
    messages: messagesAfter - messages,
    bytes: bytesAfter - bytes,
    ms: took,
    cpu: user + system,
    ...(latencies !== undefined && { latency: latencies.percentiles() }),
    ...(late !== undefined && { late: late.percentiles() }),
    ...(intervals !== undefined && { series: intervals }),
    ...(fault !== undefined && { fault }),
  };
}

function totals(connections: readonly LoadConnection[]): [messages: number, bytes: number] {
  let messages = 0;
  let bytes = 0;
  for (const connection of connections) {
    messages += connection.echoed;
    bytes += connection.bytes;
  }
  return [messages, bytes];
}

/** Runs all connections for `ms` and at least `least` messages, then waits for the last echo. */
async function timed(
  connections: readonly LoadConnection[],
  { depth, ms, least }: { depth: number; ms: number; least: number },
  latencies: Latencies | undefined,
): Promise<void> {
  const end = totals(connections)[0] + least;
  let [open, over] = [true, false];
  const timer = setTimeout(() => {
    over = true;
  }, ms);
  const mayContinue = (): boolean => {
    open &&= !over || totals(connections)[0] < end;
    return open;
  };
  try {
    await settled(connections, (connection, callbacks) =>
      connection.run({ depth, mayContinue, latencies, ...callbacks }),
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Sends at a fixed rate for `ms`, then waits for the last echo. */
async function paced(
  connections: readonly LoadConnection[],
  depth: number,
  ms: number,
  rate: number,
  latencies: Latencies,
): Promise<Latencies> {
  const ends: (() => void)[] = [];
  let planned = false;
  const mayContinue = (): boolean => false;
  const all = settled(connections, (connection, { onDone, onError }) => {
    const end = (): void => {
      if (planned && connection.idle) onDone();
    };
    ends.push(end);
    connection.pace({ depth, mayContinue, latencies, onDone: end, onError });
  });
  const pacing = pace(connections, rate, ms).finally(() => {
    planned = true;
    for (const end of ends) end();
  });
  const [late] = await Promise.all([pacing, all]);
  return late;
}

/** Sends `each` messages on each connection. */
async function counted(
  connections: readonly LoadConnection[],
  depth: number,
  each: number,
): Promise<void> {
  for (let i = 0; i < connections.length; i += PARALLEL_RUNS) {
    await settled(connections.slice(i, i + PARALLEL_RUNS), (connection, callbacks) => {
      let left = each;
      connection.run({ depth, mayContinue: () => left-- > 0, ...callbacks });
    });
  }
}

/** Starts the connections and waits for all. Rejects when no echo arrives for a while. */
async function settled(
  connections: readonly LoadConnection[],
  start: (connection: LoadConnection, callbacks: Pick<Traffic, 'onDone' | 'onError'>) => void,
): Promise<void> {
  let stillSince = performance.now();
  let last = -1;
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const [messages] = totals(connections);
      const now = performance.now();
      if (messages !== last) stillSince = now;
      else if (now - stillSince > STALL_TIMEOUT_MS) {
        reject(new Error(`no echo for ${STALL_TIMEOUT_MS} ms`));
      }
      last = messages;
    }, 1000);
  });
  const all = connections.map(
    (connection) => new Promise<void>((onDone, onError) => start(connection, { onDone, onError })),
  );
  try {
    await Promise.race([stalled, Promise.all(all)]);
  } finally {
    clearInterval(timer);
  }
}

function progress(group: number): number {
  return totals(groups[group]!)[0];
}

function check(group: number): Checked {
  let messages = 0;
  let compressed = 0;
  for (const connection of groups[group]!) {
    const checked = connection.check();
    messages += checked.messages;
    compressed += checked.compressed;
  }
  return { messages, compressed };
}

function drop(group: number): void {
  for (const connection of groups[group]!) connection.destroy();
  groups[group] = [];
}

async function close(group: number): Promise<void> {
  const connections = groups[group]!;
  groups[group] = [];
  for (let i = 0; i < connections.length; i += PARALLEL_DIALS) {
    const some = connections.slice(i, i + PARALLEL_DIALS);
    await Promise.all(some.map((connection) => connection.close()));
  }
}

answer({
  open,
  run,
  progress,
  stop: () => stopRun(),
  check,
  drop,
  close,
} satisfies LoadAnswers);
