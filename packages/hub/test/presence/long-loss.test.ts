// What is lost for longer than a version is repeated, and nodes that share an id.
import type { Hub } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { node, turns, useFakeTime, wait } from '../nodes.ts';
import { byEvents, keys, member, SHOWN, shown } from './members.ts';

useFakeTime();

interface Pair {
  readonly broker: MemoryBroker;
  readonly a: Hub;
  readonly b: Hub;
  /** The node a gets no message for which it returns true. */
  lose: (channel: string, text: string) => boolean;
}

/** Two nodes with a member each. */
async function pair(): Promise<Pair> {
  const options = { ...SHOWN, maxRoomsPerSession: 2_000 };
  const broker = new MemoryBroker();
  const found = { broker, lose: () => false } as unknown as Pair & { a: Hub; b: Hub };
  found.a = node(broker, 'a', options, (backplane) => ({
    start: (sink, id) =>
      backplane.start(
        {
          ...sink,
          message(channel, bytes, ...rest) {
            if (!found.lose(channel, new TextDecoder().decode(bytes))) {
              sink.message(channel, bytes, ...rest);
            }
          },
        },
        id,
      ),
  })).hub;
  found.b = node(broker, 'b', options).hub;
  await wait(5_000);
  member(found.a, 'ada', 'r');
  member(found.b, 'bob', 'r');
  await turns();
  return found;
}

describe('a node that gets no word for 90 s', () => {
  it.each([
    ['of any channel', () => true],
    ['of a room', (channel: string) => channel === 'room/r'],
  ])('%s has all members and no ghost after it', async (_, lose) => {
    const both = await pair();
    const { a, b } = both;
    const leaving = member(b, 'leaving', 'r');
    await turns();
    both.lose = lose;
    leaving.leave('r');
    member(b, 'new', 'r');
    b.sessions.get('bob')!.show('r', 7);
    await wait(90_000);
    both.lose = () => false;
    await wait(60_000);
    expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob', 'b/new']);
    expect(a.room('r').presence.get('b/bob')?.info).toBe(7);
    for (const hub of [a, b]) expect(hub.room('r').presenceComplete).toBe(true);
  });

  it('of a room has no ghost of a node that has left the room', async () => {
    const both = await pair();
    both.lose = (channel) => channel === 'room/r';
    both.b.sessions.get('bob')!.leave('r');
    await wait(90_000);
    both.lose = () => false;
    await wait(60_000);
    expect(shown(both.a)).toEqual([['a/ada'], true]);
  });

  it('asks about each room of many', async () => {
    const { broker, a } = await pair();
    const rooms = Array.from({ length: 1_100 }, (_, i) => `r/${i}`);
    for (const room of rooms) void a.sessions.get('ada')!.join(room);
    await wait(60_000);
    const sent = vi.spyOn(broker, 'publish');
    await wait(120_000);
    const asked = new Set<string>();
    for (const [, , bytes] of sent.mock.calls) {
      const text = new TextDecoder().decode(bytes);
      if (!text.includes('"need"')) continue;
      const word = JSON.parse(text.slice(text.indexOf('{'))) as { rooms: string[] };
      for (const room of word.rooms) asked.add(room);
    }
    expect(asked).toEqual(new Set(['r', ...rooms]));
  });
});

it('a snapshot that is lost is asked for again, and is not complete meanwhile', async () => {
  const both = await pair();
  const { a, b } = both;
  let lost = 0;
  both.lose = (_, text) => text.includes('"word":"state"') && ++lost > 0;
  b.sessions.get('bob')!.show('r', 1);
  const [, second] = [a.sessions.get('ada')!.leave('r'), member(a, 'second', 'r')];
  await turns();
  expect([second.rooms.has('r'), a.room('r').presenceComplete]).toEqual([true, false]);
  await wait(5_000);
  expect(a.room('r').presenceComplete).toBe(false);
  expect(lost).toBeGreaterThan(1);
  both.lose = () => false;
  await wait(5_000);
  expect(shown(a)).toEqual([['a/second', 'b/bob'], true]);
});

describe('two nodes with one id', () => {
  it('both show their members, and one key of a session of both, until one ends', async () => {
    const { broker, a, b } = await pair();
    const twin = node(broker, 'b', SHOWN).hub;
    member(twin, 'tom', 'r');
    member(twin, 'bob', 'r').show('r', 'twin');
    await wait(10_000);
    for (const hub of [a, b, twin]) {
      expect(shown(hub)).toEqual([['a/ada', 'b/bob', 'b/tom'], true]);
    }
    const closing = twin.close({ timeout: 10 });
    await wait(10);
    await closing;
    for (const hub of [a, b]) {
      expect(keys(hub.room('r').presence)).toEqual(['a/ada', 'b/bob']);
      expect(hub.room('r').presence.get('b/bob')?.info).toEqual({ name: 'bob' });
    }
  });
});

it('a clock of the day that jumps moves no member', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
  const { a, b } = await pair();
  const events = byEvents(a);
  for (const ms of [86_400_000, -86_400_000]) {
    vi.setSystemTime(Date.now() + ms);
    await wait(6_000);
    for (const hub of [a, b]) {
      expect(shown(hub)).toEqual([['a/ada', 'b/bob'], true]);
    }
  }
  expect(events.calls).toBe(0);
});
