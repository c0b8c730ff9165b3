// A server whose connections all end at once, in its own process. See `EndsAnswers`.
import { answer } from '../harness/child.ts';
import { longestTurn } from '../harness/delay.ts';
import { type Usage, usage } from '../harness/usage.ts';
import type { ContenderName } from './contenders.ts';
import { type EndingServer, listenEnding } from './ends-servers.ts';
import { maskOfWs } from './masks.ts';

/** The requests that the process answers. */
export type EndsAnswers = {
  /** Returns the port. */
  listen: (contender: ContenderName) => Promise<number>;
  mask: (nothing?: undefined) => string;
  usage: (nothing?: undefined) => Usage;
  /** The connections that are open now. */
  open: (nothing?: undefined) => Promise<number>;
  /** The longest turn of the event loop in ms, since the last call. */
  longestTurn: (nothing?: undefined) => number;
  /** Closes the server and all connections by close frames. */
  shut: (nothing?: undefined) => Promise<void>;
};

let server: EndingServer;

answer({
  listen: async (contender) => {
    server = await listenEnding(contender);
    return server.port;
  },
  mask: maskOfWs,
  usage,
  open: () => server.open(),
  longestTurn,
  shut: async () => {
    await server.shut!();
  },
} satisfies EndsAnswers);
