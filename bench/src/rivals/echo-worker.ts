// An echo server in a process of its own: answers what `EchoAnswers` says.
import { setTimeout as sleep } from 'node:timers/promises';
import { answer } from '../harness/child.ts';
import { type EchoServer, listen } from './echo-servers.ts';

/** What a server's process answers. */
export type EchoAnswers = {
  /** Gives the port. */
  listen: (server: EchoServer) => Promise<number>;
  /** Microseconds of CPU that this process has taken, all of its threads together. */
  cpu: (nothing?: undefined) => number;
  /** Its resident memory in bytes, once the garbage is gone. Needs `--expose-gc`. */
  memory: (nothing?: undefined) => Promise<number>;
};

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function memory(): Promise<number> {
  // What a collection lets go of is freed in later turns, and some of it by other threads.
  for (let i = 0; i < 4; i++) {
    globalThis.gc!();
    await sleep(50);
  }
  return process.memoryUsage.rss();
}

answer({ listen, cpu, memory } satisfies EchoAnswers);
