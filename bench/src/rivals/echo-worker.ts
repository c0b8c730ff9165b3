// An echo server in a process of its own: answers what `EchoAnswers` says.
import { answer } from '../harness/child.ts';
import { cpu, heap, type Memory, memory } from '../harness/usage.ts';
import { type EchoServer, listen } from './echo-servers.ts';

/** What a server's process answers. */
export type EchoAnswers = {
  /** Gives the port. */
  listen: (server: EchoServer) => Promise<number>;
  /** Microseconds of CPU that this process has taken, all of its threads together. */
  cpu: (nothing?: undefined) => number;
  /** Its memory once the garbage is gone. Needs `--expose-gc`. */
  memory: (nothing?: undefined) => Promise<Memory>;
  /** Bytes on its heap, garbage or not, nothing collected but at the question that says so. */
  heap: (collect: boolean) => Promise<number>;
};

answer({ listen, cpu, memory, heap } satisfies EchoAnswers);
