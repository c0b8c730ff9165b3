// A client that is always slower than its rooms, and a state that it cannot take.
import { type Conn, connPair } from '@ws/conn';
import { ReconnectingConn } from '@ws/reconnect';
import { roomsOf } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { nextOf as nextMessageOf } from '../../../rpc/test/pairs.ts';
import { nextOf, startClient, startNode, turns } from './setup.ts';

/** A server by hand, and a client with one loop in each of two rooms. */
function startByHand() {
  const conns: Conn[] = [];
  const live = new ReconnectingConn(
    async () => {
      const [client, server] = connPair({ report: () => {} });
      conns.push(server);
      return client;
    },
    { minDelay: 1, maxDelay: 1 },
  );
  const rooms = roomsOf(live);
  const joins: unknown[] = [];
  const kinds: Record<string, string[]> = { slow: [], other: [] };
  for (const name of ['slow', 'other']) {
    void (async () => {
      for await (const item of rooms.join(name)) {
        if (item.kind !== 'live') kinds[name]!.push(item.kind);
      }
    })();
  }
  /** Answers the joins of the next connection. Only one room has missed messages. */
  const answerJoins = async (number: number): Promise<Conn> => {
    await expect.poll(() => conns.length).toBe(number);
    const server = conns[number - 1]!;
    for (let i = 0; i < 2; i++) {
      const { id, params } = (await nextMessageOf(server)) as {
        id: number;
        params: { room: string; since?: unknown };
      };
      const position = { epoch: 'e', offset: number };
      const missed = params.room === 'slow' && params.since !== undefined ? 1 : 0;
      joins.push([params.room, params.since !== undefined]);
      await server.writeJSON({ jsonrpc: '2.0', id, result: { complete: true, missed, position } });
    }
    await turns();
    return server;
  };
  const close = (): Promise<unknown> => {
    // A server answers a close frame once it has read it.
    for (const server of conns) void server.discardReads().catch(() => {});
    return live.close();
  };
  return { joins, kinds, answerJoins, close };
}

describe('a client whose connections end with 1013', () => {
  it('gives up what it has missed after the third end within a minute, with a gap', async () => {
    const { joins, kinds, answerJoins, close } = startByHand();
    for (let i = 1; i <= 3; i++) await (await answerJoins(i)).close(1013);
    await answerJoins(4);
    expect(joins.slice(0, 2)).toEqual([
      ['slow', false],
      ['other', false],
    ]);
    expect(joins.slice(4, 6).map((join) => (join as [string, boolean])[1])).toEqual([true, true]);
    expect(joins.slice(6)).toEqual([
      ['slow', false],
      ['other', true],
    ]);
    expect(kinds).toEqual({ slow: ['gap'], other: [] });
    await close();
  });

  it('does not count an end before a join was answered', async () => {
    const { joins, kinds, answerJoins, close } = startByHand();
    await (await answerJoins(1)).close(1013);
    await (await answerJoins(2)).close(1013);
    const conn = await answerJoins(3);
    conn.terminate();
    await answerJoins(4);
    expect(joins.slice(6).every((join) => (join as [string, boolean])[1])).toBe(true);
    expect(kinds).toEqual({ slow: [], other: [] });
    await close();
  });
});

describe('a state that the client cannot take', () => {
  it('ends the loop with a JSONError when it does not fit the schema', async () => {
    const { hub } = startNode({ r: { history: true, mayJoin: true, state: () => 'text' } });
    const other = new ReconnectingConn(async () => {
      const [client, conn] = connPair();
      hub.add(conn as never);
      return client;
    });
    const loop = roomsOf(other, { schemas: { r: { state: z.number() } } }).join('r');
    await expect(loop.next()).rejects.toMatchObject({ name: 'JSONError' });
    expect((await loop.next()).done).toBe(true);
    await other.close();
  });

  it('ends the loop with a CloseError 1009 when it is longer than readLimit', async () => {
    const state = (): string => 'x'.repeat(5_000);
    const table = { history: true, mayJoin: true } as const;
    const { node, hub } = startNode({ long: { ...table, state }, short: table });
    const { rooms } = startClient(node, 'ann', { readLimit: 1_000 });
    const short = rooms.join('short');
    await expect(rooms.join('long').next()).rejects.toMatchObject({ closeCode: 1009 });
    await hub.room('short').publishJSON(1);
    expect(await nextOf(short)).toMatchObject({ data: 1 });
  });
});
