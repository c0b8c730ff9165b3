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
  it.each(['$/alive', 'unknown', 'echo'])(
    'reads no more from a client that sends %s and reads nothing; later each has an answer',
    async (name) => {
      const hub = new Hub({ overflow: 'latest', maxQueuedMessages: 8 });
      hub.on('error', () => {});
      hub.on('message', names.listener<Session>({ echo: (value) => value }));
      const [client, conn] = connPair();
      hub.add(conn);
      let written = 0;
      const ids = Array.from({ length: REQUESTS }, (_, i) => `${i}`.padEnd(SIZE, 'x'));
      for (const id of ids) {
        void client
          .writeJSON({ jsonrpc: '2.0', id, method: name, params: [] })
          .then(() => written++);
      }
      for (let i = 0; i < 1_000; i++) await turn();
      expect(written).toBeGreaterThan(0);
      expect(written).toBeLessThan(REQUESTS / 2);
      const answered: string[] = [];
      void client.receive((message) => {
        answered.push((message.json() as { id: string }).id);
      });
      await until(() => expect(answered.length).toBeGreaterThanOrEqual(REQUESTS));
      expect(answered.toSorted()).toEqual(ids.toSorted());
      await client.close();
      await hub.close();
    },
  );
});
