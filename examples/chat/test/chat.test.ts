import { type Conn, connPair } from '@ws/conn';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { createChat } from '../chat.ts';
import type { ChatEvent, ChatRequest } from '../protocol.ts';

type Chat = ReturnType<typeof createChat>;
type Welcome = Extract<ChatEvent, { t: 'welcome' }>;

const chats: Chat[] = [];
function startChat(broker?: MemoryBroker): Chat {
  const chat = createChat(broker && memoryBackplane(broker));
  chats.push(chat);
  return chat;
}
afterEach(async () => {
  for (const chat of chats.splice(0)) await chat.close({ timeout: 1 });
});

/** A page of the chat. */
class Page {
  readonly conn: Conn;

  constructor(chat: Chat) {
    const [client, server] = connPair();
    this.conn = client;
    chat.add(server);
  }

  static async enter(chat: Chat, name: string, room?: string): Promise<[Page, Welcome]> {
    const page = new Page(chat);
    page.ask({ t: 'name', name, room });
    return [page, await page.next('welcome')];
  }

  ask(request: ChatRequest): void {
    void this.conn.send(JSON.stringify(request));
  }

  say(key: string, text = key): void {
    this.ask({ t: 'say', key, text });
  }

  /** The next event of this type. Drops earlier events. */
  async next<T extends ChatEvent['t']>(t: T): Promise<Extract<ChatEvent, { t: T }>> {
    for (;;) {
      const event = (await this.conn.readMessage()).json() as ChatEvent;
      if (event.t === t) return event as Extract<ChatEvent, { t: T }>;
    }
  }
}

describe('the chat', () => {
  it('sends a message to everyone, and the latest messages to new members', async () => {
    const chat = startChat();
    const [ada, first] = await Page.enter(chat, 'Ada');
    ada.say('k1', 'hello');
    const said = { t: 'said', key: 'k1', name: 'Ada', text: 'hello', at: expect.any(Number) };
    expect(await ada.next('said')).toEqual(said);
    const [, welcome] = await Page.enter(chat, 'Grace');
    const grace = { id: welcome.you, name: 'Grace' };
    expect(welcome).toEqual({
      t: 'welcome',
      you: grace.id,
      room: 'lobby',
      node: chat.id,
      people: [{ id: first.you, name: 'Ada' }, grace],
      history: [said],
    });
    expect(await ada.next('joined')).toEqual({ t: 'joined', person: grace });
  });

  it('leaves a visitor in no room when there are too many', async () => {
    const chat = startChat();
    const sessions = [chat.add(connPair()[1]), chat.add(connPair()[1])];
    for (let i = 0; i < 1_999; i++) void sessions[i % 2]!.join(`${i}`);
    const page = new Page(chat);
    page.ask({ t: 'name', name: 'Ada' });
    expect(await page.next('refused')).toMatchObject({ reason: 'there are too many rooms' });
    expect(chat.stats.rooms).toBe(1_999);
  });

  it('sends a message to its room only', async () => {
    const chat = startChat();
    const [ada] = await Page.enter(chat, 'Ada', 'garden');
    const [grace] = await Page.enter(chat, 'Ada', 'kitchen');
    grace.say('k1');
    await grace.next('said');
    ada.say('k2');
    expect(await ada.next('said')).toMatchObject({ key: 'k2', name: 'Ada' });
    const [, { people, history }] = await Page.enter(chat, 'Lin', 'kitchen');
    expect(people.map(({ name }) => name)).toEqual(['Ada', 'Lin']);
    expect(history.map(({ key }) => key)).toEqual(['k1']);
  });

  it('stores the last fifty messages', async () => {
    const chat = startChat();
    await Page.enter(chat, 'Ada');
    const room = chat.room('messages/lobby');
    for (let i = 0; i < 60; i++) {
      await room.publish(
        JSON.stringify({ t: 'said', key: `k${i}`, name: 'Ada', text: 'x', at: 1 }),
      );
    }
    const [, { history }] = await Page.enter(chat, 'Grace');
    expect([history.length, history[0]?.key, history.at(-1)?.key]).toEqual([50, 'k10', 'k59']);
  });

  it('leaves out what another program has written to the history', async () => {
    const chat = startChat();
    const room = chat.room('messages/lobby');
    const said = { t: 'said', key: 'k1', name: 'Ada', text: 'x', at: 1 };
    for (const text of ['{', 'null', '{"t":"said"}', JSON.stringify(said)])
      await room.publish(text);
    await room.publish(Uint8Array.of(0xff));
    const [, { history }] = await Page.enter(chat, 'Ada');
    expect(history).toEqual([said]);
  });

  it('gives different names to all members', async () => {
    const chat = startChat();
    let last: Welcome | undefined;
    for (const name of ['Ada', 'ada', 'ADA', 'x'.repeat(32), 'x'.repeat(32)]) {
      [, last] = await Page.enter(chat, name);
    }
    const names = last?.people.map(({ name }) => name);
    expect(names).toEqual(['Ada', 'ada 2', 'ADA 3', 'x'.repeat(32), `${'x'.repeat(30)} 2`]);
  });

  it('lets members keep and change their name', async () => {
    const [ada, { you: id }] = await Page.enter(startChat(), 'Ada');
    for (const name of ['ada', 'Countess']) {
      ada.ask({ t: 'name', name });
      expect(await ada.next('renamed')).toEqual({ t: 'renamed', person: { id, name } });
    }
  });

  it('sends left to the others when a member leaves', async () => {
    const chat = startChat();
    const [ada] = await Page.enter(chat, 'Ada');
    const [grace, { you }] = await Page.enter(chat, 'Grace');
    await grace.conn.close();
    expect(await ada.next('left')).toEqual({ t: 'left', id: you });
    const [, { people }] = await Page.enter(chat, 'Lin');
    expect(people.map(({ name }) => name)).toEqual(['Ada', 'Lin']);
  });

  it('spans nodes, with a common history, and reports a gap', async () => {
    const broker = new MemoryBroker();
    const [here, there] = [startChat(broker), startChat(broker)];
    const [ada] = await Page.enter(here, 'Ada');
    const [grace] = await Page.enter(there, 'Grace');
    ada.say('k1');
    expect(await grace.next('said')).toMatchObject({ key: 'k1', name: 'Ada' });
    const [, { history, people }] = await Page.enter(there, 'Lin');
    expect(history.map(({ key }) => key)).toEqual(['k1']);
    expect(people.map(({ name }) => name)).toEqual(['Grace', 'Lin']);
    broker.forget();
    broker.disconnect();
    broker.reconnect();
    expect(await grace.next('gap')).toEqual({ t: 'gap' });
  });
});
