// The load, in its own process. See `LoadAnswers`.
import { answer } from '../harness/child.ts';
import { type CorpusPlan, makeCorpus } from './corpus.ts';
import type { Checked } from './echo-check.ts';
import { type EchoPlan, makeEchoCorpus } from './echo-corpus.ts';
import { LoadConnection, type Script } from './load-connection.ts';
import { keptReplies, knownReplies, type Replies } from './replies.ts';

/** Number of connections that are opened at a time. */
const PARALLEL_DIALS = 64;
/** Limit for a run without any echo, in ms. */
const STALL_TIMEOUT_MS = 20_000;

/** A request for a group of connections to one server. */
interface OpenRequest {
  readonly port: number;
  readonly connections: number;
  readonly offer: string;
  readonly corpus: CorpusPlan | EchoPlan;
}

/** A request for traffic on all connections of a group, for `ms` or for `each` messages on each. */
interface RunRequest {
  readonly group: number;
  readonly depth: number;
  readonly ms?: number;
  readonly each?: number;
}

/** The result of a run. */
export interface RunResult {
  readonly messages: number;
  /** Bytes of the server's frames. */
  readonly bytes: number;
  readonly ms: number;
  /** CPU of this process, in microseconds. */
  readonly cpu: number;
}

/** The requests that the process answers. */
export type LoadAnswers = {
  /** Returns the number of the group and the agreed extensions. */
  open: (request: OpenRequest) => Promise<{ group: number; agreed: string }>;
  run: (request: RunRequest) => Promise<RunResult>;
  /** Verifies each echo since the last check. */
  check: (group: number) => Checked;
  close: (group: number) => void;
};

const groups: LoadConnection[][] = [];
const corpora = new Map<string, Messages>();

/** Messages, and the handling of the replies of a connection that starts with message `first`. */
interface Messages {
  readonly script: Script;
  readonly repliesFrom: (first: number) => Replies;
}

function messagesOf(plan: CorpusPlan | EchoPlan): Messages {
  const key = JSON.stringify(plan);
  let messages = corpora.get(key);
  if (messages === undefined) corpora.set(key, (messages = makeMessages(plan)));
  return messages;
}

function makeMessages(plan: CorpusPlan | EchoPlan): Messages {
  if ('content' in plan) {
    const script = makeEchoCorpus(plan);
    return { script, repliesFrom: (first) => knownReplies(script, first) };
  }
  const script = makeCorpus(plan);
  return { script, repliesFrom: () => keptReplies(script) };
}

async function open({
  port,
  connections,
  offer,
  corpus,
}: OpenRequest): ReturnType<LoadAnswers['open']> {
  const { script, repliesFrom } = messagesOf(corpus);
  // Neighbours start with different messages, so a reply to the wrong connection is detected.
  const firstOf = (i: number): number => ('content' in corpus ? i % script.count : 0);
  const group: LoadConnection[] = [];
  const answers = new Set<string>();
  while (group.length < connections) {
    const some = Math.min(PARALLEL_DIALS, connections - group.length);
    const opened = await Promise.all(
      Array.from({ length: some }, (_, i) => {
        const first = firstOf(group.length + i);
        return LoadConnection.open(port, offer, script, repliesFrom(first), first);
      }),
    );
    for (const { connection, agreed } of opened) {
      group.push(connection);
      answers.add(agreed);
    }
  }
  return { group: groups.push(group) - 1, agreed: [...answers].join(' or ') };
}

async function run({ group, depth, ms, each }: RunRequest): Promise<RunResult> {
  const connections = groups[group]!;
  const [messages, bytes] = totals(connections);
  const before = process.cpuUsage();
  const began = performance.now();
  if (each === undefined) await timed(connections, depth, ms!);
  else await counted(connections, depth, each);
  const took = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  const [messagesAfter, bytesAfter] = totals(connections);
  return {
    messages: messagesAfter - messages,
    bytes: bytesAfter - bytes,
    ms: took,
    cpu: user + system,
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

/** Runs all connections for `ms`, then waits for the last echo. */
async function timed(
  connections: readonly LoadConnection[],
  depth: number,
  ms: number,
): Promise<void> {
  let open = true;
  const timer = setTimeout(() => {
    open = false;
  }, ms);
  try {
    await runAll(connections, (connection) => traffic(connection, depth, () => open));
  } finally {
    clearTimeout(timer);
  }
}

/** Sends `each` messages on each connection, on at most 32 connections at a time. */
async function counted(
  connections: readonly LoadConnection[],
  depth: number,
  each: number,
): Promise<void> {
  for (let i = 0; i < connections.length; i += 32) {
    await runAll(connections.slice(i, i + 32), (connection) => {
      let left = each;
      return traffic(connection, depth, () => left-- > 0);
    });
  }
}

function traffic(
  connection: LoadConnection,
  depth: number,
  mayContinue: () => boolean,
): Promise<void> {
  return new Promise((onDone, onError) => connection.run({ depth, mayContinue, onDone, onError }));
}

/** Runs the connections, and rejects when no echo arrives for a while. */
async function runAll(
  connections: readonly LoadConnection[],
  start: (connection: LoadConnection) => Promise<void>,
): Promise<void> {
  let stillSince = performance.now();
  let last = -1;
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const [messages] = totals(connections);
      const now = performance.now();
      if (messages !== last) stillSince = now;
      else if (now - stillSince > STALL_TIMEOUT_MS)
        reject(new Error(`no echo for ${STALL_TIMEOUT_MS} ms`));
      last = messages;
    }, 1000);
  });
  try {
    await Promise.race([stalled, Promise.all(connections.map(start))]);
  } finally {
    clearInterval(timer);
  }
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

function close(group: number): void {
  for (const connection of groups[group]!) connection.destroy();
  groups[group] = [];
}

answer({ open, run, check, close } satisfies LoadAnswers);
