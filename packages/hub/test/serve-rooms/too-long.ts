import { connPair } from '@ws/conn';
import type { Backplane } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
import { roomsOf } from '@ws/rpc/rooms';
import { expect } from 'vitest';

const ROOMS = 20;
const POISONED = 7;
const LIMIT = 64 * 1024;

/** A client returns to 20 rooms, of which one has a message that is longer than its `readLimit`. */
export async function returnToTooLong(backplane: Backplane | undefined): Promise<void> {
  const history = { size: 1_000, bytes: 16 * 1024 * 1024 };
  const { hub } = serveRooms(
    { 'r/*': { mayJoin: true, mayPublish: true, history } },
    { hub: { backplane } },
  );
  let dials = 0;
  const ends: (() => void)[] = [];
  let open = (): void => {};
  let isOpen = Promise.resolve();
  const live = new ReconnectingConn(
    async () => {
      await isOpen;
      dials++;
      const [client, conn] = connPair({ readLimit: LIMIT, report: () => {} });
      ends.push(() => client.terminate());
      hub.add(conn);
      return client;
    },
    { minDelay: 1, maxDelay: 5 },
  );
  const rooms = roomsOf(live);
  const names = Array.from({ length: ROOMS }, (_, i) => `r/${i}`);
  const got = new Map<string, unknown[]>(names.map((name) => [name, []]));
  for (const name of names) {
    void (async () => {
      for await (const item of rooms.join(name)) {
        if (item.kind === 'live') continue;
        got.get(name)!.push(item.kind === 'message' ? item.data : item.kind);
      }
    })();
  }
  const publish = (value: unknown): Promise<unknown> =>
    Promise.all(names.map((name) => hub.room(name).publishJSON(value)));
  const untilAll = (value: unknown): Promise<void> =>
    expect.poll(() => [...got.values()].every((items) => items.at(-1) === value)).toBe(true);
  await Promise.all(names.map((name) => rooms.publish(name, 'one')));
  await untilAll('one');
  isOpen = new Promise((resolve) => (open = resolve));
  ends.at(-1)!();
  await expect.poll(() => hub.sessions.size).toBe(0);
  await publish('two');
  await hub.room(`r/${POISONED}`).publishJSON('x'.repeat(100_000));
  dials = 0;
  open();
  await expect.poll(() => got.get(`r/${POISONED}`)?.at(-1)).toBe('gap');
  await Promise.all(names.map((name) => rooms.publish(name, 'three')));
  await untilAll('three');
  for (const [name, items] of got) {
    if (name === `r/${POISONED}`) expect(items).toEqual(['one', 'two', 'gap', 'three']);
    else expect([name, items]).toEqual([name, ['one', 'two', 'three']]);
  }
  expect(dials).toBeLessThanOrEqual(5);
  await live.close();
  await hub.close();
}
