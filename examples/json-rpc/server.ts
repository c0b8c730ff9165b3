// A calculator over JSON-RPC 2.0.
import process from 'node:process';
import { serve } from '@ws/node-server';
import * as v from 'valibot';
import { method, Rpc, RpcError } from './rpc.ts';

const TwoNumbers = v.strictTuple([v.number(), v.number()]);
/** An error code of this application. */
const DIVIDED_BY_ZERO = 1;

const methods = {
  add: method(TwoNumbers, ([a, b]) => a + b),
  divide: method(TwoNumbers, ([a, b]) => {
    if (b === 0) throw new RpcError(DIVIDED_BY_ZERO, 'division by zero');
    return a / b;
  }),
  greet: method(v.strictObject({ name: v.pipe(v.string(), v.maxLength(100)) }), ({ name }) => {
    return `hello, ${name}`;
  }),
};

const server = await serve(
  { port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1', subprotocols: ['jsonrpc'] },
  (conn) => new Rpc(conn, methods).serve(),
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
