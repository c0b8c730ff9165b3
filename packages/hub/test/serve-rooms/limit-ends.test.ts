// Messages and states that are longer than the `readLimit` of the page.
import { connPair } from '@ws/conn';
import { type RoomRules, serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
import { type JoinOptions, type RoomMessage, roomsOf } from '@ws/rpc/rooms';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const READ_LIMIT = 4_000;
const TOO_LONG = 'x'.repeat(2 * READ_LIMIT);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
});
afterEach(() => void vi.useRealTimers());

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** A page of a server with the room `r`, and a room `other`. */
function startPage(rules: Partial<RoomRules> = {}) {
  const { hub } = serveRooms({
    r: { history: true, mayJoin: true, ...rules },
    other: { mayJoin: true, history: true },
  });
  hub.on('error', () => {});
  const dials = { count: 0 };
  const live = new ReconnectingConn(
    async () => {
      dials.count++;
      const [client, server] = connPair({ client: { readLimit: READ_LIMIT }, report: () => {} });
      hub.add(server);
      return client;
    },
    { minDelay: 1, maxDelay: 2 },
  );
  const rooms = roomsOf(live);
  const join = (options: JoinOptions = {}, room = 'r'): string[] => {
    const got: string[] = [];
    void read(rooms.join(room, options), got).catch((error: Error) =>
      got.push(`${error.name} ${(error as { closeCode?: number }).closeCode}`),
    );
    return got;
  };
  const publish = async (data: unknown, room = 'r'): Promise<void> => {
    void hub.room(room).publishJSON(data);
    await advance(1);
  };
  return { hub, dials, live, join, publish };
}

async function read(loop: AsyncIterator<RoomMessage<unknown>, unknown>, got: string[]) {
  for (;;) {
    const { done, value } = await loop.next();
    if (done) return;
    got.push(value.kind === 'message' ? String(value.data) : value.kind);
  }
}

describe('H7 loops of a room that has one message above readLimit', () => {
  it.each<[string, (number | undefined)[]]>([
    ['one with last', [10]],
    ['two with last', [10, 10]],
    ['three with last', [10, 20, 5]],
    ['one beside a live one', [undefined, 10]],
    ['two beside a live one', [undefined, 10, 20]],
  ])('get a gap, and the page stays connected: %s', async (_, lasts) => {
    const { dials, live, join, publish } = startPage();
    for (let n = 1; n <= 20; n++) await publish(n === 18 ? TOO_LONG : n);
    const loops = lasts.map((last) => join({ last }));
    const other = join({}, 'other');
    await advance(10_000);
    const before = dials.count;
    expect(before).toBeLessThanOrEqual(3 + lasts.length);
    for (const n of [21, 22]) await publish(n);
    await publish('there', 'other');
    await advance(60_000);
    expect(dials.count).toBe(before);
    for (const [i, got] of loops.entries()) {
      const kinds = got.filter((text) => text !== 'live');
      expect(kinds).toEqual(lasts[i] === undefined ? ['21', '22'] : ['gap', '21', '22']);
    }
    expect(other).toContain('there');
    void live.close();
  });
});

describe('H7 loops of a room whose state is above readLimit', () => {
  it('end, except one that needs no state', async () => {
    const state = (): unknown => TOO_LONG;
    const { hub, dials, live, join, publish } = startPage({ state });
    await publish(1);
    const { messages } = await hub.room('r').history();
    const since = messages.at(-1)!.position;
    const one = join({ since });
    await advance(1_000);
    expect(one).toEqual(['live']);
    const two = join();
    await advance(20_000);
    expect(two).toEqual(['CloseError 1009']);
    const before = dials.count;
    expect(before).toBeLessThanOrEqual(6);
    await publish(2);
    await advance(60_000);
    expect(one.filter((text) => text !== 'live')).toEqual(['2']);
    expect(dials.count).toBe(before);
    void live.close();
  });
});
