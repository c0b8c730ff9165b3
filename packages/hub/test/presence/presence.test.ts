import { connPair } from '@ws/conn';
import { Hub, type HubOptions, type Presences, type Session } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { node, turns, wait } from '../nodes.ts';

const SHOWN: HubOptions = { rooms: { 'r*': { presence: ({ id }) => ({ name: id }) } } };

function member(hub: Hub, id: string, ...rooms: string[]): Session {
  const [, server] = connPair();
  const session = hub.add(server, { id });
  for (const room of rooms) void session.join(room);
  return session;
}

function keys(presences: Presences): string[] {
  return [...presences.keys()].toSorted();
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

describe('Room.presence on one node', () => {
  it('has the members with their info, at once', () => {
    const hub = new Hub(SHOWN);
    member(hub, 'ada', 'r');
    expect(hub.room('r').presence).toEqual(
      new Map([[`${hub.id}/ada`, { node: hub.id, session: 'ada', info: { name: 'ada' } }]]),
    );
    expect(hub.room('r').presenceComplete).toBe(true);
  });
});

describe('Room.presence on several nodes', () => {
  it('has the members of all nodes', async () => {
    const broker = new MemoryBroker();
    const [a, b, c] = ['a', 'b', 'c'].map((id) => node(broker, id, SHOWN).hub) as [Hub, Hub, Hub];
    await wait(5_000);
    member(a, 'ada', 'r');
    await turns();
    member(b, 'bob', 'r');
    await turns();
    for (const hub of [a, b]) {
      expect(keys(hub.room('r').presence)).toEqual(['a/ada', 'b/bob']);
      expect(hub.room('r').presenceComplete).toBe(true);
    }
    expect(c.room('r').presence.size).toBe(0);
    expect(c.room('r').presenceComplete).toBe(false);
    expect(await c.everywhere.count('r')).toEqual({ sessions: 2, nodes: 3, silent: [] });
  });
});
