// An echo server in its own process. See `EchoAnswers`.
import { answer } from '../harness/child.ts';
import { cpu, heap, type Memory, memory } from '../harness/usage.ts';
import { type EchoServer, listen } from './echo-servers.ts';

/** The requests that the process answers. */
export type EchoAnswers = {
  /** Returns the port. */
  listen: (server: EchoServer) => Promise<number>;
  /** Microseconds of CPU of this process, all threads together. */
  cpu: (nothing?: undefined) => number;
  /** Its memory after a collection. Needs `--expose-gc`. */
  memory: (nothing?: undefined) => Promise<Memory>;
  /** Bytes on its heap, garbage included. Only `collect` triggers a collection. */
  heap: (collect: boolean) => Promise<number>;
};

answer({ listen, cpu, memory, heap } satisfies EchoAnswers);
