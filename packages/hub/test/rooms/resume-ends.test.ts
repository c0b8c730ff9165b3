// What ends a resume: a leave, a message without a form, the next pass.

import v8 from 'node:v8';
import vm from 'node:vm';
import { connPair } from '@ws/conn';
import { Hub, type JoinOptions } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { RoomHistory } from '../../src/history/room-history.ts';
import { alone, node, send, turns } from '../nodes.ts';
import { publish, visit } from './visits.ts';

const bad = (message: { text(): string }): string => {
  if (message.text() === 'bad') throw new Error('no form');
  return message.text();
};

describe('a session that leaves', () => {
  it('gets nothing that was published after it, when a loss shows as it leaves', async () => {
    const broker = new MemoryBroker();
    let formed: (text: string) => void = () => {};
    const form = (message: { text(): string }): string => {
      formed(message.text());
      return message.text();
    };
    const through = { history: true, delivery: 'through' } as const;
    const { hub: a } = node(broker, 'a', { rooms: { r: { ...through, form } } });
    const { hub: b } = node(broker, 'b', { rooms: { r: through } });
    await turns();
    const positions = await publish(b, 5);
    const { session, received, joined } = visit(a, { since: positions.at(-1)! });
    await joined;
    broker.drop(1, 'a');
    await b.room('r').publish('6');
    formed = (text) => {
      if (text !== '7') return;
      queueMicrotask(() => {
        session.leave('r');
        void b.room('r').publish('8');
        void b.room('r').publish('9');
      });
    };
    await send(b, '7');
    await turns();
    expect(received).toEqual([]);
    await Promise.all([a.close(), b.close()]);
  });

  it.each<[string, (since: JoinOptions['since']) => JoinOptions]>([
    ['complete', (since) => ({ since, first: () => 'first' })],
    ['incomplete', () => ({ since: { epoch: 'x', offset: 0 } })],
  ])('is not closed by the room, after an answer that is %s', async (_, options) => {
    const hub = new Hub({ rooms: { r: { history: true, form: bad } } });
    hub.on('error', () => {});
    const positions = await publish(hub, 5);
    const { session, received, joined } = visit(hub, options(positions.at(-1)));
    await joined;
    await turns();
    received.length = 0;
    void hub.room('r').publish('bad');
    void hub.room('r').publish('good');
    session.leave('r');
    for (const text of ['x', 'y']) void hub.room('r').publish(text);
    await turns();
    expect(received).toEqual(['good']);
    expect(session.state).toBe('open');
  });
});

describe('one message without a form', () => {
  it.each([1, 3])(
    'is a hole that a member of a quiet room does not fill (%i of them)',
    async (count) => {
      const hub = new Hub({ rooms: { r: { history: true, form: bad } } });
      hub.on('error', () => {});
      const gaps = vi.fn();
      hub.on('gap', gaps);
      const [one] = await publish(hub, 1);
      const { session, received, joined } = visit(hub, { since: one!, first: () => 'first' });
      await joined;
      await turns();
      for (let i = 0; i < count; i++) void hub.room('r').publish('bad');
      await turns();
      await send(hub, 'good');
      expect(received).toEqual(['first', 'good']);
      expect(session.state).toBe('open');
      expect(gaps).toHaveBeenCalledTimes(count);
    },
  );

  it('does not close a member that resumes, among others of the turn', async () => {
    const { hub } = alone({
      rooms: { r: { history: true, delivery: 'through', form: bad } },
    });
    const [one] = await publish(hub, 1);
    const { session, received, joined } = visit(hub, { since: one!, first: () => 'first' });
    await joined;
    await Promise.all(['2', 'bad', 'bad', '5'].map((text) => hub.room('r').publish(text)));
    await turns();
    expect(received).toEqual(['first', '2', '5']);
    expect(session.state).toBe('open');
  });
});

describe('resumes of one moment', () => {
  it('share the time of a turn', async () => {
    let formed = 0;
    const form = (message: { text(): string }): string => {
      formed++;
      const end = performance.now() + 2;
      while (performance.now() < end);
      return message.text();
    };
    const hub = new Hub({ rooms: { 'r*': { history: true, form } } });
    const rooms = Array.from({ length: 40 }, (_, i) => `r${i}`);
    for (const room of rooms) await hub.room(room).publish('missed');
    formed = 0;
    let isDone = false;
    const joins = rooms.map((room) =>
      hub.add(connPair()[1]).join(room, { since: { epoch: '', offset: 0 } }),
    );
    void Promise.all(joins).then(() => (isDone = true));
    const ofTurns: number[] = [];
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      ofTurns.push(formed);
      formed = 0;
    }
    expect(ofTurns.reduce((sum, count) => sum + count)).toBe(40);
    expect(Math.max(...ofTurns)).toBeLessThan(16);
  });

  it('keep nothing when the room is quiet', async () => {
    const hub = new Hub({ rooms: { r: { history: true } } });
    const [one] = await publish(hub, 2);
    const visitWith = async (kept: { text: string }): Promise<WeakRef<object>> => {
      const { joined } = visit(hub, { since: one!, first: () => kept.text });
      await joined;
      return new WeakRef(kept);
    };
    const kept = await visitWith({ text: 'first' });
    await turns();
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    await expect
      .poll(() => {
        collect();
        return kept.deref();
      })
      .toBeUndefined();
  });
});

describe('a history', () => {
  it('copies the messages of a part only, however many follow', () => {
    const history = new RoomHistory({ size: 100_000, bytes: 1e9, ttl: 1e9 });
    const message = { type: 1, bytes: new Uint8Array(1) } as never;
    for (let i = 0; i < 100_000; i++) history.add(message, 0);
    const slice = vi.spyOn(Array.prototype, 'slice');
    for (let offset = 0; offset < 100_000; offset += 100) {
      const { messages } = history.read({ epoch: history.epoch, offset }, 100);
      if (messages.length !== 100) throw new Error('the part is not full');
    }
    const copied = slice.mock.results.reduce((sum, { value }) => sum + value.length, 0);
    slice.mockRestore();
    expect(copied).toBeLessThanOrEqual(100_000);
  });
});
