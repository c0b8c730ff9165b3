// A client of serveRooms that reads more slowly than its room, until the history has passed it.
import { type Conn, connPair } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { startNode, turns } from './setup.ts';

/** A member that reads nothing until the test reads, in a room that keeps ten messages. */
async function startSlow(state?: (room: string) => unknown) {
  const table = { r: { mayJoin: true, history: { size: 10 }, state } };
  const { hub, errors } = startNode(table, { maxQueuedMessages: 10 });
  const [client, conn] = connPair({ readAhead: 1_000, highWaterMark: 2_000, report: () => {} });
  const session = hub.add(conn as Conn<string>, { data: 'ann' });
  await client.writeJSON({ jsonrpc: '2.0', id: 1, method: 'room.join', params: { room: 'r' } });
  /** What the client gets until a number: the numbers, else the method and its position. */
  const until = async (last: number): Promise<unknown[]> => {
    const items: unknown[] = [];
    while (items.at(-1) !== last) {
      const { method, params } = (await client.readMessage()).json() as {
        method?: string;
        params?: { data: [number]; position: { offset: number } };
      };
      if (method === 'room.message') items.push(params!.data[0]);
      else if (method !== undefined) items.push(`${method} ${params!.position.offset}`);
    }
    return items;
  };
  const publish = async (from: number, to: number): Promise<void> => {
    for (let i = from; i <= to; i++) await hub.room('r').publishJSON([i, 'x'.repeat(10_000)]);
    await turns();
  };
  await turns();
  return { session, errors, until, publish };
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('a client of serveRooms that reads too slowly', () => {
  it('gets a gap for what the history has lost, in its place, and keeps its connection', async () => {
    const { session, errors, until, publish } = await startSlow();
    await publish(1, 60);
    const items = await until(60);
    const last = items.findIndex((item) => typeof item === 'string');
    expect(items).toEqual([...numbers(1, last), `room.gap ${last}`, ...numbers(51, 60)]);
    await publish(61, 70);
    expect(await until(70)).toEqual(numbers(61, 70));
    expect([session.state, errors]).toEqual(['open', []]);
  });

  it('gets the state in place of it in a room with a state', async () => {
    let calls = 0;
    const { session, until, publish } = await startSlow(() => ++calls);
    await publish(1, 60);
    const reading = until(61);
    await expect.poll(() => calls).toBe(2);
    await turns();
    await publish(61, 61);
    const items = await reading;
    const last = items.length - 3;
    expect(items).toEqual(['room.state 0', ...numbers(1, last), 'room.state 60', 61]);
    expect([session.state, calls]).toEqual(['open', 2]);
  });
});
