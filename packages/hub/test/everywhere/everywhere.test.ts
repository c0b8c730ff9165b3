import { type Conn, connPair } from '@ws/conn';
import { BackplaneError, Hub, HubClosedError, OverflowError, type Session } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { node, useFakeTime, wait } from '../nodes.ts';
import { member, SHOWN } from '../presence/members.ts';

useFakeTime();

interface Tested {
  readonly hub: Hub;
  readonly errors: string[];
  isMute: boolean;
}

/** Nodes that know each other. One that is mute hears the others, who do not hear it. */
async function nodes(...ids: string[]): Promise<{ broker: MemoryBroker; all: Tested[] }> {
  const broker = new MemoryBroker();
  const all = ids.map((id) => {
    const tested: Tested = {
      isMute: false,
      ...node(broker, id, SHOWN, (backplane) => ({
        publish: async (channel, bytes, keep) =>
          tested.isMute ? undefined : backplane.publish(channel, bytes, keep),
      })),
    };
    return tested;
  });
  await wait(5_000);
  return { broker, all };
}

async function settled<T>(promise: Promise<T>, ms: number): Promise<T> {
  await wait(ms);
  return promise;
}

describe('hub.everywhere without a backplane', () => {
  it('counts, closes and asks this node', async () => {
    const hub = new Hub();
    const session = member(hub, 'ada', 'r');
    hub.onAsk('echo', (data) => data);
    expect(await hub.everywhere.count('r')).toEqual({ sessions: 1, nodes: 1, silent: [] });
    expect(await hub.everywhere.ask('echo', { n: 1 })).toEqual({
      answers: new Map([[hub.id, { n: 1 }]]),
      failed: new Map(),
      silent: [],
    });
    const closed = await hub.everywhere.close({ session: 'ada' }, 4401, 'logged out');
    expect(closed).toEqual({ sessions: 1, silent: [] });
    expect(session.state).toBe('closed');
    expect(await hub.everywhere.close({ session: 'ada' })).toEqual({ sessions: 0, silent: [] });
  });

  it('rejects after the end of the hub, without an unhandled rejection', async () => {
    const hub = new Hub();
    await hub.close();
    void hub.everywhere.close({ room: 'r' });
    await expect(hub.everywhere.count('r')).rejects.toBeInstanceOf(HubClosedError);
  });

  it.each([
    ['no target', {}],
    ['two targets', { room: 'r', session: 's' }],
    ['a name', 'r'],
    ['another name of the target', { rooms: 'r' }],
  ])('refuses to close %s', async (_, target) => {
    const hub = new Hub();
    const reported = vi.fn();
    hub.on('error', reported);
    await expect(hub.everywhere.close(target as never)).rejects.toBeInstanceOf(TypeError);
    expect(reported).toHaveBeenCalledOnce();
  });

  it('refuses a code that must not be sent, a long reason, and bad questions', async () => {
    const hub = new Hub();
    hub.on('error', () => {});
    const { everywhere } = hub;
    const session = member(hub, 'ada', 'r');
    for (const code of [999, 1005, 1006, 1015, 5000, Number.NaN]) {
      await expect(everywhere.close({ room: 'r' }, code)).rejects.toBeInstanceOf(RangeError);
    }
    await expect(everywhere.close({ room: 'r' }, 1000, 'x'.repeat(124))).rejects.toThrow(
      RangeError,
    );
    await expect(everywhere.count('')).rejects.toBeInstanceOf(RangeError);
    await expect(everywhere.ask('', 1)).rejects.toBeInstanceOf(RangeError);
    const circle: unknown[] = [];
    circle.push(circle);
    for (const data of [() => {}, circle, 1n, Promise.resolve(1), Promise.reject(new Error('x'))]) {
      await expect(everywhere.ask('x', data)).rejects.toBeInstanceOf(TypeError);
    }
    await expect(everywhere.ask('x', 'y'.repeat(65_535))).rejects.toBeInstanceOf(RangeError);
    for (const timeout of [0, Number.NaN, Infinity, 2 ** 31]) {
      await expect(everywhere.ask('x', 1, { timeout })).rejects.toBeInstanceOf(RangeError);
    }
    expect(session.state).toBe('open');
  });
});

describe('hub.onAsk', () => {
  it('takes one listener for a name, until it is removed', async () => {
    const hub = new Hub();
    const remove = hub.onAsk('x', () => 1);
    expect(() => hub.onAsk('x', () => 2)).toThrow(TypeError);
    remove();
    hub.onAsk('x', () => 2);
    remove();
    expect((await hub.everywhere.ask('x')).answers).toEqual(new Map([[hub.id, 2]]));
    expect(() => hub.onAsk('', () => 2)).toThrow(RangeError);
    expect(() => hub.onAsk('y', 2 as never)).toThrow(TypeError);
  });

  it.each([
    ['throws', () => raise(new TypeError('secret')), 'TypeError'],
    ['rejects', () => Promise.reject(new BackplaneError('secret')), 'BackplaneError'],
    ['rejects with a text', () => Promise.reject('secret'), 'Error'],
    ['answers 64 KiB and a byte', () => 'x'.repeat(65_535), 'RangeError'],
    ['answers no JSON', () => 1n, 'TypeError'],
  ])('has failed with the class of the error when the listener %s', async (_, listener, name) => {
    const { all } = await nodes('a', 'b');
    for (const { hub } of all) hub.onAsk('x', listener);
    const { answers, failed, silent } = await settled(all[0]!.hub.everywhere.ask('x'), 0);
    expect([...answers, ...silent]).toEqual([]);
    expect(failed).toEqual(new Map(['a', 'b'].map((id) => [id, name])));
    // The node of the listener has all of it.
    expect(all[1]!.errors.length).toBe(1);
  });

  it('gets a copy of the data, and undefined without any; undefined is the answer null', async () => {
    const { all } = await nodes('a', 'b');
    const [a, b] = [all[0]!.hub, all[1]!.hub];
    const data = { list: [1] };
    a.onAsk('x', (value) => void (value as unknown as typeof data).list.push(2));
    b.onAsk('x', (value) => value);
    const { answers } = await settled(a.everywhere.ask('x', data), 0);
    expect(answers).toEqual(
      new Map<string, unknown>([
        ['a', null],
        ['b', { list: [1] }],
      ]),
    );
    b.onAsk('type', (value) => typeof value);
    expect((await settled(a.everywhere.ask('type'), 0)).answers.get('b')).toBe('undefined');
  });
});

function raise(error: Error): never {
  throw error;
}

describe('hub.everywhere on several nodes', () => {
  it('counts the members of all nodes, with one silent node of five', async () => {
    const { all } = await nodes('a', 'b', 'c', 'd', 'e');
    for (const { hub } of all) member(hub, 'one', 'r');
    member(all[4]!.hub, 'two', 'r');
    expect(await settled(all[0]!.hub.everywhere.count('r'), 0)).toEqual({
      sessions: 6,
      nodes: 5,
      silent: [],
    });
    all[4]!.isMute = true;
    const started = performance.now();
    const count = all[0]!.hub.everywhere.count('r');
    expect(await settled(count, 5_000)).toEqual({ sessions: 4, nodes: 4, silent: ['e'] });
    expect(performance.now() - started).toBe(5_000);
    // 15 s after its last word it is none.
    await wait(10_000);
    expect(await settled(all[0]!.hub.everywhere.count('r'), 0)).toEqual({
      sessions: 4,
      nodes: 4,
      silent: [],
    });
  });

  it('counts a node whose id ends with a line, as that of /etc/hostname does', async () => {
    const { all } = await nodes('a\n', 'b\u2028');
    for (const { hub } of all) member(hub, 'one', 'r');
    const count = all[0]!.hub.everywhere.count('r');
    expect(await settled(count, 0)).toEqual({ sessions: 2, nodes: 2, silent: [] });
  });

  it('waits for the first round in the first 5 s of a hub', async () => {
    const { broker, all } = await nodes('a', 'b');
    member(all[1]!.hub, 'bob', 'r');
    await wait(1_000);
    const { hub } = node(broker, 'c');
    let count: unknown;
    void hub.everywhere.count('r').then((result) => void (count = result));
    await wait(4_900);
    expect(count).toBeUndefined();
    await wait(100);
    expect(count).toEqual({ sessions: 1, nodes: 3, silent: [] });
  });

  it('closes the sessions of an id on all nodes, and no others', async () => {
    const { all } = await nodes('a', 'b', 'c');
    const ended: Conn['closed'][] = [];
    const sessions = all.map(({ hub }) => {
      const [client, server] = connPair();
      ended.push(client.closed);
      client.receive(() => {}).catch(() => {});
      return [hub.add(server, { id: 'ada' }), member(hub, 'bob')];
    });
    const result = all[0]!.hub.everywhere.close({ session: 'ada' }, 4401, 'logged out');
    expect(await settled(result, 0)).toEqual({ sessions: 3, silent: [] });
    const states = sessions.map((each) => each.map(({ state }) => state));
    expect(states).toEqual(Array.from({ length: 3 }, () => ['closed', 'open']));
    for (const info of await Promise.all(ended)) {
      expect(info).toMatchObject({ code: 4401, reason: 'logged out' });
    }
  });

  it('closes the members of a room, a few in each turn', async () => {
    const { all } = await nodes('a', 'b');
    const members: Session[] = [];
    for (const { hub } of all) {
      for (let i = 0; i < 200; i++) members.push(member(hub, `s${i}`, 'r'));
      member(hub, 'other');
    }
    const result = all[0]!.hub.everywhere.close({ room: 'r' });
    expect(await settled(result, 100)).toEqual({ sessions: 400, silent: [] });
    expect(members.every(({ state }) => state === 'closed')).toBe(true);
    for (const { hub } of all) expect(hub.sessions.get('other')!.state).toBe('open');
  });

  it('has silent nodes of an ask, and waits for its timeout only', async () => {
    const { all } = await nodes('a', 'b', 'c');
    all[0]!.hub.onAsk('x', () => new Promise(() => {}));
    all[1]!.hub.onAsk('x', () => 'b');
    const result = all[0]!.hub.everywhere.ask('x', 1, { timeout: 300 });
    expect(await settled(result, 300)).toEqual({
      answers: new Map([['b', 'b']]),
      failed: new Map([['c', 'no listener']]),
      silent: ['a'],
    });
    expect(all[1]!.errors).toEqual([]);
  });

  it('calls a listener once for a question that the engine doubles', async () => {
    const { broker, all } = await nodes('a', 'b');
    const listener = vi.fn(() => 1);
    all[1]!.hub.onAsk('x', listener);
    broker.double(100);
    expect((await settled(all[0]!.hub.everywhere.ask('x'), 0)).answers).toEqual(
      new Map([['b', 1]]),
    );
    expect(listener).toHaveBeenCalledOnce();
  });

  it('does not wait for a node that ends meanwhile', async () => {
    const { all } = await nodes('a', 'b');
    all[1]!.hub.onAsk('x', () => new Promise(() => {}));
    const asked = all[0]!.hub.everywhere.ask('x');
    await wait(100);
    const closing = all[1]!.hub.close();
    expect(await settled(asked, 100)).toMatchObject({ silent: [] });
    await wait(5_000);
    await closing;
  });

  it('rejects what is open when the hub closes', async () => {
    const { all } = await nodes('a', 'b');
    all[1]!.isMute = true;
    const count = all[0]!.hub.everywhere.count('r');
    const closing = all[0]!.hub.close();
    await expect(settled(count, 100)).rejects.toBeInstanceOf(HubClosedError);
    await closing;
    await wait(10_000);
  });

  it('names the nodes from before an outage as silent, and asks them when it ends', async () => {
    const { broker, all } = await nodes('a', 'b');
    member(all[1]!.hub, 'bob', 'r');
    broker.disconnect('a');
    await wait(20_000);
    const lost = all[0]!.hub.everywhere.count('r');
    expect(await settled(lost, 5_000)).toEqual({ sessions: 0, nodes: 1, silent: ['b'] });
    const count = all[0]!.hub.everywhere.count('r');
    await wait(1_000);
    broker.reconnect('a');
    expect(await settled(count, 0)).toEqual({ sessions: 1, nodes: 2, silent: [] });
  });

  it('rejects while the engine has never started', async () => {
    const broker = new MemoryBroker();
    broker.disconnect();
    const { hub } = node(broker, 'a');
    const count = hub.everywhere.count('r');
    await expect(settled(count, 10_000)).rejects.toBeInstanceOf(BackplaneError);
  });

  it('keeps the answers of two nodes that have one id by mistake', async () => {
    const { all } = await nodes('a', 'b', 'b');
    for (const [i, { hub }] of all.entries()) hub.onAsk('x', () => i);
    for (const { hub } of all) {
      const { answers, silent } = await settled(hub.everywhere.ask('x'), 0);
      expect([new Set(answers.values()), silent]).toEqual([new Set([0, 1, 2]), []]);
    }
  });
});

describe('a storm of questions', () => {
  it('is bounded at the node that asks, and gives the places of others back', async () => {
    const { all } = await nodes('a', 'b');
    const { everywhere } = all[0]!.hub;
    all[1]!.hub.onAsk('never', () => new Promise(() => {}));
    all[1]!.hub.onAsk('x', () => 'answer');
    // So many fake timers are slow.
    vi.useRealTimers();
    const calls = Array.from({ length: 3_000 }, () => everywhere.ask('never', 1, { timeout: 200 }));
    const results = await Promise.allSettled(calls);
    const refused = results.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBe(2_000);
    expect((refused[0] as PromiseRejectedResult).reason).toBeInstanceOf(OverflowError);
    expect((await everywhere.ask('x')).answers).toEqual(new Map([['b', 'answer']]));
  });

  it('of one node leaves places for the questions of another', async () => {
    const { all } = await nodes('a', 'b', 'c');
    all[1]!.hub.onAsk('never', () => new Promise(() => {}));
    all[1]!.hub.onAsk('x', () => 'answer');
    vi.useRealTimers();
    const calls = Array.from({ length: 1_000 }, () =>
      all[0]!.hub.everywhere.ask('never', 1, { timeout: 500 }),
    );
    const { answers } = await all[2]!.hub.everywhere.ask('x');
    expect(answers).toEqual(new Map([['b', 'answer']]));
    await Promise.all(calls);
  });
});
