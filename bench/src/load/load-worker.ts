// The load, in a process of its own: answers what `LoadAnswers` says.
import { answer } from '../harness/child.ts';
import { type CorpusPlan, makeCorpus } from './corpus.ts';
import type { Checked } from './echo-check.ts';
import { type EchoPlan, makeEchoCorpus } from './echo-corpus.ts';
import { LoadConnection, type Script } from './load-connection.ts';
import { keptReplies, knownReplies, type Replies } from './replies.ts';

/** Connections that are opened at a time. */
const OPENING = 64;
/** How long a run may stand still before it is given up, in ms. */
const STILL = 20_000;

/** A group of connections to one server. */
interface Opening {
  readonly port: number;
  readonly connections: number;
  readonly offer: string;
  readonly corpus: CorpusPlan | EchoPlan;
}

/** Traffic on all connections of a group: for some time, or so many messages each. */
interface Running {
  readonly group: number;
  readonly depth: number;
  readonly ms?: number;
  readonly each?: number;
}

/** What a run came to. */
export interface Ran {
  readonly messages: number;
  /** Bytes of the frames that the server sent. */
  readonly bytes: number;
  readonly ms: number;
  /** What this process took for it, in microseconds. */
  readonly cpu: number;
}

/** What the load process answers. */
export type LoadAnswers = {
  /** Gives the group's number, and what was agreed in the handshakes. */
  open: (opening: Opening) => Promise<{ group: number; agreed: string }>;
  run: (running: Running) => Promise<Ran>;
  /** Verifies each echo since the last check. */
  check: (group: number) => Checked;
  close: (group: number) => void;
};

const groups: LoadConnection[][] = [];
const corpora = new Map<string, Messages>();

/** Messages, and what is done with the replies of a connection that begins with number `first`. */
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
}: Opening): ReturnType<LoadAnswers['open']> {
  const { script, repliesFrom } = messagesOf(corpus);
  // Replies that go to the wrong connection would show: no two neighbours begin with the same message.
  const firstOf = (i: number): number => ('content' in corpus ? i % script.count : 0);
  const group: LoadConnection[] = [];
  const answers = new Set<string>();
  while (group.length < connections) {
    const some = Math.min(OPENING, connections - group.length);
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

async function run({ group, depth, ms, each }: Running): Promise<Ran> {
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

/** Everybody at once for `ms`, and until the last echo is back. */
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
    await moving(connections, (connection) => traffic(connection, depth, () => open));
  } finally {
    clearTimeout(timer);
  }
}

/** So many messages on each connection, and no more than 32 connections at a time. */
async function counted(
  connections: readonly LoadConnection[],
  depth: number,
  each: number,
): Promise<void> {
  for (let i = 0; i < connections.length; i += 32) {
    await moving(connections.slice(i, i + 32), (connection) => {
      let left = each;
      return traffic(connection, depth, () => left-- > 0);
    });
  }
}

function traffic(connection: LoadConnection, depth: number, goesOn: () => boolean): Promise<void> {
  return new Promise((onDone, onError) => connection.run({ depth, goesOn, onDone, onError }));
}

/** Lets them run, as long as something comes back. */
async function moving(
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
      else if (now - stillSince > STILL) reject(new Error('the server echoes nothing any more'));
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
