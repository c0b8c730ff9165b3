import { Child } from '../harness/child.ts';
import type { Cores } from '../harness/cores.ts';
import { type Runtime, RuntimeServer } from '../harness/runtime.ts';
import type { EchoServer } from './echo-servers.ts';
import type { EchoAnswers } from './echo-worker.ts';

/**
 * The echo servers: ours by `receive`, by `for await` and by `readMessage`, the others by their
 * usual way.
 */
export type ContenderName =
  | 'receive'
  | 'loop'
  | 'readMessage'
  | 'ws'
  | 'ws+bufferutil'
  | 'raw'
  | 'bun'
  | 'deno';

/** In the order of the tables. */
export const CONTENDERS: readonly ContenderName[] = [
  'receive',
  'loop',
  'readMessage',
  'ws',
  'ws+bufferutil',
  'raw',
  'bun',
  'deno',
];

/** The cores, runtimes and profiles of a run. */
export interface Environment {
  readonly cores: Cores;
  readonly bun: Runtime | undefined;
  readonly deno: Runtime | undefined;
  /** Folder for CPU profiles of our servers. */
  readonly profile: string | undefined;
}

/** An echo server in its own process. */
export interface Contender {
  readonly port: number;
  /** Microseconds of CPU of the process, all threads together. */
  cpu(): Promise<number>;
  /** Bytes on its heap. Only `collect` triggers a collection. Needs {@link HEAP_FLAGS}. */
  heap(collect: boolean): Promise<number>;
  end(): Promise<void>;
}

/** The work of the application for a message, and the largest message. */
export type Task = Pick<EchoServer, 'text' | 'limit'>;

/** A young generation large enough that no collection happens. */
export const HEAP_FLAGS: readonly string[] = [
  '--expose-gc',
  '--min-semi-space-size=512',
  '--max-semi-space-size=512',
];

/** Whether the contender can run on this machine. */
export function isInstalled(name: ContenderName, { bun, deno }: Environment): boolean {
  return name === 'bun' ? bun !== undefined : name === 'deno' ? deno !== undefined : true;
}

/**
 * Starts a contender on the server's core.
 *
 * @param label - Name of its CPU profile.
 */
export async function startContender(
  name: ContenderName,
  task: Task,
  { cores, bun, deno, profile }: Environment,
  label: string,
  flags: readonly string[] = [],
): Promise<Contender> {
  if (name === 'bun') return runtime(bun!, ['run'], cores);
  if (name === 'deno') return runtime(deno!, ['run', '-A', '--no-config'], cores);
  const ours = name === 'receive' || name === 'loop' || name === 'readMessage';
  const profiled = ours ? [...flags, ...profileFlags(profile, `${label} ${name}`)] : flags;
  const child = new Child<EchoAnswers>('./echo-worker.js', profiled, cores.server, {
    WS_NO_BUFFER_UTIL: name === 'ws+bufferutil' ? '' : '1',
  });
  try {
    const port = await child.ask('listen', {
      library: ours ? 'ours' : name === 'raw' ? 'raw' : 'ws',
      compression: false,
      ...(ours && { way: name }),
      ...task,
    });
    return {
      port,
      cpu: () => child.ask('cpu', undefined),
      heap: (collect) => child.ask('heap', collect),
      end: () => child.end(),
    };
  } catch (error) {
    await child.end();
    throw error;
  }
}

async function runtime(found: Runtime, args: readonly string[], cores: Cores): Promise<Contender> {
  const server = await RuntimeServer.start(found, args, cores.server);
  return {
    port: server.port,
    cpu: () => server.cpu(),
    heap: () => Promise.reject(new Error('the heap of another runtime cannot be measured')),
    end: () => server.end(),
  };
}

/** Flags for node that write a CPU profile at exit. */
export function profileFlags(profile: string | undefined, label: string): string[] {
  if (profile === undefined) return [];
  const name = `${label.replaceAll(/[^\w.]+/g, '-')}.cpuprofile`;
  return ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}`];
}
