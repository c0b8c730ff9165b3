// A loop over calls that have nothing to do any more lets timers run.
import { describe, expect, it } from 'vitest';
import { type Conn, connPair } from '../../src/index.ts';

const CALLS: Record<string, (conn: Conn) => Promise<unknown>> = {
  receive: (conn) => conn.receive(() => {}),
  discardReads: (conn) => conn.discardReads(),
  'for await': async (conn) => {
    for await (const _message of conn);
  },
  next: (conn) => conn[Symbol.asyncIterator]().next(),
  close: (conn) => conn.close(),
};

describe('after a normal end', () => {
  it.each(Object.entries(CALLS))('a loop over %s lets a timer fire', async (_name, call) => {
    const [client, server] = connPair();
    void client.discardReads();
    void server.discardReads();
    await client.close();
    await server.closed;
    let fired = false;
    setTimeout(() => (fired = true), 10);
    while (!fired) await call(server);
    expect(fired).toBe(true);
  });
});
