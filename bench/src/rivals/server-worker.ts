// A server in its own process. See `ServerAnswers`.
import { answer } from '../harness/child.ts';
import { type Memory, memory, type Usage, usage } from '../harness/usage.ts';
import { listen, type ServerPlan } from './echo-servers.ts';
import { maskOfWs } from './masks.ts';

/** The requests that the process answers. */
export type ServerAnswers = {
  /** Returns the port. */
  listen: (plan: ServerPlan) => Promise<number>;
  mask: (nothing?: undefined) => string;
  usage: (nothing?: undefined) => Usage;
  /** Its memory. Only `collect` triggers a collection, and needs `--expose-gc`. */
  memory: (collect: boolean) => Promise<Memory>;
};

answer({ listen, mask: maskOfWs, usage, memory } satisfies ServerAnswers);
