// A hub drops answers to a client that reads too slowly. They are sent again, within a bound.
import { connPair } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { contract, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { until } from './pairs.ts';
import { turn } from './stream-pairs.ts';

const any = {
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
} as const;
const names = contract({ server: { echo: method(any, any) } });
const REQUESTS = 600;
/** Size of each request and of its answer. All answers are 6 MB, of which 1 MiB may wait. */
const SIZE = 10_000;

describe('M2 a hub with latest', () => {
  /** A client that sends requests and reads nothing. */
  async function flood(name: string) {
    const hub = new Hub({ overflow: 'latest', maxQueuedMessages: 8 });
    hub.on('error', () => {});
    hub.on('message', names.listener<Session>({ echo: (value) => value }));
    const [client, conn] = connPair();
    hub.add(conn);
    const ids = Array.from({ length: REQUESTS }, (_, i) => `${i}`.padEnd(SIZE, 'x'));
    for (const id of ids) {
      void client.writeJSON({ jsonrpc: '2.0', id, method: name, params: [] }).catch(() => {});
    }
    for (let i = 0; i < 1_000; i++) await turn();
    return { hub, client, conn, ids };
  }

  it('reads no more from a client that reads no answers; later each has an answer', async () => {
    const { hub, client, conn, ids } = await flood('echo');
    expect(conn.stats.messagesIn).toBeLessThan(REQUESTS - 50);
    const answered: string[] = [];
    void client.receive((message) => {
      answered.push((message.json() as { id: string }).id);
    });
    await until(() => expect(answered.length).toBeGreaterThanOrEqual(REQUESTS));
    expect(answered.toSorted()).toEqual(ids.toSorted());
    await client.close();
    await hub.close();
  });

  it.each(['$/alive', 'unknown'])(
    'ends the connection of a client that sends %s and reads nothing, above 1 MiB',
    async (name) => {
      const { hub, client, conn } = await flood(name);
      expect(conn.state).not.toBe('open');
      client.terminate();
      await hub.close();
    },
  );
});
