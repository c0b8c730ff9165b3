// A loss that shows after the answer to a join: no channel sees a loss before its first message.
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { START } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { useFakeTime } from '../nodes.ts';
import { startNode, startRaw, turns } from './setup.ts';

/** A node on an engine that keeps two messages, and that drops some before the node gets them. */
async function startLossy(state?: (room: string) => unknown) {
  const broker = new MemoryBroker();
  const table = { 'log/*': { mayJoin: true, history: { size: 2 }, state } };
  const other = startNode(table, { backplane: memoryBackplane(broker) });
  const backplane = memoryBackplane(broker);
  let drops = false;
  const { node } = startNode(table, {
    backplane: {
      ...backplane,
      start: (sink, id) =>
        backplane.start(
          { ...sink, message: (...args) => void (drops || sink.message(...args)) },
          id,
        ),
    },
  });
  const publish = async (...numbers: number[]): Promise<void> => {
    for (const i of numbers) await other.hub.room('log/1').publishJSON(i);
    await turns();
  };
  /** These messages do not reach the node, the last one does. */
  const lose = async (...numbers: number[]): Promise<void> => {
    drops = true;
    await publish(...numbers.slice(0, -1));
    drops = false;
    await publish(numbers.at(-1)!);
  };
  await publish(1);
  return { node, publish, lose };
}

/** What a client gets: data of messages, else the kind. */
async function nextOf(client: ReturnType<typeof startRaw>): Promise<string> {
  const { method, params } = (await client.next()) as {
    method: string;
    params: { data?: unknown; joining?: boolean; position?: { offset: number } };
  };
  if (method === 'room.message') return String(params.data);
  return `${method} ${params.position?.offset}${params.joining === true ? ' joining' : ''}`;
}

describe('messages that are lost after the answer to a join', () => {
  // A digest must not show the loss before the next message does.
  useFakeTime();

  it('are a gap in their place, and the member goes on', async () => {
    const { node, publish, lose } = await startLossy();
    const client = startRaw(node);
    const { result } = await client.ask('room.join', { room: 'log/1', since: START });
    expect(result).toMatchObject({ complete: false, missed: 1, position: { offset: 1 } });
    await lose(2, 3, 4, 5);
    const items = [];
    for (let i = 0; i < 3; i++) items.push(await nextOf(client));
    expect(items).toEqual(['room.gap 1 joining', '4', '5']);
    await publish(6);
    expect(await nextOf(client)).toBe('6');
    expect(client.session.state).toBe('open');
  });

  it('are a state in their place in a room with a state', async () => {
    let calls = 0;
    const { node, publish, lose } = await startLossy(() => `state ${++calls}`);
    const client = startRaw(node);
    const { result } = await client.ask('room.join', { room: 'log/1' });
    expect(result).toMatchObject({ complete: true, state: true, position: { offset: 1 } });
    await lose(2, 3, 4, 5);
    expect(await nextOf(client)).toMatch(/^room.state/);
    await publish(6);
    let item = await nextOf(client);
    while (item !== '6') item = await nextOf(client);
    expect([calls, client.session.state]).toEqual([2, 'open']);
  });
});
