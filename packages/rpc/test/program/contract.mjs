// The contract of the programs on each runtime, and of the pages and clients of the tests.
import { contract, event, method, stream } from '@ws/rpc';
import { z } from 'zod';

export const chat = contract({
  server: {
    say: method(z.object({ text: z.string() }), z.object({ user: z.string(), text: z.string() })),
    ask: method(z.undefined(), z.boolean()),
    fail: method(z.undefined(), z.undefined()),
    slow: method(z.undefined(), z.undefined()),
    aborted: method(z.undefined(), z.number()),
    sum: method(z.object({ count: z.number() }), z.number()),
    count: stream(
      z.object({ to: z.number(), pad: z.number() }),
      z.object({ n: z.number(), pad: z.string() }),
    ),
    typing: event(z.object({ room: z.string() })),
  },
  client: {
    typed: event(z.object({ room: z.string() })),
    confirm: method(z.object({ question: z.string() }), z.boolean()),
    frames: stream(z.object({ count: z.number() }), z.number()),
  },
});
