// A proxy in its own process. See `ProxyAnswers`.
import { answer } from '../harness/child.ts';
import { type Memory, memory, type Usage, usage } from '../harness/usage.ts';
import { type ProxyName, startProxy } from './proxies.ts';

/** The requests that the process answers. */
export type ProxyAnswers = {
  /** Returns the port. */
  proxy: (plan: { readonly name: ProxyName; readonly target: number }) => Promise<number>;
  usage: (nothing?: undefined) => Usage;
  /** Its memory. Only `collect` triggers a collection, and needs `--expose-gc`. */
  memory: (collect: boolean) => Promise<Memory>;
};

answer({
  proxy: ({ name, target }) => startProxy(name, target),
  usage,
  memory,
} satisfies ProxyAnswers);
