import { connPair } from '@ws/conn';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { ReconnectingConn } from '@ws/reconnect';
import { type RoomMembers, roomsOf, START } from '@ws/rpc/rooms';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createChat } from '../chat.ts';
import { people } from '../protocol.ts';

type Chat = ReturnType<typeof createChat>;
type Said = { readonly key: string; readonly text: string };

const chats: Chat[] = [];
function startChat(broker?: MemoryBroker): Chat {
  const chat = createChat(broker && memoryBackplane(broker));
  chats.push(chat);
  return chat;
}
// Pages get the members at most once a second.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(async () => {
  const closed = chats.splice(0).map(({ hub }) => hub.close({ timeout: 1 }));
  await vi.advanceTimersByTimeAsync(10);
  await Promise.all(closed);
  vi.useRealTimers();
});

/** A page of the chat. */
class Page {
  readonly rooms;
  readonly room: string;
  readonly #loop;

  constructor(chat: Chat, name: string, room = 'lobby') {
    const live = new ReconnectingConn(async () => {
      const [client, server] = connPair();
      void chat.handler(server, undefined, { query: new URLSearchParams({ name, id: name }) });
      return client;
    });
    this.room = `chat/${room}`;
    this.rooms = roomsOf(live, { contract: people });
    this.#loop = this.rooms.join(this.room, { since: START });
  }

  say(key: string, text = key): Promise<void> {
    return this.rooms.publish(this.room, { key, text, at: 1 });
  }

  /** The keys of the next messages; `gap` for a gap. */
  async hear(count: number): Promise<string[]> {
    const keys: string[] = [];
    while (keys.length < count) {
      const { value } = await this.#loop.next();
      if (value!.kind === 'live') continue;
      keys.push(value!.kind === 'message' ? (value!.data as Said).key : value!.kind);
    }
    return keys;
  }

  /** Who has sent the next messages. */
  async from(count: number): Promise<unknown[]> {
    const senders: unknown[] = [];
    while (senders.length < count) {
      const { value } = await this.#loop.next();
      if (value!.kind === 'message') senders.push(value!.from);
    }
    return senders;
  }

  get names(): unknown[] {
    return namesOf(this.rooms.members(this.room));
  }

  /** Resolves when the page shows these people. */
  async shows(...names: string[]): Promise<void> {
    const isShown = (): boolean =>
      this.names.length === names.length && names.every((name) => this.names.includes(name));
    while (!isShown()) await vi.advanceTimersByTimeAsync(100);
  }
}

const namesOf = (members: RoomMembers): string[] =>
  [...members.values()].map(({ info }) => (info as { name: string }).name);

describe('the chat', () => {
  it('sends a message to everyone, and the latest messages to new members', async () => {
    const chat = startChat();
    const ada = new Page(chat, 'Ada');
    await ada.say('k1', 'hello');
    expect(await ada.hear(2)).toEqual(['gap', 'k1']);
    const grace = new Page(chat, 'Grace');
    expect(await grace.hear(2)).toEqual(['gap', 'k1']);
    await ada.shows('Ada', 'Grace');
    await grace.shows('Ada', 'Grace');
  });

  it('says who sends a message, whatever the page says', async () => {
    const chat = startChat();
    const grace = new Page(chat, 'Grace');
    await grace.hear(1);
    const ada = new Page(chat, 'Ada');
    await ada.say('k1');
    await ada.rooms.peer.name('Countess');
    await ada.say('k2');
    expect(await grace.from(2)).toEqual(['Ada', 'Countess']);
  });

  it('refuses names of rooms that are none', async () => {
    const page = new Page(startChat(), 'Ada', 'a/b');
    await expect(page.hear(1)).rejects.toMatchObject({ code: -32_001 });
  });

  it('says what is wrong with a message', async () => {
    const page = new Page(startChat(), 'Ada');
    await expect(page.say('k1', '\u0007')).rejects.toMatchObject({
      code: -32_602,
      data: { issues: [{ message: 'a message has 1 to 2000 characters' }] },
    });
  });

  it('sends a message to its room only', async () => {
    const chat = startChat();
    const ada = new Page(chat, 'Ada', 'garden');
    const grace = new Page(chat, 'Grace', 'kitchen');
    await grace.say('k1');
    await ada.say('k2');
    expect(await ada.hear(2)).toEqual(['gap', 'k2']);
    await grace.shows('Grace');
  });

  it('stores the last fifty messages', async () => {
    const chat = startChat();
    for (let i = 0; i < 60; i++) {
      await chat.hub.room('chat/lobby').publishJSON({ key: `k${i}`, text: 'x', at: 1 });
    }
    const keys = await new Page(chat, 'Grace').hear(51);
    expect([keys[0], keys[1], keys.at(-1)]).toEqual(['gap', 'k10', 'k59']);
  });

  it('lets members change their name', async () => {
    const chat = startChat();
    const ada = new Page(chat, 'Ada');
    const grace = new Page(chat, 'Grace');
    await grace.shows('Ada', 'Grace');
    await ada.rooms.peer.name('Countess');
    await grace.shows('Countess', 'Grace');
  });

  it('lets a visitor in after others have filled all rooms and left them', async () => {
    const chat = startChat();
    for (let i = 0; i < 5_000; i++) {
      const said = { key: 'k1', text: 'x', at: 1 };
      await chat.hub.room(`chat/flood-${i}`).publishJSON(said);
    }
    const ada = new Page(chat, 'Ada');
    await ada.say('k2');
    expect(await ada.hear(2)).toEqual(['gap', 'k2']);
  });

  it('lets a visitor into a sixth room when it has left another one', async () => {
    const { rooms } = new Page(startChat(), 'Eve', 'a0');
    const loops = ['a1', 'a2', 'a3', 'a4'].map((room) => rooms.join(`chat/${room}`));
    const sixth = rooms.join('chat/a5', { since: START });
    let isIn = false;
    void sixth.next().then(() => (isIn = true));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(isIn).toBe(false);
    await loops[0]!.return!();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(isIn).toBe(true);
  });

  it('spans nodes, with a common history and all people', async () => {
    const broker = new MemoryBroker();
    const [here, there] = [startChat(broker), startChat(broker)];
    const ada = new Page(here, 'Ada');
    const grace = new Page(there, 'Grace');
    await grace.shows('Ada', 'Grace');
    await ada.say('k1');
    expect(await grace.hear(2)).toEqual(['gap', 'k1']);
    expect(await new Page(there, 'Lin').hear(2)).toEqual(['gap', 'k1']);
    await ada.shows('Ada', 'Grace', 'Lin');
  });
});
