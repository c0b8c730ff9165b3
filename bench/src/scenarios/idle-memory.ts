import type { Child } from '../harness/child.ts';
import type { Cores } from '../harness/cores.ts';
import type { Memory } from '../harness/usage.ts';
import type { CorpusPlan } from '../load/corpus.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import type { EchoServer, Library } from '../rivals/echo-servers.ts';
import { OFFERS, startServer } from './deflate-speed.ts';

const RUN_TIMEOUT_MS = 3_600_000;
const SIZE = 1024;
/** The traffic for a socket without frames. */
const RAW: EchoPlan = { content: 'ascii', size: SIZE, count: 256, fragments: 1, raw: true };
/**
 * Traffic that loads the server's code and its compressors before the measurement. It is little
 * without compression: more would leave free space on the heap, and the measured connections would
 * fill that at no cost.
 */
const WARM_CONNECTIONS = 16;
const WARM_MESSAGES = { compressed: 1000, plain: 10 } as const;
/**
 * A young generation that cannot grow. By default traffic grows it to 30 MiB in both libraries, for
 * ten connections as for ten thousand.
 */
const FLAGS: readonly string[] = ['--expose-gc', '--max-semi-space-size=1'];

/** The compression of a connection. */
export type MemoryMode = 'uncompressed' | 'shared' | 'takeover 4 KiB' | 'takeover 32 KiB';

/** A library and its compression. */
export interface MemorySubject {
  readonly mode: MemoryMode;
  readonly library: Library | 'bare';
}

/** Growth of the server's memory in bytes for each connection. */
interface MemoryStages {
  /** After the handshake. */
  readonly open: number;
  /** After one echo on each connection. */
  readonly afterOne: number;
  /** After 40 more echoes. */
  readonly afterMany: number;
}

/**
 * Growth of resident memory. `heap` is the growth of the JavaScript heap, which hardly differs
 * between runs.
 */
export interface MemoryResult extends MemorySubject, MemoryStages {
  readonly agreed: string;
  readonly heap: MemoryStages;
}

/** The subjects, each in its own process. */
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

/**
 * The offer, corpus and options of a mode. Both libraries get the same offer and give the same
 * answer.
 */
function modeOf({ mode, library }: MemorySubject): Mode {
  const corpus = { size: SIZE, count: 256, windowBits: 15 };
  // The default level of each library.
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
        // Our default answer is 12. ws needs an option for it.
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
 * @param others - Number of connections before the measured ones, with one echo each. They fill the
 *   free space of the process.
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
      await load.ask('run', { group, depth: 1, each }, RUN_TIMEOUT_MS);
      await load.ask('check', group, RUN_TIMEOUT_MS);
    };

    const warm = await load.ask('open', { port, connections: WARM_CONNECTIONS, offer, corpus });
    await echo(warm.group, compression === false ? WARM_MESSAGES.plain : WARM_MESSAGES.compressed);
    await load.ask('close', warm.group);
    const openGroup = (count: number): Promise<{ group: number; agreed: string }> =>
      load.ask('open', { port, connections: count, offer, corpus }, RUN_TIMEOUT_MS);
    const earlier = await openGroup(others);
    await echo(earlier.group, 1);
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
    await load.ask('close', earlier.group);
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
