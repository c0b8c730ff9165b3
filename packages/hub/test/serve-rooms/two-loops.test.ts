// Two loops of one page over a room of two nodes. The node of the page is behind the engine, as with Redis,
// where reads and subscriptions are two connections.
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import type { JoinOptions, RoomMessage } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { startClient, startNode, turns } from './setup.ts';

/** The room `log/1` or `board/1`, with a publisher on another node than the page. */
function start(room: 'log/1' | 'board/1') {
  const broker = new MemoryBroker();
  let count = 0;
  const table = {
    'log/*': { mayJoin: true, history: true },
    'board/*': { mayJoin: true, history: true, state: () => count },
  };
  const [a, b] = [0, 1].map(() => startNode(table, { backplane: memoryBackplane(broker) }));
  const { rooms } = startClient(b!.node);
  const loop = (options?: JoinOptions): string[] => {
    const items: string[] = [];
    void read(rooms.join(room, options) as AsyncIterable<RoomMessage<unknown>>, items);
    return items;
  };
  const publish = async (): Promise<void> => {
    void a!.hub.room(room).publishJSON(++count);
    await turns();
  };
  const last = async () => (await a!.hub.room(room).history()).messages.at(-1)!.position;
  return { broker, loop, publish, last };
}

async function read(loop: AsyncIterable<RoomMessage<unknown>>, items: string[]): Promise<void> {
  for await (const item of loop) {
    items.push(item.kind === 'message' ? String(item.data) : item.kind);
  }
}

const withoutLive = (items: readonly string[]): string[] => items.filter((each) => each !== 'live');

describe('A1 a second loop of a page whose node is behind', () => {
  it('last-ahead: with last, it takes nothing from the first one', async () => {
    const { broker, loop, publish } = start('log/1');
    const one = loop();
    await expect.poll(() => one).toEqual(['live']);
    await publish();
    broker.delay();
    for (let i = 0; i < 3; i++) await publish();
    const two = loop({ last: 1 });
    await expect.poll(() => two).toContain('4');
    broker.release();
    await publish();
    await expect.poll(() => withoutLive(one)).toEqual(['1', '2', '3', '4', '5']);
    await expect.poll(() => withoutLive(two)).toEqual(['4', '5']);
  });

  it.each(['log/1', 'board/1'] as const)(
    'since-ahead: with a since from elsewhere, it takes nothing from the first one: %s',
    async (room) => {
      const { broker, loop, publish, last } = start(room);
      const one = loop();
      await expect.poll(() => one).toContain('live');
      await publish();
      broker.delay();
      await publish();
      const two = loop({ since: await last() });
      await expect.poll(() => two).toContain('live');
      broker.release();
      await publish();
      await expect.poll(() => one.filter((each) => /\d/.test(each))).toEqual(['1', '2', '3']);
      await expect.poll(() => withoutLive(two)).toEqual(['3']);
      expect(one).not.toContain('gap');
    },
  );

  it('two-loops: the first one gets all while others with last come and go', async () => {
    const { broker, loop, publish } = start('log/1');
    const one = loop();
    await expect.poll(() => one).toEqual(['live']);
    const numbers: string[] = [];
    const add = async (): Promise<void> => {
      await publish();
      numbers.push(`${numbers.length + 1}`);
    };
    for (let i = 0; i < 20; i++) {
      await add();
      broker.delay();
      await add();
      await add();
      const other = loop({ last: 1 });
      await expect.poll(() => other.length).toBeGreaterThan(0);
      await add();
      broker.release();
      await turns();
    }
    await expect.poll(() => withoutLive(one)).toEqual(numbers);
  });
});
