import { describe, expect, it } from 'vitest';
import type { ChatEvent } from '../protocol.ts';
import { Room } from '../room.ts';

/** Adds a member and stores its events. */
function enter(room: Room, name: string): { id: number; events: ChatEvent[] } {
  const events: ChatEvent[] = [];
  const id = room.join(name, (event) => events.push(JSON.parse(event)));
  return { id, events };
}

describe('Room', () => {
  it('sends a message to everyone, and the latest messages to new members', () => {
    const room = new Room();
    const ada = enter(room, 'Ada');
    room.say(ada.id, 'k1', 'hello');
    const grace = enter(room, 'Grace');
    const said = { t: 'said', key: 'k1', name: 'Ada', text: 'hello', at: expect.any(Number) };
    expect(ada.events[1]).toEqual(said);
    expect(grace.events).toEqual([
      {
        t: 'welcome',
        you: grace.id,
        people: [
          { id: ada.id, name: 'Ada' },
          { id: grace.id, name: 'Grace' },
        ],
        history: [said],
      },
    ]);
  });

  it('stores the last fifty messages', () => {
    const room = new Room();
    const ada = enter(room, 'Ada');
    for (let i = 0; i < 60; i++) room.say(ada.id, `k${i}`, `message ${i}`);
    const [welcome] = enter(room, 'Grace').events;
    const history = welcome?.t === 'welcome' ? welcome.history.map(({ key }) => key) : [];
    expect([history.length, history[0], history.at(-1)]).toEqual([50, 'k10', 'k59']);
  });

  it('gives different names to all members', () => {
    const room = new Room();
    for (const name of ['Ada', 'ada', 'ADA', 'x'.repeat(32), 'x'.repeat(32)]) enter(room, name);
    const names = room.people.map(({ name }) => name);
    const cut = `${'x'.repeat(30)} 2`;
    expect(names).toEqual(['Ada', 'ada 2', 'ADA 3', 'x'.repeat(32), cut]);
  });

  it('lets members keep and change their name', () => {
    const room = new Room();
    const ada = enter(room, 'Ada');
    room.rename(ada.id, 'ada');
    room.rename(ada.id, 'Countess');
    expect(ada.events.slice(1)).toEqual([
      { t: 'renamed', person: { id: ada.id, name: 'ada' } },
      { t: 'renamed', person: { id: ada.id, name: 'Countess' } },
    ]);
  });

  it('removes a member who leaves, once', () => {
    const room = new Room();
    const ada = enter(room, 'Ada');
    const grace = enter(room, 'Grace');
    room.leave(grace.id);
    room.leave(grace.id);
    room.say(grace.id, 'k', 'still here');
    room.rename(grace.id, 'Ghost');
    expect(ada.events.slice(2)).toEqual([{ t: 'left', id: grace.id }]);
    expect(room.people).toEqual([{ id: ada.id, name: 'Ada' }]);
  });
});
