// What ended waits and ended sessions leave in memory.
import { queryObjects } from 'node:v8';
import { BackplaneError, Hub } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { describe, expect, it } from 'vitest';
import { collectGarbage } from '../../../tests/kit/heap.ts';
import { alone, enter, turns, useFakeTime, wait } from './nodes.ts';
import { startRaw } from './serve-rooms/setup.ts';

useFakeTime();

/** How many of the objects are still in memory. */
async function kept(held: readonly WeakRef<object>[]): Promise<number> {
  for (let i = 0; i < 4; i++) {
    collectGarbage();
    await turns();
  }
  return held.filter((each) => each.deref() !== undefined).length;
}

describe('A4 a wait that ends by its timeout', () => {
  const rooms = { r: { history: true, delivery: 'through' } } as const;
  const never = (): Promise<never> => new Promise(() => {});
  const outages: Record<string, () => Promise<Hub>> = {
    'the engine is away': async () => {
      const { hub, broker } = alone({ rooms });
      await turns();
      broker.disconnect();
      return hub;
    },
    'the engine never starts': async () => alone({ rooms }, () => ({ start: never })).hub,
    'the engine never subscribes': async () => alone({ rooms }, () => ({ subscribe: never })).hub,
  };

  /** How many errors of timeouts stay in memory after 100 calls that failed. */
  async function errorsAfter(call: () => void): Promise<number> {
    const count = (): number => queryObjects(BackplaneError, { format: 'count' });
    const before = count();
    for (let i = 0; i < 100; i++) call();
    await wait(16_000);
    return count() - before;
  }

  it.each(Object.entries(outages))('leaves nothing of a join while %s', async (_, start) => {
    const hub = await start();
    const { session } = enter(hub);
    const errors = await errorsAfter(() => {
      session.join('r', { since: { epoch: 'e', offset: 1 } }).catch(() => {});
      session.leave('r');
    });
    expect(errors).toBeLessThan(10);
  });

  it('leaves nothing of a question to nodes that are not known yet', async () => {
    const { hub } = alone({}, () => ({ start: never }));
    const errors = await errorsAfter(() => void hub.everywhere.count('r').catch(() => {}));
    expect(errors).toBeLessThan(10);
  });
});

describe('A5 a question that is pending', () => {
  // The application keeps its questions, as a pool of connections to a database does.
  const pool: Promise<boolean>[] = [];
  const mayJoin = (): Promise<boolean> => {
    const asked = new Promise<boolean>(() => {});
    pool.push(asked);
    return asked;
  };

  it('ends with its session, in a hub', async () => {
    const hub = new Hub({ mayJoin });
    const held: WeakRef<object>[] = [];
    const visit = (): void => {
      const { client, session } = enter(hub);
      held.push(new WeakRef(session));
      session.join('r').catch(() => {});
      client.terminate();
    };
    for (let i = 0; i < 100; i++) visit();
    await turns();
    expect(await kept(held)).toBeLessThan(10);
  });

  it.each(['mayJoin', 'mayPublish', 'schema'])('ends with its session: %s', async (name) => {
    const schema = { '~standard': { version: 1, vendor: 'test', validate: mayJoin } } as never;
    const rules = {
      mayJoin: { mayJoin },
      mayPublish: { mayJoin: true, mayPublish: mayJoin },
      schema: { mayJoin: true, mayPublish: true, schema },
    }[name]!;
    const node = serveRooms({ r: rules }, { timeout: 50 });
    node.hub.on('error', () => {});
    const held: WeakRef<object>[] = [];
    const visit = async (): Promise<void> => {
      const { client, session, send } = startRaw(node as never);
      held.push(new WeakRef(session));
      await send('room.join', { room: 'r' }, 1);
      await send('room.publish', { room: 'r', id: 'A'.repeat(22), data: 1 }, 2);
      await turns();
      client.terminate();
    };
    for (let i = 0; i < 100; i++) await visit();
    // The signs of life of a connection have a timer of 1.9 s.
    await wait(5_000);
    expect(await kept(held)).toBeLessThan(10);
  });
});
