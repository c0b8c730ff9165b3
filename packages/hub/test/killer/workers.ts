// The cluster of one machine as an engine of the killer: a primary in a process, and its workers.
import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import process from 'node:process';
import { whenOver } from '@ws/tests';
import { LOADER } from '@ws/tests/loader';
import type { Relay } from '../nats/relay.ts';
import type { Launch, NodeProcess } from './fleet.ts';
import type { Kind } from './protocol.ts';
import type { FromPrimary, ToPrimary } from './workers-primary.ts';

/** A worker, which the primary has forked. Its texts come through the primary. It is killed directly. */
class WorkerProcess extends EventEmitter implements NodeProcess {
  readonly #send: (command: unknown) => void;
  readonly #pid: Promise<number>;

  constructor(send: (command: unknown) => void) {
    super();
    this.#send = send;
    this.#pid = once(this, 'pid').then(([pid]) => pid as number);
  }

  send(command: unknown): void {
    this.#send(command);
  }

  kill(signal: NodeJS.Signals): void {
    void this.#pid.then((pid) => killed(pid, signal));
  }

  /** Resolves when the process has ended, also without its primary. */
  async ended(): Promise<void> {
    const pid = await this.#pid;
    while (killed(pid, 0)) await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function killed(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

class Primary {
  #process: ChildProcess | undefined;
  #workers: WorkerProcess[] = [];

  start(): void {
    const started: WorkerProcess[] = [];
    this.#workers = started;
    this.#process = fork(new URL('workers-primary.ts', import.meta.url), {
      execArgv: [...LOADER],
      serialization: 'advanced',
    });
    // A message may come after the primary has ended.
    this.#process.on('message', ({ worker, event, value }: FromPrimary) => {
      started[worker]!.emit(event, value);
    });
  }

  async stop(): Promise<void> {
    const exited = once(this.#process!, 'exit');
    this.#process!.kill('SIGKILL');
    await exited;
    await Promise.all(this.#workers.map((worker) => worker.ended()));
  }

  launch(script: string, args: readonly string[]): WorkerProcess {
    const child = this.#process!;
    const send = (command: ToPrimary): void => void child.send(command, () => {});
    const index = this.#workers.length;
    const worker = new WorkerProcess((command) => send({ worker: index, command }));
    this.#workers.push(worker);
    send({ worker: index, script, args });
    return worker;
  }
}

/** Nodes are workers, and the engine is their primary: when it dies, they do. */
export async function workers() {
  const primary = new Primary();
  primary.start();
  whenOver(() => primary.stop());
  const relay = async (): Promise<Relay> => ({ port: 0 }) as Relay;
  const server = {
    relay,
    stop: () => primary.stop(),
    start: async () => primary.start(),
    signal: () => {},
  };
  const ordered: Kind[] = ['through', 'ordered'];
  const launch: Launch = (script, args) => primary.launch(script, args);
  return { name: 'workers', servers: [server], route: undefined, ordered, launch };
}
