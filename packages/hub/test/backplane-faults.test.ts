import { Deferred } from '@ws/conn/internal';
import { type Backplane, type BackplaneSink, Hub, type HubOptions } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadedLink } from '../src/backplane/loaded-link.ts';

import {
  alone,
  enter,
  entered,
  HISTORY,
  losing,
  node,
  pair,
  send,
  turns,
  useFakeTime,
  wait,
} from './nodes.ts';

useFakeTime();

describe('a hub whose engine is up', () => {
  it('refuses no publication, however many there are in one turn', async () => {
    const { hub } = alone();
    await turns();
    const published = Array.from({ length: 1_001 }, (_, i) => hub.room(`r${i}`).publish('x'));
    await expect(Promise.all(published)).resolves.toHaveLength(1_001);
  });

  it('sends no publication that it refuses with an OverflowError', async () => {
    const sent: number[] = [];
    const { hub } = alone({}, (backplane) => ({
      publish(...args) {
        sent.push(args[1].length);
        return backplane.publish(...args);
      },
    }));
    void enter(hub, 'r');
    await turns();
    const large = new Uint8Array(40 * 1_048_576);
    const published = hub.room('r').publish(large);
    await expect(hub.room('r').publish(large)).rejects.toMatchObject({ code: 'WS_ERR_OVERFLOW' });
    await published;
    expect(sent.filter((length) => length > large.length)).toHaveLength(1);
  });

  it('refuses publications beyond 128 MiB without an answer', async () => {
    const { hub } = alone({}, () => ({
      publish: () => new Promise(() => {}),
    }));
    await turns();
    const big = new Uint8Array(80_000_000);
    void hub.room('r').publish(big);
    await expect(hub.room('r').publish(big)).rejects.toMatchObject({
      code: 'WS_ERR_BACKPLANE',
      message: expect.stringContaining('1 messages (80000000 bytes) already wait'),
    });
  });

  it('sends digests of many rooms without delaying or refusing publications', async () => {
    const rooms = 1_500;
    let unanswered = 0;
    let most = 0;
    const { broker, hub } = alone(HISTORY, (backplane) => ({
      async publish(...args) {
        most = Math.max(most, ++unanswered);
        await new Promise((resolve) => setImmediate(resolve));
        unanswered--;
        return backplane.publish(...args);
      },
    }));
    const other = node(broker, 'b', HISTORY);
    const { received } = await entered(other.hub, 'r0');
    for (let i = 0; i < rooms; i++) void hub.room(`r${i}`).publish('x');
    await turns();
    most = 0;
    for (let tick = 0; tick < 2; tick++) {
      await vi.advanceTimersByTimeAsync(5_000);
      expect(unanswered).toBeLessThanOrEqual(100);
      await hub.room('r0').publish('y');
      while (unanswered > 0) await turns();
    }
    expect(most).toBeLessThanOrEqual(101);
    await turns();
    expect(received).toEqual(['x', 'y', 'y']);
    expect(other.gaps).toEqual([]);
  });

  it('goes on with the digests when the engine never answers to one', async () => {
    const broker = new MemoryBroker();
    let hangs = false;
    const a = node(broker, 'a', HISTORY, (backplane) => ({
      publish: (...args) => (hangs ? new Promise(() => {}) : backplane.publish(...args)),
    }));
    const b = node(broker, 'b', HISTORY);
    await entered(b.hub, 'r');
    await a.hub.room('r').publish('1');
    hangs = true;
    await wait(5_000);
    const lost = a.hub.room('r').publish('2');
    lost.catch(() => {});
    await wait(5_000);
    await expect(lost).rejects.toMatchObject({ code: 'WS_ERR_BACKPLANE' });
    hangs = false;
    await wait(10_000);
    expect(b.gaps).toEqual(['r']);
  });

  it("reports the loss of a node's first message", async () => {
    const { a, b } = losing();
    enter(a.hub, 'r');
    await wait(30_000);
    b.refuse();
    await expect(b.hub.room('r').publish('1')).rejects.toThrow();
    await send(b.hub, '2');
    expect(a.gaps).toEqual(['r']);
  });

  it.each([0, 500, 10_000])(
    "reports the loss of a node's first message that nothing follows, %i ms after the join",
    async (ms) => {
      const { a, b } = losing();
      await entered(a.hub, 'r');
      await wait(ms);
      b.refuse();
      await expect(b.hub.room('r').publish('1')).rejects.toThrow();
      await wait(25_000);
      expect(a.gaps).toEqual(['r']);
      await wait(60_000);
      expect(a.gaps).toEqual(['r']);
    },
  );

  it('reports the loss of the first message after a join, of a node that published before', async () => {
    const { a, b } = losing();
    await turns();
    for (const text of ['1', '2']) await b.hub.room('r').publish(text);
    await wait(1_000);
    await entered(a.hub, 'r');
    b.refuse();
    await expect(b.hub.room('r').publish('3')).rejects.toThrow();
    await wait(25_000);
    expect(a.gaps).toEqual(['r']);
  });

  it('reports no gap to a member that joins between a last message and its digest', async () => {
    const { a, b } = pair(HISTORY);
    await turns();
    for (const text of ['1', '2']) await b.hub.room('r').publish(text);
    await wait(200);
    enter(a.hub, 'r');
    await wait(60_000);
    expect(a.gaps).toEqual([]);
  });

  it('reports no gap to a member that joins between two messages of a node', async () => {
    const { a, b } = pair(HISTORY);
    await b.hub.room('r').publish('1');
    await wait(2_000);
    enter(a.hub, 'r');
    for (let i = 0; i < 10; i++) {
      await wait(18_000);
      await b.hub.room('r').publish('2');
    }
    await wait(60_000);
    await send(b.hub, '3');
    expect(a.gaps).toEqual([]);
  });

  it('delivers the messages of a node with the same id, and reports it once', async () => {
    const broker = new MemoryBroker();
    const [a, b, c] = [node(broker, 'same'), node(broker, 'same'), node(broker, 'c')];
    const [one, three] = [enter(a.hub, 'r'), enter(c.hub, 'r')];
    await turns();
    for (let i = 1; i <= 3; i++) {
      await a.hub.room('r').publish(`a${i}`);
      await b.hub.room('r').publish(`b${i}`);
    }
    await turns();
    for (const { received } of [one, three]) {
      expect(received).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'b3']);
    }
    expect(a.errors).toEqual([expect.stringContaining('another node has the id "same"')]);
    expect([a.gaps, c.gaps, c.errors]).toEqual([[], [], []]);
  });

  it('gives a room that was opened again nothing of the repair of the closed one', async () => {
    const broker = new MemoryBroker();
    const options: HubOptions = { rooms: { '*': { history: true } } };
    let answer = (): void => {};
    const a = node(broker, 'a', options, (backplane) => ({
      history: async (...args) => {
        await new Promise<void>((resolve) => (answer = resolve));
        return backplane.history!(...args);
      },
    }));
    const b = node(broker, 'b', options);
    const first = await entered(a.hub, 'r');
    await send(b.hub, '1');
    broker.drop(1, 'a');
    await send(b.hub, '2', '3');
    first.session.leave('r');
    const second = await entered(a.hub, 'r');
    answer();
    await turns();
    await send(b.hub, '4');
    expect([first.received, second.received, a.gaps]).toEqual([['1'], ['4'], []]);
  });

  it('refuses a key or an id that is too long, and other nodes report no gap', async () => {
    const { a, b } = pair();
    const own = enter(a.hub, 'r');
    await entered(b.hub, 'r');
    await a.hub.room('r').publish('1');
    await expect(a.hub.room('r').publish('2', { key: 'x'.repeat(65_536) })).rejects.toThrow(
      'key: expected 0 to 65535 bytes, got 65536',
    );
    await send(a.hub, '3');
    expect([own.received, b.gaps]).toEqual([['1', '3'], []]);
    expect(() => new Hub({ id: 'é'.repeat(101) })).toThrow('id: expected 1 to 200 bytes, got 202');
  });
});

describe('a subscription', () => {
  it('changes once when sessions leave and join in one turn', async () => {
    const calls: string[] = [];
    const { hub } = alone({}, (backplane) => ({
      subscribe: (channel) => (calls.push(`+${channel}`), backplane.subscribe(channel)),
      unsubscribe: (channel) => (calls.push(`-${channel}`), backplane.unsubscribe(channel)),
    }));
    const { session } = await entered(hub, 'r');
    for (let i = 0; i < 3; i++) {
      session.leave('r');
      void session.join('r');
    }
    await turns();
    expect(calls).toEqual(['+all', '+room/r']);
    session.leave('r');
    await turns();
    expect(calls).toEqual(['+all', '+room/r', '-room/r']);
  });

  it('is complete before the history is read', async () => {
    const broker = new MemoryBroker();
    const options = { rooms: { r: { history: true } } };
    const subscribing = new Deferred<void>();
    const a = node(broker, 'a', options, (backplane) => ({
      async subscribe(channel) {
        await subscribing.promise;
        return backplane.subscribe(channel);
      },
    }));
    const b = node(broker, 'b', options);
    await turns();
    const { received } = enter(a.hub, 'r');
    const reading = a.hub.room('r').history();
    await turns();
    await b.hub.room('r').publish('1');
    subscribing.resolve(undefined);
    const { messages } = await reading;
    await send(b.hub, '2');
    expect([...messages.map(({ message }) => message.text()), ...received]).toEqual(['1', '2']);
  });

  it('is complete before the first message of a through room is sent', async () => {
    const subscribing = new Deferred<void>();
    const { hub } = alone({ rooms: { r: { delivery: 'through' } } }, (backplane) => ({
      async subscribe(channel) {
        await subscribing.promise;
        return backplane.subscribe(channel);
      },
    }));
    await turns();
    const { received } = enter(hub, 'r');
    const published = ['1', '2', '3'].map((text) => hub.room('r').publish(text));
    await turns();
    subscribing.resolve(undefined);
    await Promise.all(published);
    await turns();
    expect(received).toEqual(['1', '2', '3']);
  });

  it('that the engine refuses is tried again with growing pauses, one error and one gap', async () => {
    const broker = new MemoryBroker();
    let refuses = true;
    let tries = 0;
    const a = node(broker, 'a', {}, (backplane) => ({
      async subscribe(channel) {
        if (channel === 'all') return;
        tries++;
        if (refuses) throw new Error('NOPERM');
        return backplane.subscribe(channel);
      },
    }));
    const b = node(broker, 'b');
    const { received } = enter(a.hub, 'r');
    await wait(20_000);
    expect(tries).toBe(5);
    expect(a.errors).toEqual([expect.stringContaining('refused channel "room/r"')]);
    expect(a.gaps).toEqual([]);
    refuses = false;
    await wait(20_000);
    await b.hub.room('r').publish('1');
    while (received.length === 0) await turns();
    expect(received).toEqual(['1']);
    expect([a.errors.length, a.gaps]).toEqual([1, ['r']]);
  });

  it('that the engine never answers counts as refused after a minute', async () => {
    const broker = new MemoryBroker();
    let hangs = true;
    const a = node(broker, 'a', {}, (backplane) => ({
      subscribe: (channel) =>
        hangs && channel !== 'all' ? new Promise(() => {}) : backplane.subscribe(channel),
    }));
    const b = node(broker, 'b');
    const { received } = enter(a.hub, 'r');
    // In steps, so that the connections can answer pings.
    for (let i = 0; i < 6; i++) await wait(10_000);
    expect(a.errors).toEqual([expect.stringContaining('refused channel "room/r"')]);
    hangs = false;
    await wait(2_000);
    await b.hub.room('r').publish('1');
    while (received.length === 0) await turns();
    expect(received).toEqual(['1']);
    expect(a.gaps).toEqual(['r']);
  });
});

describe('an outage', () => {
  it('causes one gap in each room, however many nodes publish', async () => {
    const broker = new MemoryBroker();
    const nodes = ['a', 'b', 'c', 'd'].map((id) => node(broker, id));
    for (const { hub } of nodes) enter(hub, 'r', 'quiet');
    await wait(30_000);
    for (const { hub } of nodes) {
      for (const room of ['r', 'quiet']) await hub.room(room).publish('before');
    }
    await wait(6_000);
    broker.disconnect();
    await wait(6_000);
    broker.reconnect();
    await turns();
    for (const { gaps } of nodes) expect(gaps.toSorted()).toEqual(['quiet', 'r']);
    for (let i = 0; i < 3; i++) {
      for (const { hub } of nodes) await hub.room('r').publish('after');
      await wait(9_000);
    }
    for (const { gaps } of nodes) expect(gaps.toSorted()).toEqual(['quiet', 'r']);
  });

  it('at the start of a node causes one gap for its members', async () => {
    const broker = new MemoryBroker();
    const there = node(broker, 'there');
    await entered(there.hub, 'r');
    broker.disconnect();
    broker.reconnect('there');
    const here = node(broker, 'here');
    const { received } = await entered(here.hub, 'r');
    for (const text of ['1', '2']) await there.hub.room('r').publish(text);
    broker.reconnect();
    await wait(1_500);
    await there.hub.room('r').publish('3');
    await wait(6_000);
    expect(received).toEqual(['3']);
    expect(here.gaps).toEqual(['r']);
    expect(there.gaps).toEqual(['r']);
  });

  it('of one node reports what that node lost after the others have returned', async () => {
    const { broker, a, b } = pair(HISTORY);
    const { received } = await entered(a.hub, 'r');
    await b.hub.room('r').publish('1');
    broker.disconnect();
    broker.reconnect('a');
    await turns();
    expect(a.gaps).toEqual([]);
    await wait(1_000);
    const lost = expect(b.hub.room('r').publish('2')).rejects.toThrow();
    await wait(7_000);
    await lost;
    broker.reconnect('b');
    await send(b.hub, '3');
    expect(received).toEqual(['1', '3']);
    expect(a.gaps).toEqual(['r']);
  });

  it('of one node reports its lost last message', async () => {
    const { broker, a, b } = pair(HISTORY);
    await entered(a.hub, 'r');
    broker.disconnect('b');
    await wait(100);
    void b.hub.room('r').publish('lost');
    await wait(7_000);
    broker.reconnect('b');
    expect(a.gaps).toEqual([]);
    await wait(10_000);
    expect(a.gaps).toEqual(['r']);
  });

  it('repairs 1,000 rooms with at most 64 reads at a time, without a gap', async () => {
    const rooms = 1_000;
    const broker = new MemoryBroker();
    const options = { rooms: { '*': { history: true } }, maxRoomsPerSession: rooms };
    let [reading, most] = [0, 0];
    const a = node(broker, 'a', options, (backplane) => ({
      async history(...args) {
        most = Math.max(most, ++reading);
        await new Promise((resolve) => setImmediate(resolve));
        reading--;
        return backplane.history!(...args);
      },
    }));
    const b = node(broker, 'b', options);
    const names = Array.from({ length: rooms }, (_, i) => `r${i}`);
    const { received } = await entered(a.hub, ...names);
    const publish = (text: string) =>
      Promise.all(names.map((name) => b.hub.room(name).publish(text)));
    await publish('1');
    broker.disconnect('a');
    await publish('2');
    broker.reconnect('a');
    while (received.length < 2 * rooms) await turns();
    // Beside the 32 reads of the ends of the rooms.
    expect(most).toBeLessThanOrEqual(64 + 32);
    expect(a.gaps).toEqual([]);
  });

  it('causes no gap if the history has more messages than the bound of the room', async () => {
    const broker = new MemoryBroker();
    const rooms = (size: number) => ({ rooms: { r: { history: { size } } } });
    // The offsets of this engine have holes.
    const a = node(broker, 'a', rooms(2), (backplane) => ({
      start: (sink, id) =>
        backplane.start(
          {
            ...sink,
            message: (channel, bytes, { epoch, offset } = { epoch: '', offset: 0 }) =>
              sink.message(channel, bytes, { epoch, offset: offset * 10 }, (offset - 1) * 10),
          },
          id,
        ),
      async history(channel, since, limit) {
        const before = { ...since!, offset: since!.offset / 10 };
        const { messages, ...found } = await backplane.history!(channel, before, limit);
        const moved = messages.map(({ offset, bytes }) => ({ offset: offset * 10, bytes }));
        return { ...found, messages: moved, follows: true };
      },
    }));
    const b = node(broker, 'b', rooms(100));
    const { received } = await entered(a.hub, 'r');
    await b.hub.room('r').publish('1');
    broker.disconnect('a');
    for (const text of ['2', '3', '4', '5', '6']) await b.hub.room('r').publish(text);
    broker.reconnect('a');
    await turns();
    expect(received).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(a.gaps).toEqual([]);
  });

  it('ends before the application reads the history', async () => {
    const broker = new MemoryBroker();
    let sink!: BackplaneSink;
    const { hub } = node(broker, 'a', { rooms: { r: { history: true } } }, (backplane) => ({
      start: (given, id) => backplane.start((sink = given), id),
    }));
    await turns();
    sink.down(new Error('subscriptions are lost, reads still work'));
    const published = hub.room('r').publish('waits');
    const reading = hub.room('r').history();
    await turns();
    sink.up();
    const { messages, complete } = await reading;
    expect([messages.map(({ message }) => message.text()), complete]).toEqual([['waits'], true]);
    await published;
  });

  it('during a repair causes no second gap', async () => {
    const broker = new MemoryBroker();
    const options = { rooms: { r: { history: true } } };
    const a = node(broker, 'a', options, (backplane) => ({
      async history(...args) {
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        return backplane.history!(...args);
      },
    }));
    const b = node(broker, 'b', options);
    const { received } = await entered(a.hub, 'r');
    await send(b.hub, '1');
    broker.disconnect('a');
    await b.hub.room('r').publish('2');
    broker.reconnect('a');
    broker.disconnect('a');
    await wait(2_000);
    await b.hub.room('r').publish('3');
    broker.reconnect('a');
    await wait(2_000);
    expect(received).toEqual(['1', '2', '3']);
    expect(a.gaps).toEqual([]);
  });

  it('reports broadcasts that reached this node only in one sum', async () => {
    const { broker, hub, errors } = alone();
    await turns();
    broker.disconnect();
    for (let i = 0; i < 3; i++) hub.broadcast('x');
    await wait(6_000);
    broker.reconnect();
    await turns();
    expect(errors).toEqual([
      expect.stringContaining('the backplane is away'),
      expect.stringContaining('3 messages reached this node only'),
    ]);
  });

  it('that ends within 5 s delivers the messages of its last 5 s, after a long outage too', async () => {
    const { broker, a, b } = pair();
    const { received } = await entered(a.hub, 'r');
    broker.disconnect('b');
    for (let i = 0; i < 1_000; i++) void b.hub.room('r').publish('early');
    await wait(6_000);
    const late = b.hub.room('r').publish('late');
    broker.reconnect('b');
    await late;
    await turns();
    expect(received).toEqual(['late']);
  });
});

describe('a room with delivery through', () => {
  const through: HubOptions = { rooms: { r: { delivery: 'through' } } };

  /** A node that waits for `answer` with each change of a subscription. */
  function slowNode(broker: MemoryBroker, id: string) {
    const answers: (() => void)[] = [];
    const answered = (): Promise<void> => new Promise((resolve) => void answers.push(resolve));
    const change = (channel: string, run: (name: string) => Promise<void>): Promise<void> =>
      channel === 'all' ? run(channel) : answered().then(() => run(channel));
    const created = node(broker, id, through, (backplane) => ({
      subscribe: (channel) => change(channel, (name) => backplane.subscribe(name)),
      unsubscribe: (channel) => change(channel, (name) => backplane.unsubscribe(name)),
    }));
    return { ...created, answer: () => answers.shift()!() };
  }

  it('keeps the order when its members leave before the engine answers', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [slowNode(broker, 'a'), node(broker, 'b', through)];
    const { received } = await entered(b.hub, 'r');
    const { session } = await entered(a.hub, 'r');
    const published = [a.hub.room('r').publish('1')];
    session.leave('r');
    published.push(a.hub.room('r').publish('2'));
    await turns();
    expect(received).toEqual([]);
    a.answer();
    await turns();
    a.answer();
    await Promise.all(published);
    await turns();
    expect([received, b.gaps]).toEqual([['1', '2'], []]);
  });

  it('leaves out a session that has left and joined again', async () => {
    const { broker, hub, gaps } = alone(through);
    const one = await entered(hub, 'r');
    broker.delay();
    const own = hub.room('r').publish('own', { except: one.session });
    await turns();
    one.session.leave('r');
    void one.session.join('r');
    broker.release();
    await own;
    await send(hub, 'next');
    expect([one.received, gaps]).toEqual([['next'], []]);
  });

  it('resolves a publication when the members of this node have the message', async () => {
    const { broker, hub } = alone(through);
    await entered(hub, 'r');
    broker.delay();
    let resolved = false;
    const published = hub
      .room('r')
      .publish('late')
      .then(() => {
        resolved = true;
        return hub.stats.delivered;
      });
    await turns();
    expect(resolved).toBe(false);
    broker.release();
    expect(await published).toBe(1);
  });

  it('resolves a publication that does not return 5 s after the answer of the engine', async () => {
    const { broker, hub } = alone(through);
    await entered(hub, 'r');
    broker.delay();
    const published = hub.room('r').publish('late');
    await wait(5_000);
    expect(await published).toBeUndefined();
    broker.release();
  });

  it('gives a new member nothing of before its join, also while the hub loads its code', async () => {
    const { Link } = loadedLink;
    loadedLink.Link = undefined;
    onTestFinished(() => {
      loadedLink.Link = Link;
    });
    const { hub } = alone(through);
    const one = enter(hub, 'r');
    const before = hub.room('r').publish('before');
    const two = enter(hub, 'r');
    await Promise.all([before, hub.room('r').publish('after')]);
    await turns();
    expect(one.received).toEqual(['before', 'after']);
    expect(two.received).toEqual(['after']);
  });

  it('gives a new member what is published after its join', async () => {
    const { broker, hub } = alone(through);
    const one = await entered(hub, 'r');
    broker.delay();
    const before = hub.room('r').publish('before');
    await turns();
    const two = enter(hub, 'r');
    const after = hub.room('r').publish('after');
    await turns();
    broker.release();
    await Promise.all([before, after]);
    await turns();
    expect(one.received).toEqual(['before', 'after']);
    expect(two.received).toEqual(['after']);
  });

  it('with history is repaired for its own members, if its digest comes first', async () => {
    const broker = new MemoryBroker();
    const rooms = { r: { delivery: 'through', history: true } } as const;
    const { hub, gaps } = node(broker, 'a', { rooms });
    const { received } = await entered(hub, 'r');
    await send(hub, '1');
    broker.drop(2);
    const published = ['2', '3'].map((text) => hub.room('r').publish(text));
    await wait(5_000);
    await Promise.all(published);
    expect([received, gaps]).toEqual([['1', '2', '3'], []]);
  });

  it('never sends a message that was rejected while it waited for the subscription', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [slowNode(broker, 'a'), node(broker, 'b', through)];
    const { received } = await entered(b.hub, 'r');
    await entered(a.hub, 'r');
    const published = expect(a.hub.room('r').publish('late')).rejects.toThrow('not answered');
    await wait(5_000);
    await published;
    a.answer();
    await turns();
    await send(a.hub, 'next');
    expect([received, b.gaps]).toEqual([['next'], []]);
  });
});

describe('hub.close', () => {
  const through: HubOptions = { rooms: { r: { delivery: 'through' } } };

  it('delivers the messages of through rooms first', async () => {
    const { broker, hub } = alone(through);
    const { received } = await entered(hub, 'r');
    broker.delay();
    const published = hub.room('r').publish('last');
    const closed = hub.close();
    await turns();
    broker.release();
    await wait(10);
    await Promise.all([published, closed]);
    expect(received).toEqual(['last']);
  });

  it('waits for no message that was refused before the engine had it', async () => {
    const { broker, hub } = alone(through);
    await entered(hub, 'r');
    broker.disconnect();
    const refused = expect(hub.room('r').publish('x')).rejects.toThrow('not answered for 5000 ms');
    await wait(5_000);
    await refused;
    broker.reconnect();
    await turns();
    let closed = false;
    const closing = hub.close({ timeout: 1 }).then(() => (closed = true));
    await wait(20);
    expect(closed).toBe(true);
    await closing;
  });

  it.each<[string, (backplane: Backplane) => Partial<Backplane>]>([
    ['answers no publication', () => ({ publish: () => new Promise(() => {}) })],
    [
      'answers no subscription',
      (backplane) => ({
        subscribe: (name) => (name === 'all' ? backplane.subscribe(name) : new Promise(() => {})),
      }),
    ],
    ['does not start', () => ({ start: () => new Promise(() => {}) })],
  ])('rejects pending messages of an engine that %s', async (_, change) => {
    const { hub } = alone(through, change);
    await entered(hub, 'r');
    const published = hub.room('r').publish('x');
    const rejected = expect(published).rejects.toMatchObject({ code: 'WS_ERR_BACKPLANE' });
    const closed = hub.close({ timeout: 1 });
    await wait(1_100);
    await closed;
    await rejected;
  });

  it('closes the sessions when the code for the backplane fails to load', async () => {
    const { Link } = loadedLink;
    vi.doMock('../src/backplane/backplane-link.ts', () => {
      throw new Error('no such file');
    });
    onTestFinished(() => {
      loadedLink.Link = Link;
      vi.doUnmock('../src/backplane/backplane-link.ts');
    });
    const backplane = memoryBackplane(new MemoryBroker());
    loadedLink.Link = undefined;
    const hub = new Hub({ backplane });
    const errors = vi.fn();
    hub.on('error', errors);
    const { session } = enter(hub, 'r');
    await hub.close();
    expect([session.state, errors.mock.calls.length]).toEqual(['closed', 1]);
  });

  it('reports no outage when it is called while the engine starts', async () => {
    const start = new Deferred<void>();
    const { hub, errors } = alone({}, () => ({
      start: () => start.promise,
      close: async () => start.reject(new Error('closed')),
    }));
    await turns();
    await hub.close();
    expect(errors).toEqual([]);
  });

  it('reports an engine that does not close', async () => {
    const { hub, errors } = alone({}, () => ({
      close: () => new Promise(() => {}),
    }));
    await turns();
    const closed = hub.close();
    await wait(5_000);
    await closed;
    expect(errors).toEqual([expect.stringContaining('the backplane failed to close')]);
  });
});

describe('a refused message of a through room', () => {
  it('that returns anyway does not reach excepted members', async () => {
    const { broker, hub } = alone({ rooms: { r: { delivery: 'through' } } }, (backplane) => ({
      async publish(...args) {
        await backplane.publish(...args);
        throw new Error('the answer was lost');
      },
    }));
    const [one, two] = [enter(hub, 'r'), enter(hub, 'r')];
    await turns();
    broker.delay();
    await expect(hub.room('r').publish('x', { except: one.session })).rejects.toThrow('refused');
    broker.release();
    await turns();
    expect([one.received, two.received]).toEqual([[], ['x']]);
  });
});

describe('MemoryBroker', () => {
  it('forgets the history of a room ttl ms after its last message', async () => {
    const { hub } = alone({ rooms: { r: { history: { ttl: 1_000 } } } });
    await turns();
    const first = await hub.room('r').publish('1');
    await wait(999);
    expect((await hub.room('r').history()).messages).toHaveLength(1);
    await wait(2);
    expect((await hub.room('r').history()).messages).toHaveLength(0);
    await wait(2 * (1_000 + 5_000));
    expect((await hub.room('r').publish('2'))!.epoch).not.toBe(first!.epoch);
  });

  it('refuses the id of a hub that has not joined', () => {
    expect(() => new MemoryBroker().disconnect('b')).toThrow('no hub with the id "b"');
  });
});
