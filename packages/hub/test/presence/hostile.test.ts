// Words that no hub says, and nodes that lie.
import type { Hub, HubOptions } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { encodeEnvelope } from '../../src/backplane/envelope.ts';
import { node, turns, useFakeTime, wait } from '../nodes.ts';
import { byEvents, keys, member, SHOWN } from './members.ts';

useFakeTime();

const LIAR = 'liar/0123456789abcdef';

interface Scene {
  readonly broker: MemoryBroker;
  readonly a: Hub;
  readonly b: Hub;
  readonly errors: string[];
  /** Gives a word, or another text, to the nodes, as the liar or under another name. */
  readonly inject: (channel: string, word: unknown, name?: string) => void;
  /** The same, and waits until the nodes have heard it. */
  readonly say: (channel: string, word: unknown, name?: string) => Promise<void>;
}

async function scene(options: HubOptions = SHOWN): Promise<Scene> {
  const broker = new MemoryBroker();
  const [{ hub: a, errors }, { hub: b }] = [node(broker, 'a', options), node(broker, 'b', options)];
  await wait(5_000);
  member(a, 'ada', 'r');
  member(b, 'bob', 'r');
  await turns();
  const inject = (channel: string, word: unknown, name = LIAR): void => {
    const text = typeof word === 'string' ? word : JSON.stringify(word);
    broker.inject(
      channel,
      encodeEnvelope({
        node: name,
        counter: 0,
        previousMs: undefined,
        exact: false,
        key: undefined,
        message: undefined,
        word: new TextEncoder().encode(text),
      }),
    );
  };
  const say = (...word: Parameters<typeof inject>): Promise<void> => {
    inject(...word);
    return turns();
  };
  return { broker, a, b, errors, inject, say };
}

const change = { word: 'change', from: 0, version: 1, on: [['eve', '1']], off: [], size: 1 };

describe('a forged word', () => {
  it.each([
    ['no JSON', '{'],
    ['a list', []],
    ['null', 'null'],
    ['no word', {}],
    ['a word of Object.prototype', { word: 'hasOwnProperty' }],
    ['a version that is text', { ...change, version: '1' }],
    ['a version below the one before', { ...change, from: 2 }],
    ['a version that is no safe integer', { ...change, version: 2 ** 60 }],
    ['members that are no list', { ...change, on: { length: 1 } }],
    ['a member that is null', { ...change, on: [null] }],
    ['a session that is a number', { ...change, on: [[1, '1']] }],
    ['a session of 1 MiB', { ...change, on: [['x'.repeat(1_048_576), '1']] }],
    ['info above 1 KiB', { ...change, on: [['eve', `"${'x'.repeat(1_024)}"`]] }],
    ['info that is no JSON', { ...change, on: [['eve', '{']] }],
    ['info that is no text', { ...change, on: [['eve', { name: 'eve' }]] }],
    ['a session that leaves and is no text', { ...change, off: [{}] }],
    ['a part after the last', { word: 'state', version: 1, part: 1, parts: 1, on: [] }],
    ['JSON that is deep', `{"word":"change","on":${'['.repeat(100_000)}`],
    ['deep info', { ...change, on: [['eve', '['.repeat(1_000)]] }],
    ['300 KiB', { ...change, off: Array.from({ length: 300 }, () => 'x'.repeat(1_024)) }],
  ])('with %s changes nothing, and is reported', async (_, word) => {
    const { a, b, errors, say } = await scene();
    for (const channel of ['room/r', 'all']) await say(channel, word);
    await wait(1_000);
    for (const hub of [a, b]) expect(keys(hub.room('r').presence)).toEqual(['a/ada', 'b/bob']);
    const isUnknown = typeof word === 'object' && 'word' in word && word.word === 'hasOwnProperty';
    expect(errors.length).toBe(isUnknown ? 0 : 2);
    expect(errors.every((text) => /invalid (bytes|messages)|1 invalid/.test(text))).toBe(true);
  });

  it.each([
    ['a question without an act', { word: 'question', id: 1, question: {} }],
    ['a question that is null', { word: 'question', id: 1, question: null }],
    ['a code that must not be sent', close({ session: 'ada', code: 1006 })],
    ['a code that stands for none', close({ session: 'ada', code: 1005 })],
    ['a long reason', close({ session: 'ada', reason: 'x'.repeat(124) })],
    ['two targets', close({ session: 'ada', room: 'r' })],
    ['no target', close({})],
    ['an id that is no number', { ...close({ session: 'ada' }), id: '1' }],
  ])('with %s closes no session', async (_, word) => {
    const { a, errors, say } = await scene();
    await say('all', word);
    expect(a.sessions.get('ada')!.state).toBe('open');
    expect(errors.length).toBe(1);
  });

  it('may close sessions if it is right: who may publish in the engine may do so', async () => {
    const { a, say } = await scene();
    await say('all', close({ session: 'ada' }));
    expect(a.sessions.get('ada')?.state).not.toBe('open');
    expect(keys(a.room('r').presence)).toEqual([]);
  });

  it('of a kind that a newer version has is ignored', async () => {
    const { errors, say } = await scene();
    await say('all', { word: 'newer' });
    await say('room/r', { word: 'newer' });
    expect(errors).toEqual([]);
  });

  it.each(['liar', '/0123456789abcdef', 'liar/0123456789ABCDEF', 'liar/0123', 'x'.repeat(255)])(
    'of the name %s is ignored',
    async (name) => {
      const { a, say } = await scene();
      await say('room/r', change, name);
      expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob']);
    },
  );

  it('on the wrong channel is ignored', async () => {
    const { a, say } = await scene();
    await say('all', change);
    await say('room/r', close({ session: 'ada' }));
    await say('room/r', { word: 'end' });
    expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob']);
    expect(a.sessions.get('ada')!.state).toBe('open');
  });
});

function close(question: object): object {
  const all = { act: 'close', code: 1000, reason: '', ...question };
  return { word: 'question', id: 1, question: all };
}

describe('a node that lies', () => {
  it('writes its own members only', async () => {
    const { a, say } = await scene();
    await say('room/r', { ...change, on: [['b/bob', '"eve"']], off: ['bob', 'b/bob', 'ada'] });
    await say('room/r', { word: 'state', version: 2, part: 0, parts: 1, on: [['bob', '"eve"']] });
    expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob', 'liar/bob']);
    expect(a.room('r').presence.get('b/bob')?.info).toEqual({ name: 'bob' });
  });

  it('shows no more members than the bound, and takes no memory above it', async () => {
    const { a, say } = await scene({ ...SHOWN, maxPresence: 1_000 });
    const count = 200;
    let version = 0;
    for (let part = 0; part < 10; part++) {
      const on = Array.from({ length: count }, (_, i) => [`${part}-${i}`, '1']);
      await say('room/r', { ...change, from: version, version: ++version, on, size: 1e6 });
    }
    expect(a.room('r').presence.size).toBe(1_000);
    expect(a.room('r').presenceComplete).toBe(false);
    // An endless state.
    const on = Array.from({ length: count }, (_, i) => [`s${i}`, '1']);
    for (let part = 0; part < 20; part++) {
      await say('room/r', { word: 'state', version: 1e6, part, parts: 1e9, on });
    }
    expect(a.room('r').presence.size).toBe(1_000);
    await wait(20_000);
    expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob']);
  });

  it('pollutes no prototype', async () => {
    const { a, say } = await scene();
    const info = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
    await say('room/r', { ...change, on: [['__proto__', info]] });
    await say('all', '{"word":"beat","__proto__":{"polluted":1}}');
    expect(keys(a.room('r').presence)).toContain('liar/__proto__');
    expect('polluted' in {}).toBe(false);
  });

  it('asks as often as it likes, and gets one state in a turn', async () => {
    const { broker, a, inject } = await scene();
    for (let i = 0; i < 100; i++) member(a, `s${i}`, 'r');
    await turns();
    const sent = vi.spyOn(broker, 'publish');
    const need = { word: 'need', full: true, rooms: ['r', 'r', 'other', '__proto__'] };
    for (let i = 0; i < 20; i++) {
      for (let j = 0; j < 10; j++) inject('all', need);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const states = sent.mock.calls.filter(([from, channel, bytes]) => {
      return (
        from.id === 'a' &&
        channel === 'room/r' &&
        new TextDecoder().decode(bytes).includes('"state"')
      );
    });
    expect(states.length).toBeLessThanOrEqual(2);
  });

  it('is forgotten 15 s after its last word, and 1,000 of them are the bound', async () => {
    const { a, b, inject } = await scene();
    for (let i = 0; i < 1_005; i++) {
      inject('all', { word: 'beat' }, `liar${i}/0123456789abcdef`);
    }
    await turns();
    const count = a.everywhere.count('r');
    await wait(5_000);
    const { sessions, silent } = await count;
    expect(sessions).toBe(2);
    expect(silent.length).toBe(999);
    expect(a.room('r').presenceComplete).toBe(false);
    await wait(15_000);
    expect(await a.everywhere.count('r')).toEqual({ sessions: 2, nodes: 2, silent: [] });
    expect(keys(b.room('r').presence)).toEqual(['a/ada', 'b/bob']);
  });
});

describe('10,000 members that come and go', () => {
  it('leave nothing behind, on any node', async () => {
    const { a, b } = await scene();
    const found = byEvents(b);
    const sessions = Array.from({ length: 10_000 }, (_, i) => member(a, `s${i}`));
    for (const count of [10_000, 1_000]) {
      const some = sessions.slice(0, count);
      for (const session of some) void session.join('r');
      await turns();
      expect(b.room('r').presence.size).toBe(Math.min(count + 2, 10_000));
      for (const session of some) session.leave('r');
      await turns();
    }
    await wait(10_000);
    expect(keys(b.room('r').presence)).toEqual(['a/ada', 'b/bob']);
    expect(found.calls).toBeLessThan(200);
    expect(b.room('r').presenceComplete).toBe(true);
  });
});

describe('names that collide', () => {
  it('show one member of a key, the same on all nodes, until it leaves', async () => {
    const broker = new MemoryBroker();
    const [short, long] = [node(broker, 'x', SHOWN).hub, node(broker, 'x/y', SHOWN).hub];
    await wait(5_000);
    const found = [byEvents(short), byEvents(long)];
    for (const hub of [short, long]) member(hub, 'own', 'r');
    const second = member(short, 'y/z', 'r');
    await turns();
    member(long, 'z', 'r');
    await turns();
    for (const { room } of [short, long].map((hub) => ({ room: hub.room('r') }))) {
      expect(room.presence.get('x/y/z')).toMatchObject({ node: 'x', session: 'y/z' });
      expect(room.presence.size).toBe(3);
    }
    second.leave('r');
    await turns();
    for (const hub of [short, long]) {
      expect(hub.room('r').presence.get('x/y/z')).toMatchObject({ node: 'x/y', session: 'z' });
      expect(hub.room('r').presence.size).toBe(3);
    }
    for (const { rooms } of found) expect(rooms.get('r')?.get('x/y/z')).toEqual({ name: 'z' });
  });

  it('of rooms, sessions and nodes like properties of objects are names like others', async () => {
    const broker = new MemoryBroker();
    const options = { rooms: { '*': { presence: () => 1 } } };
    const [a, b] = ['__proto__', 'constructor'].map((id) => node(broker, id, options).hub) as [
      Hub,
      Hub,
    ];
    await wait(5_000);
    for (const hub of [a, b]) member(hub, 'toString', '__proto__', 'hasOwnProperty');
    a.onAsk('__proto__', () => 2);
    await turns();
    for (const room of ['__proto__', 'hasOwnProperty']) {
      expect(keys(a.room(room).presence)).toEqual(['__proto__/toString', 'constructor/toString']);
      expect(a.room(room).presenceComplete).toBe(true);
    }
    expect((await b.everywhere.ask('__proto__')).answers).toEqual(new Map([['__proto__', 2]]));
  });
});

describe('names of control characters, each of which has 6 bytes in a word', () => {
  const LONG = '\u0001'.repeat(240);

  it.each([
    ['sessions', 'r', 60],
    ['rooms', 'rx', 1],
  ])('of %s keep no member of others from the room', async (kind, room, sessions) => {
    const broker = new MemoryBroker();
    const options = { rooms: { 'r*': { presence: () => 1 } } };
    const [a, b] = [node(broker, 'a', options), node(broker, 'b', options)];
    await wait(5_000);
    const rooms = Array.from({ length: 400 }, (_, i) => `r${LONG}${i}`);
    const own = kind === 'rooms' ? [room, ...rooms] : [room];
    for (let i = 0; i < sessions; i++) member(a.hub, `${LONG.repeat(4)}${i}`, ...own);
    await turns();
    member(b.hub, 'bob', ...own);
    await turns();
    const { presence, presenceComplete } = b.hub.room(room);
    expect([presence.size, presenceComplete]).toEqual([sessions + 1, true]);
    expect([...a.errors, ...b.errors]).toEqual([]);
  });
});
