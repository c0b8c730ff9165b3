// The state of a room, then what follows.
import type { RoomRules, RoomTable } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { RpcError } from '@ws/rpc';
import { type RoomMessage } from '@ws/rpc/rooms';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { internalsOfHub } from '../../src/hub.ts';
import { startClient, startNode, startRaw, turns } from './setup.ts';

afterEach(() => void vi.useRealTimers());

/** A counter that is stored, then published. */
class Counter {
  value = 0;
  calls = 0;
  signals: { readonly aborted: boolean }[] = [];
  /** Runs before `state` returns. */
  before: () => unknown = () => {};

  readonly state = async (
    _: string,
    { signal }: { readonly signal: { readonly aborted: boolean } },
  ): Promise<{ value: number }> => {
    this.calls++;
    this.signals.push(signal);
    const { value } = this;
    await this.before();
    return { value };
  };

  table(more: Partial<RoomRules<string>> = {}): RoomTable<string> {
    return {
      'board/*': { history: true, mayJoin: true, mayPublish: true, state: this.state, ...more },
    };
  }

  async addMany(count: number, hub: ReturnType<typeof startNode>['hub']): Promise<void> {
    for (let i = 0; i < count; i++) await this.add(hub);
  }

  add(hub: ReturnType<typeof startNode>['hub'], room = 'board/7'): Promise<unknown> {
    return hub.room(room).publishJSON(++this.value);
  }
}

type Loop = AsyncIterator<RoomMessage<unknown>, unknown>;

/** The next items: `state 3`, `4`, `gap`, `live`. */
async function items(loop: Loop, count: number): Promise<string[]> {
  const got: string[] = [];
  while (got.length < count) {
    const { done, value } = await loop.next();
    if (done) return [...got, 'end'];
    if (value.kind === 'state') got.push(`state ${(value.data as { value: number }).value}`);
    else got.push(value.kind === 'message' ? String(value.data) : value.kind);
  }
  return got;
}

/** A loop that has got its first state and `live`, with its counter, server and client. */
async function startLoop(more?: Partial<RoomRules<string>>) {
  const counter = new Counter();
  const started = startNode(counter.table(more));
  const client = startClient(started.node);
  const loop = client.rooms.join('board/7');
  expect(await items(loop, 2)).toEqual(['state 0', 'live']);
  return { counter, ...started, ...client, loop };
}

describe('a loop over a room with a state', () => {
  it('begins with the state, then gets what follows, and live once after the join', async () => {
    const counter = new Counter();
    const { node, hub } = startNode(counter.table());
    await counter.add(hub);
    const { rooms } = startClient(node);
    const loop = rooms.join('board/7');
    expect(await items(loop, 2)).toEqual(['state 1', 'live']);
    expect(counter.signals).toMatchObject([{ aborted: false }]);
    await counter.add(hub);
    expect(await items(loop, 1)).toEqual(['2']);
  });

  it('misses nothing that is published while the state is read', async () => {
    const counter = new Counter();
    const { node, hub } = startNode(counter.table());
    counter.before = () => counter.add(hub);
    const { rooms } = startClient(node);
    expect(await items(rooms.join('board/7'), 3)).toEqual(['state 0', '1', 'live']);
  });

  it('gets no state after a break whose messages the history has', async () => {
    const { counter, hub, cut, loop } = await startLoop();
    cut();
    await counter.add(hub);
    expect(await items(loop, 2)).toEqual(['1', 'live']);
    expect(counter.calls).toBe(1);
  });

  it('gets a state, and no gap, when the history lacks messages', async () => {
    const { counter, hub, away, loop } = await startLoop({ history: { size: 2 } });
    await away(() => counter.addMany(4, hub));
    expect(await items(loop, 2)).toEqual(['state 4', 'live']);
  });

  it('drops what waits in it when a state comes', async () => {
    const { counter, hub, away, loop } = await startLoop({ history: { size: 2 } });
    await counter.add(hub);
    await turns();
    await away(() => counter.addMany(4, hub));
    await expect.poll(() => counter.calls).toBe(2);
    await turns();
    expect(await items(loop, 2)).toEqual(['state 5', 'live']);
  });

  it('gets the state of another loop that has asked for one', async () => {
    const { counter, hub, rooms, loop } = await startLoop();
    await counter.add(hub);
    expect(await items(loop, 1)).toEqual(['1']);
    const other = rooms.join('board/7');
    expect(await items(other, 2)).toEqual(['state 1', 'live']);
    expect(await items(loop, 2)).toEqual(['state 1', 'live']);
    await counter.add(hub);
    expect([await items(loop, 1), await items(other, 1)]).toEqual([['2'], ['2']]);
  });

  it('gets its messages while a later loop waits for a state, also after a break', async () => {
    const { counter, hub, rooms, cut, loop } = await startLoop();
    counter.before = () => {
      throw new Error('the database is away');
    };
    const late = items(rooms.join('board/7'), 2);
    await expect.poll(() => counter.calls).toBe(2);
    await counter.add(hub);
    expect(await items(loop, 1)).toEqual(['1']);
    cut();
    await counter.add(hub);
    expect(await items(loop, 2)).toEqual(['2', 'live']);
    counter.before = () => {};
    expect(await late).toEqual(['state 2', 'live']);
    expect(await items(loop, 2)).toEqual(['state 2', 'live']);
  });

  it('gets a repetition once, also when a state comes between', async () => {
    const { counter, node, hub, away, loop } = await startLoop({ history: { size: 2 } });
    const { ask } = startRaw(node);
    await ask('room.join', { room: 'board/7' });
    const publish = () =>
      ask('room.publish', { room: 'board/7', id: 'A'.repeat(22), data: 'a note' });
    await publish();
    expect(await items(loop, 1)).toEqual(['a note']);
    await away(() => counter.addMany(3, hub));
    expect(await items(loop, 2)).toEqual(['state 3', 'live']);
    await publish();
    await counter.add(hub);
    expect(await items(loop, 1)).toEqual(['4']);
  });

  it('has its own copy of the state, which the application may change', async () => {
    const { node } = startNode(new Counter().table());
    const { rooms } = startClient(node);
    const [one, two] = [rooms.join('board/7'), rooms.join('board/7')];
    const { value } = await one.next();
    (value.data as { value: number }).value = 5;
    expect(await items(two, 1)).toEqual(['state 0']);
  });

  it('has a gap when a server without state takes over, also one whose history is complete', async () => {
    const counter = new Counter();
    const broker = new MemoryBroker();
    const history = { size: 2 };
    const start = (state: RoomRules['state']) =>
      startNode(counter.table({ history, state }), { backplane: memoryBackplane(broker) });
    const [old, next] = [start(undefined), start(counter.state)];
    let { node } = next;
    const { rooms, live, cut, away } = startClient(() => node);
    const loop = rooms.join('board/7');
    expect(await items(loop, 2)).toEqual(['state 0', 'live']);
    ({ node } = old);
    await away(() => counter.addMany(4, old.hub));
    expect(await items(loop, 4)).toEqual(['gap', '3', '4', 'live']);
    cut();
    await counter.add(old.hub);
    expect(await items(loop, 2)).toEqual(['5', 'live']);
    await live.close();
    for (const { hub } of [old, next]) await hub.close();
  });

  describe('that waits for a state, and moves to a server without one', () => {
    async function waiting(count: number) {
      vi.spyOn(console, 'error').mockImplementation(() => {});
      const counter = new Counter();
      const start = (state: RoomRules['state']) =>
        startNode({ 'chat/*': { history: true, mayJoin: true, state } });
      const [next, old] = [start(counter.state), start(undefined)];
      let { node } = next;
      const { rooms, live, cut } = startClient(() => node);
      const loop = rooms.join('chat/main') as Loop;
      expect(await items(loop, 2)).toEqual(['state 0', 'live']);
      counter.before = () => new Promise(() => {});
      await next.hub.room('chat/main').publishJSON('does not fit');
      const gap = items(loop, count);
      await expect.poll(() => counter.calls).toBe(2);
      const move = (): void => {
        ({ node } = old);
        cut();
      };
      const end = async (): Promise<void> => {
        vi.restoreAllMocks();
        await live.close();
        for (const { hub } of [old, next]) await hub.close({ timeout: 1 });
      };
      return { loop, gap, hub: old.hub, move, cut, end };
    }

    it('has a gap', async () => {
      const { loop, gap, hub, move, cut, end } = await waiting(2);
      move();
      expect(await gap).toEqual(['gap', 'live']);
      cut();
      await hub.room('chat/main').publishJSON({ text: '1' });
      expect(await loop.next()).toMatchObject({ value: { kind: 'message', data: { text: '1' } } });
      await end();
    });

    it.each([2, 5, 10])(
      'has after that gap what is published %i ticks after its join',
      async (n) => {
        const { loop, gap, hub, move, end } = await waiting(1);
        hub.on('entered', async () => {
          for (let i = 0; i < n; i++) await Promise.resolve();
          await hub.room('chat/main').publishJSON({ text: '1' });
        });
        move();
        expect(await gap).toEqual(['gap']);
        expect(await loop.next()).toMatchObject({
          value: { kind: 'message', data: { text: '1' } },
        });
        await end();
      },
    );
  });

  it('ends with the RpcError that state throws', async () => {
    const counter = new Counter();
    const { node, hub } = startNode(counter.table());
    counter.before = () => {
      throw new RpcError(-32_050, 'no such board');
    };
    const entered: string[] = [];
    hub.on('entered', () => void entered.push('entered'));
    hub.on('left', () => void entered.push('left'));
    const { rooms } = startClient(node);
    await expect(rooms.join('board/7').next()).rejects.toMatchObject({ code: -32_050 });
    expect(entered).toEqual([]);
    expect(hub.room('board/7').members.size).toBe(0);
  });

  it('asks again when state fails', async () => {
    const counter = new Counter();
    const { node, errors } = startNode(counter.table());
    counter.before = () => {
      if (counter.calls < 2) throw new Error('the database is away');
    };
    const { rooms } = startClient(node);
    expect(await items(rooms.join('board/7'), 2)).toEqual(['state 0', 'live']);
    expect(errors.map(String)).toContainEqual(expect.stringMatching(/the database is away/));
  });

  it.each([
    ['a value that JSON does not have', () => new Map()],
    ['undefined', () => undefined],
  ])('gets no state that is %s', async (_, state) => {
    const { node, errors } = startNode({ r: { history: true, mayJoin: true, state } });
    const { ask } = startRaw(node);
    const { error } = await ask('room.join', { room: 'r' });
    expect(error).toMatchObject({ code: -32_000 });
    expect(errors.length).toBeGreaterThan(0);
  });
});

describe('EB1 a state of more than 1 MiB', () => {
  it.each([
    ['letters', 'x'.repeat(1_048_577)],
    ['letters of three bytes', '日'.repeat(350_000)],
    ['letters of six bytes in JSON', '\u0001'.repeat(175_000)],
  ])('ends the loop, is reported and is not asked for again: %s', async (_, text) => {
    let calls = 0;
    const state = (): string => {
      calls++;
      return text;
    };
    const { node, hub, errors } = startNode({ r: { history: true, mayJoin: true, state } });
    const { rooms } = startClient(node);
    const loop = rooms.join('r');
    await expect(loop.next()).rejects.toMatchObject({
      code: -32_603,
      message: expect.stringMatching(/^the state of the room has \d+ bytes, of at most 1048576$/),
    });
    expect(await loop.next()).toEqual({ done: true, value: undefined });
    await turns(20);
    expect(calls).toBe(1);
    expect(hub.room('r').members.size).toBe(0);
    expect(errors.map(String).join()).toContain('the state of the room has');
  });
});

describe('the joins of a room with a state', () => {
  it('share a call, also those that begin while it runs', async () => {
    const counter = new Counter();
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    counter.before = () => opened;
    const { node, hub } = startNode(counter.table());
    const clients = [startRaw(node), startRaw(node)];
    const joins = clients.map(({ ask }) => ask('room.join', { room: 'board/7' }));
    await turns();
    await counter.add(hub);
    clients.push(startRaw(node));
    joins.push(clients[2]!.ask('room.join', { room: 'board/7' }));
    await turns();
    open();
    for (const { result, events } of await Promise.all(joins)) {
      expect(result).toMatchObject({ complete: true, missed: 1, state: true });
      expect(events.map(({ method }) => method)).toEqual(['room.state', 'room.message']);
    }
    expect(counter.calls).toBe(1);
  });

  it('call state once for 1,000 of them that begin while it runs', async () => {
    const counter = new Counter();
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    counter.before = () => opened;
    const { node, hub } = startNode(counter.table());
    await counter.add(hub);
    const joins: Promise<unknown>[] = [];
    for (let i = 0; i < 1_000; i++)
      joins.push(startRaw(node).ask('room.join', { room: 'board/7' }));
    await expect.poll(() => hub.room('board/7').members.size).toBe(1_000);
    open();
    for (const answer of await Promise.all(joins)) {
      expect(answer).toMatchObject({ result: { complete: true, state: true } });
    }
    expect(counter.calls).toBe(1);
  });

  it('hold few states for a client that does not read', async () => {
    const calls = new Map<string, number>();
    const state = (room: string): string => {
      calls.set(room, (calls.get(room) ?? 0) + 1);
      return 'x'.repeat(1_000_000);
    };
    const { node, hub } = startNode({ 'large/*': { history: true, mayJoin: true, state } });
    const { client, send, session } = startRaw(node);
    // Returns whether the bytes of a state are kept until it is sent.
    const reserve = vi.spyOn(internalsOfHub(hub).rooms.states, 'reserve');
    for (let i = 0; i < 20; i++) await send('room.join', { room: `large/${i}` }, i);
    await turns(50);
    expect(session.roomCount).toBe(20);
    expect(reserve.mock.results.filter(({ value }) => value === undefined)).toHaveLength(1);
    // The client reads at last, and gets all of them.
    const rooms = new Set<unknown>();
    while (rooms.size < 20) {
      const { params } = (await client.readMessage()).json() as { params?: { room?: string } };
      if (params?.room !== undefined) rooms.add(params.room);
    }
    expect(Math.max(...calls.values())).toBeLessThanOrEqual(2);
  });

  it('of other keys do not wait for states that hang, nor those of other rooms for one', async () => {
    const state = (room: string): unknown => (room < 'b' ? new Promise(() => {}) : room);
    const rules = { history: true, mayJoin: true };
    const { node } = startNode({
      'a/*': { ...rules, state: (room) => state(room) },
      '*': { ...rules, state: (room) => state(room) },
    });
    const { rooms } = startClient(node);
    for (let i = 0; i < 40; i++) void rooms.join(`a/${i}`).next();
    void rooms.join('a').next();
    expect((await rooms.join('b').next()).value).toMatchObject({ kind: 'state', data: 'b' });
  });

  it('are refused when the history does not reach back to three states', async () => {
    const counter = new Counter();
    const { node, hub } = startNode(counter.table({ history: { size: 2 } }));
    counter.before = async () => {
      for (let i = 0; i < 5; i++) await counter.add(hub);
    };
    const { ask } = startRaw(node);
    expect((await ask('room.join', { room: 'board/7' })).error).toMatchObject({ code: -32_000 });
    expect(counter.calls).toBe(3);
    expect(hub.room('board/7').members.size).toBe(0);
  });

  it('abort the signal when none waits, and end after 10 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const counter = new Counter();
    counter.before = () => new Promise(() => {});
    const { node } = startNode(counter.table());
    const one = startRaw(node);
    void one.send('room.join', { room: 'board/7' }, 1);
    await turns();
    await one.ask('room.leave', { room: 'board/7' });
    expect(counter.signals.map(({ aborted }) => aborted)).toEqual([true]);
    // The call that hangs keeps its place.
    const two = startRaw(node);
    const joined = two.ask('room.join', { room: 'board/7' });
    await turns();
    expect(counter.calls).toBe(1);
    const pass = async (ms: number): Promise<void> => {
      for (let i = 0; i < ms; i += 5_000) {
        await vi.advanceTimersByTimeAsync(5_000);
        await turns();
      }
    };
    void one.client.receive(() => {});
    await pass(55_000);
    expect(counter.calls).toBe(1);
    await pass(5_000);
    expect(counter.calls).toBe(2);
    await pass(10_000);
    expect((await joined).error).toMatchObject({ code: -32_000 });
    expect(counter.signals[1]!.aborted).toBe(true);
    vi.useRealTimers();
  });
});

describe('a member of a room with a state', () => {
  it('is seen when its state leaves, and gets the members after it', async () => {
    const counter = new Counter();
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    counter.before = () => opened;
    const more = { presence: ({ data }: { data: string }) => ({ name: data }), members: true };
    const { node, hub } = startNode(counter.table(more));
    const seen: string[] = [];
    hub.on('entered', (session) => void seen.push(session.data));
    const { ask, session, next } = startRaw(node);
    const joined = ask('room.join', { room: 'board/7' });
    await turns();
    expect(hub.room('board/7').members.has(session)).toBe(true);
    expect([seen, hub.room('board/7').presence.size]).toEqual([[], 0]);
    session.show('board/7', { name: 'other' });
    open();
    const { events } = await joined;
    expect(events.map(({ method }) => method)).toEqual(['room.state']);
    expect(seen).toEqual(['eve']);
    expect((await next())['method']).toBe('room.members');
    const [present] = hub.room('board/7').presence.values();
    expect(present!.info).toEqual({ name: 'other' });
  });

  it('gets nothing when its membership has ended meanwhile', async () => {
    const counter = new Counter();
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    counter.before = () => opened;
    const { node } = startNode(counter.table());
    const { session, next, send } = startRaw(node);
    await send('room.join', { room: 'board/7' }, 1);
    await turns();
    session.leave('board/7');
    open();
    await turns();
    expect(await next()).toMatchObject({ id: 1, error: { code: -32_000 } });
  });

  it('gets a state without a position while the engine is away, then another one', async () => {
    const broker = new MemoryBroker();
    const backplane = memoryBackplane(broker);
    const counter = new Counter();
    const { node, hub } = startNode(counter.table(), { backplane });
    await counter.add(hub);
    broker.disconnect();
    await turns();
    const { rooms } = startClient(node);
    const loop = rooms.join('board/7');
    const { value } = await loop.next();
    expect(value).toEqual({ kind: 'state', data: { value: 1 }, position: undefined });
    broker.reconnect();
    expect(await items(loop, 2)).toEqual(['state 1', 'live']);
    await counter.add(hub);
    expect(await items(loop, 1)).toEqual(['2']);
  });
});

describe('a client whose readLimit is short', () => {
  /** It is a member of `other` when it joins `board/7`. */
  const start = async (more: Partial<RoomRules<string>>) => {
    const table = new Counter().table(more);
    const { node, hub } = startNode({ ...table, other: { mayJoin: true, history: true } });
    const { rooms } = startClient(node, 'ann', { readLimit: 1_000 });
    expect(await items(rooms.join('other'), 1)).toEqual(['live']);
    return { hub, loop: rooms.join('board/7') };
  };

  it('joins a room while another one has messages that are too long', async () => {
    const mayJoin = async (): Promise<boolean> => {
      await turns();
      await hub.room('other').publishJSON('x'.repeat(2_000));
      await turns();
      return true;
    };
    const { hub, loop } = await start({ mayJoin });
    expect(await items(loop, 2)).toEqual(['state 0', 'live']);
  });

  it('ends the loop of a state that is too long', async () => {
    const { loop } = await start({ state: () => 'x'.repeat(2_000) });
    await expect(loop.next()).rejects.toMatchObject({ closeCode: 1009 });
  });
});

describe('state', () => {
  it('needs a history', () => {
    expect(() => startNode({ r: { mayJoin: true, state: () => 1 } })).toThrow(
      /rooms\["r"\]\.state: needs history/,
    );
  });

  it('is a function', () => {
    expect(() => startNode({ r: { mayJoin: true, history: true, state: {} as never } })).toThrow(
      /rooms\["r"\]\.state: expected a function/,
    );
  });
});
