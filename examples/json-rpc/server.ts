// A calculator over JSON-RPC 2.0.
import process from 'node:process';
import { serve } from '@ws/node-server';
import { contract, method, RpcError } from '@ws/rpc';
import * as v from 'valibot';

const TwoNumbers = v.strictTuple([v.number(), v.number()]);
/** An error code of this application. */
const DIVIDED_BY_ZERO = 1;

const calculator = contract({
  server: {
    add: method(TwoNumbers, v.number()),
    divide: method(TwoNumbers, v.number()),
    greet: method(v.strictObject({ name: v.pipe(v.string(), v.maxLength(100)) }), v.string()),
  },
});

const server = await serve(
  { port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1', subprotocols: ['jsonrpc'] },
  calculator.serve({
    add: ([a, b]) => a + b,
    divide: ([a, b]) => {
      if (b === 0) throw new RpcError(DIVIDED_BY_ZERO, 'division by zero');
      return a / b;
    },
    greet: ({ name }) => `hello, ${name}`,
  }),
).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

// `on`, not `once`: the terminal and npm may both send the signal.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void server.close());
}
console.log(server.url);
