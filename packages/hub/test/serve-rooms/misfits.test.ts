// Messages that do not fit the schema of the page, as after a deploy.
import { connPair } from '@ws/conn';
import { type RoomRules, serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
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
const message = z.object({ n: z.number() });

/** A room `r` whose state, if it has one, is the last number. */
function startRoom(rules: Partial<RoomRules> = {}, hasState = false) {
  const room = { n: 0, states: 0 };
  const state = async () => {
    room.states++;
    return room.n;
  };
  const { hub } = serveRooms({
    r: { history: true, mayJoin: true, ...(hasState ? { state } : {}), ...rules },
  });
  const publish = async (fits: boolean): Promise<unknown> => {
    room.n++;
    const published = hub.room('r').publishJSON({ n: fits ? room.n : `${room.n}` });
    await advance(1);
    return published;
  };
  return { room, hub, publish };
}

type Loop = AsyncIterator<RoomMessage<{ n: number }>, unknown>;
type Got = readonly [item: string, ms: number];

/** A page with its items, each with the time of its arrival. */
function startPage(hub: ReturnType<typeof startRoom>['hub']) {
  let conn: ReturnType<typeof connPair>[0];
  const live = new ReconnectingConn(
    async () => {
      const [client, server] = connPair({ report: () => {} });
      conn = client;
      hub.add(server);
      return client;
    },
    { minDelay: 1, maxDelay: 1 },
  );
  const rooms = roomsOf(live, { schemas: { r: { message } } });
  const join = (options: Parameters<typeof rooms.join>[1] = {}): Got[] => {
    const got: Got[] = [];
    void read(rooms.join('r', options), got);
    return got;
  };
  return { live, rooms, join, cut: () => conn.terminate() };
}

async function read(loop: Loop, got: Got[]): Promise<void> {
  for (;;) {
    const { done, value } = await loop.next();
    if (done) return;
    if (value.kind === 'message') got.push([`${value.data.n}`, performance.now()]);
    else if (value.kind === 'state') got.push([`state ${String(value.data)}`, performance.now()]);
    else got.push([value.kind, performance.now()]);
  }
}

const textsOf = (got: readonly Got[]): string[] => got.map(([text]) => text);
const statesOf = (got: readonly Got[]): Got[] => got.filter(([text]) => text.startsWith('state'));

describe.each([
  ['a state', true],
  ['no state', false],
])('misfits: a loop over a room with %s', (_, hasState) => {
  it('gets each message that fits within 100 ms, while three of four fit', async () => {
    // A slow database does not hold up the messages.
    const state = () => new Promise((resolve) => setTimeout(resolve, 5_000, 0));
    const { room, hub, publish } = startRoom(hasState ? { state } : {});
    const { join, live } = startPage(hub);
    const loops = [join(), join()];
    await advance(6_000);
    const sent = new Map<string, number>();
    for (let i = 0; i < 1_000; i++) {
      const fits = i % 4 !== 1;
      if (fits) sent.set(`${room.n + 1}`, performance.now());
      await publish(fits);
      await advance(49);
    }
    for (const got of loops) {
      const first = new Map(got.toReversed());
      const late = [...sent].filter(([text, at]) => !(first.get(text)! - at <= 100));
      expect(late).toEqual([]);
    }
    void live.close();
  });
});

describe('misfits: pages after a deploy', () => {
  it('get at most 8 states each in two minutes, of which none are at the same time', async () => {
    const { hub, publish } = startRoom({}, true);
    const pages = Array.from({ length: 25 }, () => startPage(hub));
    const all = pages.map(({ join }) => join());
    await advance(1_000);
    for (const got of all) expect(textsOf(got)).toEqual(['state 0', 'live']);
    for (let i = 0; i < 1_200; i++) {
      await publish(i % 2 === 0);
      await advance(99);
    }
    for (const got of all) {
      const states = statesOf(got).length - 1;
      expect(states).toBeLessThanOrEqual(8);
      expect(states).toBeGreaterThanOrEqual(5);
    }
    const times = new Set(all.map((got) => statesOf(got)[1]![1]));
    expect(times.size).toBeGreaterThan(10);
    for (const { live } of pages) void live.close();
  });
});

describe('misfits: a loop', () => {
  it('gets a state between half an interval and an interval later, 1 s to 60 s', async () => {
    const { hub, publish } = startRoom({}, true);
    const { join, live } = startPage(hub);
    const got = join();
    await advance(100);
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      await publish(false);
      const before = performance.now();
      const count = statesOf(got).length;
      while (statesOf(got).length === count) await advance(50);
      const waited = performance.now() - before;
      expect(waited).toBeGreaterThanOrEqual(seconds * 500);
      expect(waited).toBeLessThanOrEqual(seconds * 1_000 + 100);
    }
    void live.close();
  });

  it('waits 1 s again after twice the interval without a misfit', async () => {
    const { hub, publish } = startRoom({}, true);
    const { join, live } = startPage(hub);
    const got = join();
    await advance(100);
    for (const each of [0, 0, 0, 0]) {
      await publish(false);
      await advance(8_000 + each);
    }
    await advance(121_000);
    const count = statesOf(got).length;
    await publish(false);
    await advance(1_100);
    expect(statesOf(got)).toHaveLength(count + 1);
    void live.close();
  });

  it('gets one gap for many misfits, after the messages that fit, and reports one', async () => {
    const { hub, publish } = startRoom();
    const { join, live, cut } = startPage(hub);
    const got = join();
    await advance(100);
    for (const fits of [true, false, true, false, false, true]) await publish(fits);
    await advance(400);
    expect(textsOf(got)).toEqual(['live', '1', '3', '6']);
    await advance(700);
    expect(textsOf(got)).toEqual(['live', '1', '3', '6', 'gap']);
    await publish(true);
    await advance(100);
    cut();
    await publish(true);
    await advance(100_000);
    expect(textsOf(got)).toEqual(['live', '1', '3', '6', 'gap', '7', '8', 'live']);
    expect(reports.filter((text) => text.includes('does not fit its schema'))).toHaveLength(1);
    void live.close();
  });

  it('goes on after a gap from the last message that it got', async () => {
    const { hub, publish } = startRoom();
    const { rooms, live } = startPage(hub);
    const loop = rooms.join('r');
    await advance(100);
    await publish(true);
    await publish(false);
    const position = await publish(true);
    await advance(10);
    const items = [];
    for (let i = 0; i < 3; i++) items.push((await loop.next()).value);
    expect(items.map(({ kind }) => kind)).toEqual(['live', 'message', 'message']);
    const next = loop.next();
    await advance(1_100);
    expect((await next).value).toEqual({ kind: 'gap', position });
    void live.close();
  });

  it('asks for the state again, ever later, while the state fails', async () => {
    let calls = 0;
    const state = async () => {
      if (calls++ > 0 && calls < 6) throw new Error('the database is away');
      return calls;
    };
    const { hub, publish } = startRoom({ state });
    hub.on('error', () => {});
    const { join, live } = startPage(hub);
    const got = join();
    await advance(100);
    await publish(false);
    for (let i = 0; i < 60; i++) {
      await publish(true);
      await advance(1_000);
    }
    expect(calls).toBe(6);
    expect(textsOf(got).filter((text) => !text.startsWith('state') && text !== 'live').length).toBe(
      60,
    );
    expect(statesOf(got)).toHaveLength(2);
    void live.close();
  });

  it('needs no state for misfits from before a state that came for another reason', async () => {
    const { room, hub, publish } = startRoom({}, true);
    const { join, live } = startPage(hub);
    const got = join();
    await advance(100);
    await publish(false);
    // Another loop begins with a state, which all loops of the room get.
    join();
    await advance(100);
    expect(statesOf(got)).toHaveLength(2);
    await advance(10_000);
    expect(room.states).toBe(2);
    expect(statesOf(got)).toHaveLength(2);
    void live.close();
  });

  it('gets the state on the next connection when the connection has broken', async () => {
    const { hub, publish } = startRoom({}, true);
    const { join, live, cut } = startPage(hub);
    const got = join();
    await advance(100);
    await publish(false);
    await advance(400);
    cut();
    await advance(2_000);
    expect(textsOf(got).slice(2)).toEqual(['live', 'state 1', 'live']);
    void live.close();
  });
});

describe('M4 a loop with since, before its first answer,', () => {
  it('gets a state for a misfit, never a gap, and all that fits', async () => {
    const { hub, publish } = startRoom({}, true);
    const first = startPage(hub);
    const known = first.join();
    await publish(true);
    await advance(100);
    const since = (await hub.room('r').history()).messages.at(-1)!.position;
    await publish(false);
    for (let i = 0; i < 50; i++) await publish(true);
    const { join, live } = startPage(hub);
    const got = join({ since });
    await advance(3_000);
    expect(textsOf(known)).not.toContain('gap');
    expect(textsOf(got)).not.toContain('gap');
    expect(textsOf(got).slice(0, 51)).toEqual([
      ...Array.from({ length: 50 }, (_, i) => `${i + 3}`),
      'live',
    ]);
    expect(textsOf(got).slice(51)).toEqual(['state 52', 'live']);
    void live.close();
    void first.live.close();
  });
});
