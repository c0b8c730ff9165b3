// Clients that do not keep to the rules of rooms.
import { connPair } from '@ws/conn';
import { serveRooms } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { RpcError } from '@ws/rpc';
import { START } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { hangingMayJoin, nextOf, read, startClient, startNode, startRaw, TABLE } from './setup.ts';

const REFUSED = { code: -32_001, message: 'room refused' };
const ID = 'A'.repeat(22);

describe('a client that asks for a room', () => {
  it('gets one answer for rooms outside of the table, refused ones, and names that cannot be', async () => {
    const { node, hub } = startNode({
      ...TABLE,
      'team/*': { mayJoin: () => false },
      'async/*': { mayJoin: async () => false },
      broken: {
        mayJoin: () => {
          throw new RpcError(7, 'secret');
        },
      },
      nobody: { mayJoin: false },
    });
    // Only the application can join a session to such a room.
    await hub.add(connPair()[1]).join('private');
    await hub.room('private').publish('exists');
    const { ask } = startRaw(node);
    const names = [
      'private',
      'nothing',
      'team/red',
      'async/a',
      'broken',
      'nobody',
      'chat',
      '',
      '__proto__',
      'constructor',
      `chat/${'x'.repeat(300)}`,
    ];
    for (const room of names) {
      const { error } = await ask('room.join', { room });
      expect({ room, error }).toEqual({ room, error: REFUSED });
    }
  });

  it('gets no room of the server by room.leave or room.publish', async () => {
    const { node } = startNode();
    const { ask, session } = startRaw(node);
    await session.join('user/eve');
    expect((await ask('room.leave', { room: 'user/eve' })).error).toEqual(REFUSED);
    expect((await ask('room.publish', { room: 'user/eve', id: ID, data: 1 })).error).toEqual(
      REFUSED,
    );
    expect([...session.rooms]).toEqual(['user/eve']);
  });

  it('gets all that is kept for a position of another room, and a gap', async () => {
    const { node, hub } = startNode();
    const other = await hub.room('chat/other').publish('{"text":"1"}');
    await hub.room('chat/main').publish('{"text":"2"}');
    const { ask } = startRaw(node);
    const { result, events } = await ask('room.join', { room: 'chat/main', since: other });
    expect(result).toMatchObject({ complete: false, missed: 1 });
    expect(events.map(({ method }) => method)).toEqual(['room.gap', 'room.message']);
  });

  it.each([
    ['a room that is no text', { room: 1 }],
    ['a position that is none', { room: 'chat/main', since: 7 }],
    ['an offset below 0', { room: 'chat/main', since: { epoch: '', offset: -1 } }],
    ['a huge position', { room: 'chat/main', since: { epoch: 'x'.repeat(8_193), offset: 0 } }],
    ['no input', null],
  ])('gets -32602 for %s', async (_, params) => {
    const { node } = startNode();
    const { ask } = startRaw(node);
    const { error } = await ask('room.join', params ?? []);
    expect(error).toMatchObject({ code: -32_602 });
  });

  it('counts for the option rate', async () => {
    const { node } = startNode(TABLE, {
      rate: { messages: 2, over: 'close' },
    });
    const { client, send } = startRaw(node);
    for (let id = 1; id < 9; id++) send('room.join', { room: `chat/${id}` }, id).catch(() => {});
    expect((await client.closed).code).toBe(1013);
  });

  it('leaves when it cancels a join', async () => {
    const { mayJoin, asked } = hangingMayJoin();
    const { node } = startNode({ slow: { mayJoin } });
    const { session, next, send } = startRaw(node);
    await send('room.join', { room: 'slow' }, 1);
    await asked;
    await send('$/cancelRequest', { id: 1 });
    expect((await next())['error']).toMatchObject({ code: -32_800 });
    expect(session.rooms.size).toBe(0);
  });
});

describe('a client that reads nothing while it joins', () => {
  const start = async () => {
    const { node, hub } = startNode();
    const data = JSON.stringify({ text: 'x'.repeat(1_000) });
    for (let i = 0; i < 300; i++) await hub.room('chat/main').publish(data);
    const raw = startRaw(node);
    const join = (id: number) => raw.send('room.join', { room: 'chat/main', since: START }, id);
    return { hub, ...raw, join };
  };

  it('gets the messages for each join, one after the other, and is a member once', async () => {
    const { hub, next, join } = await start();
    const events: string[] = [];
    hub.on('entered', () => void events.push('entered'));
    hub.on('left', () => void events.push('left'));
    for (let id = 1; id <= 3; id++) await join(id);
    const got: unknown[] = [];
    for (let messages = 0; got.length < 3; ) {
      const { id, result, method } = await next();
      if (method === 'room.message') messages++;
      if (id === undefined) continue;
      expect(result).toMatchObject({ missed: 300 });
      got.push([id, messages]);
      messages = 0;
    }
    expect(got).toEqual([
      [1, 300],
      [2, 300],
      [3, 300],
    ]);
    expect(events).toEqual(['entered']);
    expect(hub.stats.refused).toBe(0);
  });

  it('is no member after a leave behind a second join, and after a cancel of a join', async () => {
    const { next, join, session, send } = await start();
    await join(1);
    await join(2);
    await send('room.leave', { room: 'chat/main' }, 3);
    const answers = new Map<unknown, unknown>();
    const untilAnswers = async (count: number): Promise<void> => {
      while (answers.size < count) {
        const { id, error } = await next();
        if (id !== undefined) answers.set(id, (error as { code: number } | undefined)?.code);
      }
    };
    await untilAnswers(3);
    expect(Object.fromEntries(answers)).toEqual({ 1: -32_800, 2: -32_800, 3: undefined });
    expect(session.rooms.size).toBe(0);
    await join(4);
    await expect.poll(() => session.rooms.size).toBe(1);
    await send('$/cancelRequest', { id: 4 });
    await untilAnswers(4);
    expect(answers.get(4)).toBe(-32_800);
    expect(session.rooms.size).toBe(0);
  });

  it('is no member after it has gone, and holds up no close of the hub', async () => {
    const { hub, client, join } = await start();
    await join(1);
    await join(2);
    client.terminate();
    await client.closed;
    await expect.poll(() => hub.room('chat/main').members.size).toBe(0);
    expect(await hub.close({ timeout: 5_000 })).toMatchObject({ handlersPending: 0 });
  });
});

describe('a client that publishes', () => {
  it('is refused unless it is a member and the key lets it', async () => {
    const { node } = startNode({
      quiet: { mayJoin: true },
      mine: { mayJoin: true, mayPublish: (session) => session.data === 'ann' },
      broken: { mayJoin: true, mayPublish: async () => 'yes' as never },
      open: { mayJoin: true, mayPublish: true },
    });
    const { ask } = startRaw(node);
    for (const room of ['quiet', 'mine', 'broken']) {
      await ask('room.join', { room });
      const { error } = await ask('room.publish', { room, id: ID, data: 1 });
      expect({ room, error }).toEqual({ room, error: REFUSED });
    }
    expect((await ask('room.publish', { room: 'open', id: ID, data: 1 })).error).toEqual(REFUSED);
    await ask('room.join', { room: 'open' });
    expect((await ask('room.publish', { room: 'open', id: ID, data: 1 })).error).toBeUndefined();
    await ask('room.leave', { room: 'open' });
    expect((await ask('room.publish', { room: 'open', id: ID, data: 1 })).error).toEqual(REFUSED);
  });

  it.each(['mayPublish', 'schema'])(
    'is refused when it has left before %s has decided',
    async (slow) => {
      let decide: () => void = () => {};
      const wait = () => new Promise<void>((resolve) => (decide = resolve));
      const validate = async (value: unknown) => {
        await wait();
        return { value };
      };
      const { node, hub } = startNode({
        mayPublish: { history: true, mayJoin: true, mayPublish: () => wait().then(() => true) },
        schema: {
          schema: { '~standard': { version: 1, vendor: 'slow', validate } },
          history: true,
          mayJoin: true,
          mayPublish: true,
        },
      });
      const { ask, session } = startRaw(node);
      await ask('room.join', { room: slow });
      const answer = ask('room.publish', { room: slow, id: ID, data: 1 });
      while (session.conn.stats.messagesIn < 2)
        await new Promise((resolve) => setImmediate(resolve));
      session.leave(slow);
      decide();
      expect((await answer).error).toEqual(REFUSED);
      expect((await hub.room(slow).history()).messages).toEqual([]);
    },
  );

  it('gets -32602 for data that does not fit, and for an id that could be a counter', async () => {
    const { node } = startNode();
    const { ask } = startRaw(node);
    await ask('room.join', { room: 'chat/main' });
    const bad = await ask('room.publish', { room: 'chat/main', id: ID, data: { text: 1 } });
    expect(bad.error).toMatchObject({ code: -32_602, data: { issues: [{ path: ['text'] }] } });
    for (const id of [1, '1', 'x'.repeat(37), `${'x'.repeat(21)}"`]) {
      const { error } = await ask('room.publish', { room: 'chat/main', id, data: { text: '' } });
      expect(error).toMatchObject({ code: -32_602 });
    }
  });

  it('hides no message of others by a guessed or a repeated id', async () => {
    const { node } = startNode();
    const ann = startClient(node);
    const loop = ann.rooms.join('chat/main');
    const { ask } = startRaw(node);
    await ask('room.join', { room: 'chat/main' });
    const say = (id: string, text: string) =>
      ask('room.publish', { room: 'chat/main', id, data: { text } });
    await say(ID, 'first');
    await say(ID, 'other');
    await say(ID, 'first');
    await say(ID, 'last');
    expect(await read(loop, 3)).toEqual(['first', 'other', 'last']);
  });
});

describe('rooms of two hubs in one process', () => {
  it('share messages over a backplane, and nothing without one', async () => {
    const broker = new MemoryBroker();
    const one = startNode(TABLE, { backplane: memoryBackplane(broker) });
    const two = startNode(TABLE, { backplane: memoryBackplane(broker) });
    const alone = startNode();
    const [ann, bob, cid] = [one, two, alone].map(({ node }) => startClient(node));
    const loops = [ann!, bob!, cid!].map(({ rooms }) => rooms.join('chat/main'));
    await cid!.rooms.publish('chat/main', { text: 'alone' });
    await bob!.rooms.publish('chat/main', { text: 'b' });
    await ann!.rooms.publish('chat/main', { text: 'a' });
    expect(await read(loops[0]!, 2)).toEqual(['b', 'a']);
    expect(await read(loops[1]!, 2)).toEqual(['b', 'a']);
    expect(await read(loops[2]!, 1)).toEqual(['alone']);
    for (const { live } of [ann!, bob!, cid!]) await live.close();
    await Promise.all([one, two, alone].map(({ hub }) => hub.close({ timeout: 1 })));
  });
});

describe('serveRooms', () => {
  it.each([
    ['a key without mayJoin', { a: {} }, {}, /mayJoin: true lets everyone/],
    [
      'mayJoin that is no boolean',
      { a: { mayJoin: 'all' } },
      {},
      /a"\]\.mayJoin: expected a boolean/,
    ],
    ['mayPublish that is no boolean', { a: { mayJoin: true, mayPublish: 1 } }, {}, /mayPublish/],
    ['form', { a: { mayJoin: true, form: () => '' } }, {}, /unknown option form/],
    ['delivery', { a: { mayJoin: true, delivery: 'through' } }, {}, /unknown option delivery/],
    ['a schema that is none', { a: { mayJoin: true, schema: String } }, {}, /Standard Schema/],
    ['members without presence', { a: { mayJoin: true, members: true } }, {}, /needs presence/],
    ['a * within a key', { 'a*b': { mayJoin: true } }, {}, /one \*/],
    ['hub.rooms', {}, { hub: { rooms: {} } }, /hub\.rooms is made of the table/],
    ['hub.mayJoin', {}, { hub: { mayJoin: () => true } }, /hub\.mayJoin is made of the table/],
    ['hub.overflow', {}, { hub: { overflow: 'latest' } }, /hub\.overflow is close/],
    ['an unknown option', {}, { handler: 1 }, /unknown option handler/],
    ['no table', undefined, {}, /object of rooms/],
  ])('refuses %s', (_, table, options, message) => {
    expect(() => serveRooms(table as never, options as never)).toThrow(message);
  });
});

describe('data of many levels', () => {
  it('is refused without a report, or reaches the loops', async () => {
    const { node, errors } = startNode({ open: { mayJoin: true, mayPublish: true } });
    const ann = startClient(node);
    const loop = ann.rooms.join('open');
    const { client, ask } = startRaw(node);
    await ask('room.join', { room: 'open' });
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    const results: string[] = [];
    for (const levels of [1_000, 4_000, 100_000]) {
      const params = `{"room":"open","id":"${ID}","data":${nested(levels)}}`;
      await client.send(`{"jsonrpc":"2.0","id":7,"method":"room.publish","params":${params}}`);
      let answer: { id?: number; error?: { code: number } };
      do answer = (await client.readMessage()).json() as typeof answer;
      while (answer.id !== 7);
      results.push(String(answer.error?.code));
    }
    expect(results).toEqual(['undefined', 'undefined', '-32602']);
    expect(await nextOf(loop)).toMatchObject({ kind: 'message' });
    expect(await nextOf(loop)).toMatchObject({ kind: 'message' });
    expect(errors).toEqual([]);
  });
});
