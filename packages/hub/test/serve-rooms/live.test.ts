// `live` in a room without history, over a backplane.
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { useFakeTime, wait } from '../nodes.ts';
import { startClient, startNode, turns } from './setup.ts';

useFakeTime();

const TABLE = { 'chat/*': { mayJoin: true } };

/** A node whose subscriptions wait for the test, and another node on the same broker. */
function startNodes() {
  const broker = new MemoryBroker();
  const held: (() => void)[] = [];
  const inner = memoryBackplane(broker);
  const backplane = {
    ...inner,
    async subscribe(channel: string) {
      if (channel !== 'all') await new Promise<void>((resolve) => held.push(resolve));
      await inner.subscribe(channel);
    },
  };
  const { node } = startNode(TABLE, { backplane });
  const other = startNode(TABLE, { backplane: memoryBackplane(broker) });
  const { rooms } = startClient(node);
  const items: unknown[] = [];
  const read = (): void => {
    void (async () => {
      for await (const item of rooms.join('chat/1')) {
        items.push(item.kind === 'message' ? item.data : item.kind);
      }
    })();
  };
  const subscribe = async (): Promise<void> => {
    for (const each of held.splice(0)) each();
    await turns();
  };
  return { broker, other, items, read, subscribe };
}

describe('A8 live in a room without history', () => {
  it('comes when the node has subscribed: what other nodes publish then arrives', async () => {
    const { other, items, read, subscribe } = startNodes();
    await turns();
    read();
    await turns();
    await wait(4_000);
    expect(items).toEqual([]);
    await subscribe();
    expect(items).toEqual(['live']);
    await other.hub.room('chat/1').publishJSON({ text: '1' });
    await turns();
    expect(items).toEqual(['live', { text: '1' }]);
  });

  it('comes after 5 s when the engine does not answer the subscription', async () => {
    const { items, read } = startNodes();
    await turns();
    read();
    await turns();
    await wait(5_000);
    expect(items).toEqual(['live']);
  });

  it('comes at once while the engine is away', async () => {
    const { broker, items, read } = startNodes();
    await turns();
    broker.disconnect();
    read();
    await turns();
    expect(items).toEqual(['live']);
  });

  it('comes at once for a second member', async () => {
    const { items, read, subscribe } = startNodes();
    await turns();
    read();
    await turns();
    await subscribe();
    read();
    await turns();
    expect(items).toEqual(['live', 'live']);
  });
});
