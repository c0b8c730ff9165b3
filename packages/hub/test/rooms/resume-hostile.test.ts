// Hostile clients and applications around a resume.

import { connPair } from '@ws/conn';
import { Hub, isPosition, type JoinOptions, type Position } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { node, turns, useFakeTime, wait } from '../nodes.ts';
import { first, publish, slowVisit, textsOf, visit } from './visits.ts';

const KEPT = { rooms: { 'r*': { history: true } } } as const;
const PADDING = ' '.repeat(2_500);

const unhandled: unknown[] = [];
const record = (error: unknown): void => void unhandled.push(error);
beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', record);
});
afterEach(async () => {
  await turns();
  process.off('unhandledRejection', record);
  expect(unhandled).toEqual([]);
});

describe('a position of a client', () => {
  it.each([2 ** 53, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '1', 1n, null])(
    'with the offset %s is refused, and the session is no member',
    async (offset) => {
      const hub = new Hub(KEPT);
      await publish(hub, 2);
      const since = { epoch: 'e', offset } as Position;
      expect(isPosition(since)).toBe(false);
      const { joined, session, received } = visit(hub, { since });
      await expect(joined).rejects.toThrow(TypeError);
      await expect(hub.room('r').history({ since })).rejects.toThrow(TypeError);
      await turns();
      expect([session.rooms.size, received]).toEqual([0, []]);
    },
  );

  it.each<[string, (last: Position) => Position]>([
    ['the largest offset', (last) => ({ ...last, offset: 2 ** 53 - 1 })],
    ['the epoch of another room', (last) => ({ ...last, epoch: 'other' })],
    ['the epoch __proto__', (last) => ({ ...last, epoch: '__proto__' })],
    ['an epoch of 1 MB', (last) => ({ ...last, epoch: 'x'.repeat(1e6) })],
    ['the text of the start', () => ({ epoch: 'none', offset: 0 })],
    ['JSON with __proto__', () => JSON.parse('{"__proto__":{"a":1},"epoch":"a","offset":1}')],
  ])('with %s gets all that is kept, and is told', async (_, sinceOf) => {
    const hub = new Hub(KEPT);
    const last = (await publish(hub, 2)).at(-1)!;
    const { joined, received } = visit(hub, { since: sinceOf(last), first });
    expect(await joined).toMatchObject({ complete: false, position: last });
    await turns();
    expect(received).toEqual(['false 2', '1', '2']);
    const { hub: b } = node(new MemoryBroker(), 'b', {
      rooms: { r: { history: true, delivery: 'through' } },
    });
    const at = (await publish(b, 2)).at(-1)!;
    const through = visit(b, { since: sinceOf(at), first });
    expect(await through.joined).toMatchObject({ complete: false, position: at });
    await b.close();
  });

  it('that changes after the call has no effect', async () => {
    const hub = new Hub({ ...KEPT, mayJoin: async () => true });
    const [one] = await publish(hub, 3);
    const since = { ...one! };
    const options: JoinOptions = { since };
    const { joined, received } = visit(hub, options);
    Object.assign(since, { offset: Number.NaN, epoch: 5 });
    Object.assign(options, { since: undefined, limit: -1, first: 5 });
    expect(await joined).toMatchObject({ complete: true });
    await turns();
    expect(received).toEqual(['2', '3']);
  });
});

describe('the arguments of room.history', () => {
  it.each<[string, unknown]>([
    ['a limit of 0', { limit: 0 }],
    ['a limit of NaN', { limit: Number.NaN }],
    ['a limit of 2^53', { limit: 2 ** 53 }],
    ['a text', 'x'],
    ['null', null],
    ['an array', []],
    ['since of null', { since: null }],
    ['a text as since', { since: 'e/1' }],
    ['an unknown name', { from: 1 }],
  ])('%s rejects', async (_, query) => {
    const hub = new Hub(KEPT);
    await publish(hub, 1);
    await expect(hub.room('r').history(query as never)).rejects.toThrow(/since|limit|history/);
  });
});

describe('joins and leaves of one turn', () => {
  it('give the messages of the last join once', async () => {
    const hub = new Hub(KEPT);
    const [one] = await publish(hub, 3);
    const entered = vi.fn();
    const left = vi.fn();
    hub.on('entered', entered);
    hub.on('left', left);
    const { session, joined, received } = visit(hub, { since: one!, first });
    session.leave('r');
    const again = session.join('r', { since: one!, first });
    session.leave('r');
    const last = session.join('r', { since: one!, first });
    void hub.room('r').publish('4');
    await expect(joined).rejects.toThrow(/left/);
    await expect(again).rejects.toThrow(/left/);
    // 3 when the resume has waited for its time: then it reads the message of this turn too.
    const { complete, position } = await last;
    expect(complete).toBe(true);
    await expect.poll(() => received).toEqual([`true ${position!.offset}`, '2', '3', '4']);
    expect([entered.mock.calls.length, left.mock.calls.length]).toEqual([3, 2]);
  });

  it('in 1,000 rooms give each room its messages', async () => {
    const hub = new Hub({ ...KEPT, maxRoomsPerSession: 1_000 });
    const names = Array.from({ length: 1_000 }, (_, i) => `r${i}`);
    for (const name of names) void hub.room(name).publish(name);
    await turns();
    const [client, server] = connPair();
    const session = hub.add(server);
    const since = { epoch: '', offset: 0 };
    const joins = names.map((name) => session.join(name, { since }));
    const texts = await textsOf(client, 'r999');
    expect(texts.toSorted()).toEqual(names.toSorted());
    for (const join of joins) expect(await join).toMatchObject({ complete: false });
  });
});

describe('the end of a resume', () => {
  it('comes with leave and join in first: the later join has its own first', async () => {
    const hub = new Hub(KEPT);
    const [one] = await publish(hub, 2);
    const [client, server] = connPair();
    const received: string[] = [];
    client.receive((message) => void received.push(message.text())).catch(() => {});
    const session = hub.add(server);
    let again: Promise<unknown> | undefined;
    const joined = session.join('r', {
      since: one!,
      first: () => {
        session.leave('r');
        again = session.join('r', { since: one!, first });
        return 'x';
      },
    });
    await expect(joined).rejects.toThrow(/left/);
    expect(await again).toMatchObject({ complete: true });
    await turns();
    expect(received).toEqual(['true 2', '2']);
  });
});

describe('first that leaves, joins again and throws', () => {
  it('ends the first join only', async () => {
    const hub = new Hub(KEPT);
    const errors: string[] = [];
    hub.on('error', (_, error) => void errors.push(String(error)));
    const [, server] = connPair();
    const session = hub.add(server);
    const joined = session.join('r', {
      first: () => {
        session.leave('r');
        void session.join('r');
        throw new Error('mine');
      },
    });
    await expect(joined).rejects.toThrow(/left/);
    expect([...session.rooms]).toEqual(['r']);
    expect(errors).toEqual(['Error: mine']);
  });
});

describe('an application that publishes', () => {
  it('in first sends the message after the missed ones, once', async () => {
    const hub = new Hub(KEPT);
    const [one] = await publish(hub, 2);
    const { received } = visit(hub, {
      since: one!,
      first: () => {
        void hub.room('r').publish('in first');
        return 'welcome';
      },
    });
    await turns();
    expect(received).toEqual(['welcome', '2', 'in first']);
  });

  it('in form is refused: no two messages have a position', async () => {
    const refused: unknown[] = [];
    const hub: Hub = new Hub({
      rooms: {
        r: {
          history: true,
          form(message, { position }) {
            hub
              .room('r')
              .publish('inner')
              .catch((error: unknown) => void refused.push(error));
            return `${position?.offset} ${message.text()}`;
          },
        },
      },
    });
    const errors: string[] = [];
    hub.on('error', (_, error) => void errors.push(String(error)));
    const { received } = visit(hub);
    const [one] = await publish(hub, 2);
    const again = visit(hub, { since: one! });
    await again.joined;
    await turns();
    expect([received, again.received]).toEqual([['1 1', '2 2'], ['2 2']]);
    expect(refused).toHaveLength(3);
    expect(errors[0]).toMatch(/publish: not allowed within form/);
    await hub.room('r').publish('3');
    expect(refused).toHaveLength(4);
  });
});

describe('what form returns', () => {
  it('is copied: later changes of shared bytes reach no client', async () => {
    const shared = new Uint8Array(1);
    const hub = new Hub({
      rooms: {
        r: {
          history: true,
          form(message) {
            shared[0] = Number(message.text());
            return shared;
          },
        },
      },
    });
    const live: number[] = [];
    const [client, server] = connPair();
    client.receive((message) => void live.push(message.bytes[0]!)).catch(() => {});
    await hub.add(server).join('r');
    const positions = [1, 2, 3].map((i) => hub.room('r').publish(`${i}`));
    const one = await positions[0]!;
    await turns();
    shared[0] = 99;
    expect(live).toEqual([1, 2, 3]);
    const again: number[] = [];
    const [other, end] = connPair();
    other.receive((message) => void again.push(message.bytes[0]!)).catch(() => {});
    await hub.add(end).join('r', { since: one! });
    shared[0] = 99;
    await turns();
    expect(again).toEqual([2, 3]);
  });

  it('is within the bounds of a part, however long it is', async () => {
    let formed = 0;
    const hub = new Hub({
      rooms: {
        r: {
          history: { size: 200 },
          form(message) {
            formed++;
            return `${message.text()}${' '.repeat(300_000)}`;
          },
        },
      },
    });
    await publish(hub, 100);
    formed = 0;
    const { client, joined } = slowVisit(hub, { since: { epoch: '', offset: 0 } });
    await turns();
    expect(formed).toBeLessThan(5);
    for (let i = 1; i <= 100; i++) expect(Number((await client.readMessage()).text())).toBe(i);
    expect(await joined).toMatchObject({ complete: false });
  });
});

describe('a history that expires during a resume', () => {
  useFakeTime();

  it('closes with 1013, and the next first tells of the loss', async () => {
    const history = { size: 1_000, bytes: 1e8, ttl: 5_000 };
    const hub = new Hub({ rooms: { r: { history } } });
    const [one] = await publish(hub, 300, PADDING);
    const { client, joined } = slowVisit(hub, { since: one!, first });
    await turns();
    await wait(11_000);
    client.receive(() => {}).catch(() => {});
    await expect(joined).rejects.toMatchObject({ code: 'WS_ERR_SESSION_CLOSED' });
    expect(await client.closed).toMatchObject({ code: 1013 });
    const again = visit(hub, { since: { ...one!, offset: 100 }, first });
    expect(await again.joined).toMatchObject({ complete: false });
  });
});
