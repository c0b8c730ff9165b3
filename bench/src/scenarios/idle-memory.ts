import type { Child } from '../harness/child.ts';
import type { Cores } from '../harness/cores.ts';
import type { Memory } from '../harness/usage.ts';
import type { CorpusPlan } from '../load/corpus.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import type { EchoServer, Library } from '../rivals/echo-servers.ts';
import { OFFERS, startServer } from './deflate-speed.ts';

const RUN_PATIENCE = 3_600_000;
const SIZE = 1024;
/** What a socket that knows no frames is sent. */
const RAW: EchoPlan = { content: 'ascii', size: SIZE, count: 256, fragments: 1, raw: true };
/**
 * Bring a server's code into memory before anything counts, and what it compresses with. Where it compresses nothing
 * this is little: traffic leaves the heap with room to spare, and so many of those that are measured would cost nothing.
 */
const WARM_CONNECTIONS = 16;
const WARM_MESSAGES = { compressed: 1000, plain: 10 } as const;
/**
 * A young generation that cannot grow: by default traffic makes it 30 MiB, on either side and whether there are ten
 * connections or ten thousand.
 */
const FLAGS: readonly string[] = ['--expose-gc', '--max-semi-space-size=1'];

/** What a connection's memory is spent on. */
export type MemoryMode = 'uncompressed' | 'shared' | 'takeover 4 KiB' | 'takeover 32 KiB';

/** What is measured, and with which compression. */
export interface MemorySubject {
  readonly mode: MemoryMode;
  readonly library: Library | 'bare';
}

/** Bytes that the server grew by for each connection. */
interface MemoryStages {
  /** Connected, nothing sent. */
  readonly open: number;
  /** After one echo each. */
  readonly afterOne: number;
  /** After 40 more. */
  readonly afterMany: number;
}

/** Of resident memory; and of the JavaScript heap alone, which is the same at every run. */
export interface MemoryResult extends MemorySubject, MemoryStages {
  readonly agreed: string;
  readonly heap: MemoryStages;
}

/** What is measured, each in a process of its own. */
export const MEMORY_SUBJECTS: readonly MemorySubject[] = [
  { mode: 'uncompressed', library: 'ours' },
  { mode: 'uncompressed', library: 'ws' },
  { mode: 'shared', library: 'ours' },
  { mode: 'shared', library: 'ws' },
  { mode: 'takeover 4 KiB', library: 'ours' },
  { mode: 'takeover 4 KiB', library: 'ws' },
  { mode: 'takeover 32 KiB', library: 'ours' },
  { mode: 'takeover 32 KiB', library: 'ws' },
];

interface Mode {
  readonly offer: string;
  readonly corpus: CorpusPlan | EchoPlan;
  readonly compression: EchoServer['compression'];
}

/** How a mode is brought about: by the same offer for both libraries, and the same answer. */
function modeOf({ mode, library }: MemorySubject): Mode {
  const corpus = { size: SIZE, count: 256, windowBits: 15 };
  // What each library does by itself.
  const level = library === 'ours' ? 1 : 6;
  switch (mode) {
    case 'uncompressed':
      return {
        offer: '',
        corpus: library === 'bare' ? RAW : { ...corpus, context: 'none' },
        compression: false,
      };
    case 'shared':
      return {
        offer: OFFERS.shared,
        corpus: { ...corpus, context: 'shared' },
        compression: { mode: 'shared', level },
      };
    case 'takeover 4 KiB':
      return {
        // Our default answer to this is 12; ws has to be told.
        offer: `${OFFERS.takeover}; client_max_window_bits`,
        corpus: { ...corpus, context: 'takeover', windowBits: 12 },
        compression: {
          mode: 'takeover',
          level,
          ...(library === 'ws' && { clientMaxWindowBits: 12 }),
        },
      };
    case 'takeover 32 KiB':
      return {
        offer: OFFERS.takeover,
        corpus: { ...corpus, context: 'takeover' },
        compression: { mode: 'takeover', level },
      };
  }
}

/**
 * Measures one subject in a fresh process.
 *
 * @param others - So many connections are there before, after one echo each. They take what the process had to spare.
 */
export async function measureMemory(
  load: Child<LoadAnswers>,
  cores: Cores,
  subject: MemorySubject,
  connections: number,
  others = 0,
): Promise<MemoryResult> {
  const { offer, corpus, compression } = modeOf(subject);
  const server = startServer(cores, subject, FLAGS);
  try {
    const port = await server.ask('listen', { library: subject.library, compression });
    const memory = (): Promise<Memory> => server.ask('memory', undefined);
    const echo = async (group: number, each: number): Promise<void> => {
      await load.ask('run', { group, depth: 1, each }, RUN_PATIENCE);
      await load.ask('check', group, RUN_PATIENCE);
    };

    const warm = await load.ask('open', { port, connections: WARM_CONNECTIONS, offer, corpus });
    await echo(warm.group, compression === false ? WARM_MESSAGES.plain : WARM_MESSAGES.compressed);
    await load.ask('close', warm.group);
    const openGroup = (count: number): Promise<{ group: number; agreed: string }> =>
      load.ask('open', { port, connections: count, offer, corpus }, RUN_PATIENCE);
    const standing = await openGroup(others);
    await echo(standing.group, 1);
    const before = await memory();
    const { group, agreed } = await openGroup(connections);
    const perConnection = async (): Promise<Memory> => {
      const { resident, heap } = await memory();
      return {
        resident: (resident - before.resident) / connections,
        heap: (heap - before.heap) / connections,
      };
    };
    const open = await perConnection();
    await echo(group, 1);
    const afterOne = await perConnection();
    await echo(group, 40);
    const afterMany = await perConnection();
    await load.ask('close', group);
    await load.ask('close', standing.group);
    return {
      ...subject,
      agreed,
      open: open.resident,
      afterOne: afterOne.resident,
      afterMany: afterMany.resident,
      heap: { open: open.heap, afterOne: afterOne.heap, afterMany: afterMany.heap },
    };
  } finally {
    await server.end();
  }
}
