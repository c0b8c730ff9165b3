// Takes each order once: also when its client sends it again, and when this process is killed.
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { type BorrowedMessage, CloseCode, serve } from '@ws/node-server';
import { Journal, type Order } from './journal.ts';

const MINUTE = 60_000;
const { PORT = '0', ORDERS = join(tmpdir(), 'orders.jsonl') } = process.env;

const journal = await Journal.open(ORDERS, 60 * MINUTE);
const forgetting = setInterval(() => journal.forget(Date.now()), MINUTE);

const server = await serve(
  { port: Number(PORT), host: '127.0.0.1', readLimit: 64 * 1024, rate: { messages: 1_000 } },
  (conn) =>
    conn.receive((message) => {
      const order = orderOf(message);
      if (order === undefined) {
        return void conn.close(CloseCode.InvalidFramePayloadData, 'expected {"id":…,"text":…}');
      }
      // On a full disk it throws: 1011, and the client sends the order again.
      journal.take(order);
      // Also when it was taken before: the first acknowledgement was lost.
      return conn.writeJSON({ taken: order.id });
    }),
).catch((error: Error) => {
  // The message is enough, for example when the port is in use.
  console.error(String(error));
  process.exit(1);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    clearInterval(forgetting);
    void server.close();
  });
}
console.log(`${server.url} takes orders into ${ORDERS}`);

function orderOf(message: BorrowedMessage): Order | undefined {
  try {
    const { id, text } = message.json() as Partial<Order>;
    if (typeof id === 'string' && id.length <= 36 && typeof text === 'string') return { id, text };
  } catch {
    // Not JSON, or null.
  }
  return undefined;
}
