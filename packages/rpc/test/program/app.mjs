// One program for Node, Bun, Deno, Workers and Durable Objects. `../runtimes.slow.test.ts` runs it.
import { admit, upgrade } from '@ws/fetch';
import { Hub } from '@ws/hub';
import { RpcError } from '@ws/rpc';
import { chat } from './contract.mjs';

let aborted = 0;

const handlers = {
  say: ({ text }, { auth }) => ({ user: auth.name, text }),
  ask: (_, { peer }) => peer.confirm({ question: 'sure?' }),
  fail: () => {
    throw new RpcError(7, 'no', { why: 'seven' });
  },
  slow: (_, { signal }) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(void aborted++));
    }),
  aborted: () => aborted,
  async *count({ to, pad }, { signal }) {
    try {
      for (let n = 0; n < to; n++) yield { n, pad: 'x'.repeat(pad) };
    } finally {
      if (signal.aborted) aborted++;
    }
  },
  sum: async ({ count }, { peer }) => {
    let sum = 0;
    for await (const n of peer.frames({ count })) sum += n;
    return sum;
  },

  typing: ({ room }, { peer }) => void peer.typed({ room }),
};

const hub = new Hub();
hub.on('message', chat.listener(handlers));

const routes = { '/serve': chat.serve(handlers), '/hub': hub.handler };

export default {
  fetch: (request, server) => {
    const { pathname, searchParams } = new URL(request.url);
    const authenticate = () => admit({ name: searchParams.get('name') ?? 'nobody' });
    return upgrade(request, { server, authenticate }, routes[pathname]);
  },
};
