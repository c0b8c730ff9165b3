// Pages of one version of a contract at nodes of another one.
import { type Conn, connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { type RoomRules, serveRooms } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { ReconnectingConn } from '@ws/reconnect';
import { contract, event, method, OutdatedError } from '@ws/rpc';
import { type RoomMessage, roomsOf } from '@ws/rpc/rooms';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { forgetPrintedErrors } from '../../../../tests/kit/printed-errors.ts';

const reports: string[] = [];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
  forgetPrintedErrors();
  reports.length = 0;
  vi.spyOn(console, 'error').mockImplementation((text) => void reports.push(String(text)));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const of = (version?: number, accepts?: readonly number[]) =>
  contract({ version, accepts, server: { version: method(z.undefined(), z.number().nullable()) } });

/** A node with rooms `r/…`, whose states are counted. Nodes of a broker are one server. */
function node(version?: number, broker?: MemoryBroker, accepts?: readonly number[]) {
  const states = { count: 0, value: { n: 0 } as unknown };
  const rules: RoomRules = {
    history: true,
    mayJoin: true,
    mayPublish: true,
    members: true,
    presence: (session) => session.data,
    state: async () => {
      states.count++;
      return states.value;
    },
  };
  const own = of(version, accepts);
  const server = serveRooms(
    { 'r/*': rules },
    {
      contract: own,
      handlers: { version: (_, context) => context.version ?? null },
      ...(broker && { hub: { backplane: memoryBackplane(broker) } }),
    },
  );
  return { server, hub: server.hub, states };
}
type Node = ReturnType<typeof node>;

function page(nodeOf: () => Node, version?: number) {
  const conns: Conn[] = [];
  const texts: string[] = [];
  const live = new ReconnectingConn(
    async () => {
      const [client, server] = connPair({ report: () => {} });
      conns.push(client);
      nodeOf().hub.add(server, { data: 'x' });
      return client;
    },
    { minDelay: 1, maxDelay: 1 },
  );
  const rooms = roomsOf(live, {
    contract: of(version),
    schemas: {
      'r/*': {
        message: z.object({ n: z.number() }),
        state: z.object({ n: z.number() }),
        info: z.number(),
      },
    },
  });
  const join = (room = 'r/1'): string[] => {
    const items: string[] = [];
    void read(rooms.join(room as 'r/1'), items);
    return items;
  };
  return { live, rooms, join, conns, texts, cut: () => conns.at(-1)!.terminate() };
}

async function read(loop: AsyncIterator<RoomMessage<unknown>, unknown>, items: string[]) {
  try {
    for (;;) {
      const { done, value } = await loop.next();
      if (done) return;
      items.push('data' in value ? `${value.kind} ${JSON.stringify(value.data)}` : value.kind);
    }
  } catch (error) {
    items.push(String(error));
  }
}

/** Closes a hub while the fake clock advances. */
async function close(hub: Node['hub']): Promise<void> {
  const closing = hub.close({ timeout: 1 });
  await advance(10_000);
  await closing;
}

async function publish(to: Node, data: unknown, room = 'r/1'): Promise<void> {
  const published = to.hub.room(room).publishJSON(data);
  await advance(1);
  await published;
}

describe('101 a page below the version of its server', () => {
  it('passes over what it does not know: no gap, no state, one report a key', async () => {
    const at = node(3);
    const { live, join, rooms } = page(() => at, 2);
    const items = [join('r/1'), join('r/2')];
    await advance(100);
    const { count } = at.states;
    for (let i = 0; i < 60; i++) {
      await publish(at, { kind: 'new' }, `r/${1 + (i % 2)}`);
      if (i % 20 === 0) await publish(at, { n: i });
      await advance(1_000);
    }
    expect(items[0]).toEqual([
      'state {"n":0}',
      'live',
      'message {"n":0}',
      'message {"n":20}',
      'message {"n":40}',
    ]);
    expect(items[1]).toEqual(['state {"n":0}', 'live']);
    expect(at.states.count).toBe(count);
    // The `info` of the members is of a kind that the page does not know either.
    expect([rooms.members('r/1').size, rooms.members('r/1').count]).toEqual([0, 1]);
    expect(reports).toHaveLength(1);
    void live.close();
  });

  it('passes over a state that it does not know, and gets what follows', async () => {
    const at = node(3);
    at.states.value = { kind: 'new' };
    const { live, join } = page(() => at, 2);
    const items = join();
    await advance(100);
    await publish(at, { n: 1 });
    await advance(100_000);
    expect(items).toEqual(['live', 'message {"n":1}']);
    void live.close();
  });

  it('also after a return: the history has kinds that it does not know', async () => {
    const at = node(3);
    const { live, join, cut } = page(() => at, 2);
    const items = join();
    await advance(100);
    const { count } = at.states;
    cut();
    for (let i = 0; i < 50; i++) await publish(at, { kind: 'new' });
    await publish(at, { n: 1 });
    await advance(100_000);
    expect(items.filter((item) => item !== 'live')).toEqual(['state {"n":0}', 'message {"n":1}']);
    expect(at.states.count).toBe(count);
    void live.close();
  });
});

describe('101 a page of the same version, of a higher one, or of none', () => {
  it.each([
    [3, 3],
    [3, 4],
    [undefined, 2],
    [3, undefined],
  ])('at a server of %s: of %s gets a state soon', async (server, version) => {
    const at = node(server);
    const { live, join } = page(() => at, version);
    const items = join();
    await advance(100);
    await publish(at, { kind: 'new' });
    await advance(1_100);
    expect(items).toEqual(['state {"n":0}', 'live', 'state {"n":0}', 'live']);
    void live.close();
  });

  it('ends at a state that it does not know', async () => {
    const at = node(3);
    at.states.value = { kind: 'new' };
    const { live, join } = page(() => at, 3);
    const items = join();
    await advance(100);
    expect(items).toEqual([expect.stringContaining('JSONError')]);
    void live.close();
  });
});

describe('101 nodes of two versions', () => {
  it.each(['the old node first', 'the new node first'])(
    'half of them old, %s: old pages get no state for a new kind, also after a rollback',
    async (order) => {
      const broker = new MemoryBroker();
      const versions = order === 'the old node first' ? [2, 3] : [3, 2];
      const nodes: Node[] = [];
      for (const version of versions) {
        nodes.push(node(version, broker));
        await advance(10_000);
      }
      let count = 0;
      const pages = Array.from({ length: 10 }, (_, i) => page(() => nodes[i % nodes.length]!, 2));
      const items = pages.map(({ join }) => join());
      await advance(1_000);
      const statesNow = (): number => nodes.reduce((sum, { states }) => sum + states.count, 0);
      count = statesNow();
      const newer = nodes[versions.indexOf(3)]!;
      for (let i = 0; i < 100; i++) {
        await publish(newer, { kind: 'new' });
        await advance(200);
      }
      expect(statesNow()).toBe(count);
      // The rollback: the new node goes, and its pages come to the old one.
      const old = nodes[versions.indexOf(2)]!;
      nodes.splice(0, 2, old);
      await close(newer.hub);
      await advance(60_000);
      await publish(old, { n: 1 });
      await advance(10_000);
      for (const each of items) {
        expect(each.filter((item) => item !== 'live')).toEqual([
          'state {"n":0}',
          'message {"n":1}',
        ]);
      }
      for (const { live } of pages) void live.close();
    },
  );

  it('answer the hello with the highest version that they have seen', async () => {
    const broker = new MemoryBroker();
    const a = node(2, broker);
    node(3, broker);
    await advance(10_000);
    const [client, server] = connPair();
    a.hub.add(server, { data: 'x' });
    void client.writeJSON({
      jsonrpc: '2.0',
      id: '$/hello',
      method: '$/hello',
      params: { wire: 1, version: 2 },
    });
    await advance(100);
    expect((await client.readMessage()).json()).toMatchObject({ result: { wire: 1, version: 3 } });
    client.terminate();
  });

  it('tell their clients when it rises, at most once a minute, and no other client', async () => {
    const broker = new MemoryBroker();
    const a = node(2, broker);
    const got: unknown[][] = [[], []];
    const clients = got.map((own, i) => {
      const [client, server] = connPair();
      a.hub.add(server, { data: 'x' });
      void client.receive((message) => void own.push(message.json())).catch(() => {});
      const params = { wire: 1, version: 2 };
      if (i === 0) void client.writeJSON({ jsonrpc: '2.0', id: 1, method: '$/hello', params });
      return client;
    });
    await advance(1_000);
    const told = (version: number) => ({
      jsonrpc: '2.0',
      method: '$/version',
      params: { version },
    });
    const b = node(3, broker);
    await advance(6_000);
    expect(got[0]!.slice(1)).toEqual([told(3)]);
    node(4, broker);
    await advance(6_000);
    node(5, broker);
    await advance(40_000);
    expect(got[0]!.slice(1)).toEqual([told(3)]);
    await advance(20_000);
    expect(got[0]!.slice(1)).toEqual([told(3), told(5)]);
    await close(b.hub);
    node(3, broker);
    await advance(120_000);
    expect([got[0]!.slice(1), got[1]]).toEqual([[told(3), told(5)], []]);
    for (const client of clients) client.terminate();
  });

  it('say nothing of a version without one, and take no word for one', async () => {
    const broker = new MemoryBroker();
    const words: string[] = [];
    const plain = memoryBackplane(broker);
    const hub = new Hub({
      backplane: {
        ...plain,
        publish(channel, bytes, ...more) {
          words.push(Buffer.from(bytes).toString());
          return plain.publish(channel, bytes, ...more);
        },
      },
    });
    await advance(10_000);
    expect(words.some((word) => word.includes('beat'))).toBe(true);
    expect(words.filter((word) => word.includes('version'))).toEqual([]);
    await close(hub);
  });

  it('a page learns of a newer node by $/version', async () => {
    const broker = new MemoryBroker();
    const old = node(2, broker);
    const { live, join } = page(() => old, 2);
    const items = join();
    await advance(1_000);
    const { count } = old.states;
    const newer = node(3, broker);
    await advance(6_000);
    await publish(newer, { kind: 'new' });
    await advance(10_000);
    expect([items, old.states.count]).toEqual([['state {"n":0}', 'live'], count]);
    void live.close();
  });
});

describe('101 hellos in one room', () => {
  it('a page that sends none beside one that does', async () => {
    const at = node(3, undefined, [2]);
    const { live, join } = page(() => at, 2);
    const items = join();
    const [client, server] = connPair();
    at.hub.add(server, { data: 'x' });
    void client.writeJSON({ jsonrpc: '2.0', id: 1, method: 'room.join', params: { room: 'r/1' } });
    const got: string[] = [];
    void client.receive((message) => void got.push((message.json() as { method: string }).method));
    await advance(100);
    await publish(at, { n: 1 });
    await advance(100);
    expect(items.at(-1)).toBe('message {"n":1}');
    expect(got).toContain('room.message');
    client.terminate();
    void live.close();
  });

  it('an outdated page: its loops throw once, and its publications reject', async () => {
    const at = node(3, undefined, [3]);
    const told: unknown[] = [];
    const live = new ReconnectingConn(async () => {
      const [client, server] = connPair({ report: () => {} });
      at.hub.add(server, { data: 'x' });
      return client;
    });
    const rooms = roomsOf(live, {
      contract: of(2),
      onOutdated: (server) => void told.push(server),
    });
    const items: string[] = [];
    void read(rooms.join('r/1'), items);
    const published = rooms.publish('r/1', 1).catch((error: unknown) => error);
    await advance(100);
    expect(items).toEqual([expect.stringContaining('OutdatedError')]);
    expect(await published).toBeInstanceOf(OutdatedError);
    expect([told, at.hub.sessions.size]).toEqual([[{ version: 3, accepts: [3] }], 0]);
  });

  it('counts for rate', async () => {
    const server = serveRooms(
      { r: { mayJoin: true } },
      { hub: { rate: { messages: 3, per: 60_000, over: 'close' } } },
    );
    const [client, conn] = connPair({ report: () => {} });
    server.hub.add(conn);
    for (let i = 0; i < 5; i++) {
      void client
        .writeJSON({ jsonrpc: '2.0', id: i, method: '$/hello', params: { wire: 1 } })
        .catch(() => {});
    }
    await advance(10_000);
    expect(await client.closed).toMatchObject({ code: 1013 });
  });

  it('is answered with the version of a merged contract', async () => {
    const server = serveRooms(
      { r: { mayJoin: true } },
      {
        contract: contract({ client: { said: event(z.string()) } }, of(7)),
        handlers: { version: () => null },
      },
    );
    const [client, conn] = connPair();
    server.hub.add(conn);
    void client.writeJSON({
      jsonrpc: '2.0',
      id: 1,
      method: '$/hello',
      params: { wire: 1, version: 8 },
    });
    await advance(100);
    expect((await client.readMessage()).json()).toMatchObject({ result: { version: 7 } });
    client.terminate();
  });
});
