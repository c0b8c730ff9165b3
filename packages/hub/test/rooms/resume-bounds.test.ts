// The bounds of a resume: its memory, its waits, and the reports of late failures.

import { connPair } from '@ws/conn';
import { type Backplane, Hub, type Position } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { alone, node, turns, useFakeTime, wait } from '../nodes.ts';
import { first, publish, slowVisit, textsOf, visit } from './visits.ts';

const history = { size: 1_000, bytes: 100_000_000 };
const PADDING = ' '.repeat(2_500);
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `r${i}`);

/** A promise that the test resolves. */
function gate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

describe('a client that does not read and resumes in many rooms', () => {
  it('holds one part at a time, and gets all messages when it reads', async () => {
    let formed = 0;
    const form = (message: { text(): string }, { room }: { room: string }): string => {
      formed++;
      return `${room} ${message.text()}`;
    };
    const hub = new Hub({ rooms: { 'r*': { history, form } } });
    const since = { epoch: 'x', offset: 0 };
    for (const name of names(5)) {
      for (let i = 1; i <= 110; i++) await hub.room(name).publish(`${i}${PADDING}`);
    }
    formed = 0;
    const { client, session } = slowVisit(hub, { since });
    const joins = names(5).map((name) => session.join(name, { since }));
    await turns();
    expect(formed).toBe(100);
    const last = new Map<string, number>();
    for (let i = 0; i < 550; i++) {
      const [room, number] = (await client.readMessage()).text().split(' ');
      expect(Number(number)).toBe((last.get(room!) ?? 0) + 1);
      last.set(room!, Number(number));
    }
    for (const join of joins) expect(await join).toMatchObject({ complete: false });
    expect(formed).toBe(550);
  });

  it('keeps no turn when it leaves during a read that another one follows', async () => {
    const read = gate();
    const { hub } = alone(
      { rooms: { r: { history, delivery: 'through' } } },
      (backplane: Backplane) => ({
        async history(...args) {
          await read.promise;
          return backplane.history!(...args);
        },
      }),
    );
    const [one] = await publish(hub, 3);
    const { session, joined } = visit(hub, { since: one! });
    await turns();
    session.leave('r');
    await expect(joined).rejects.toThrow(/left/);
    read.open();
    await turns();
    expect(await session.join('r', { since: one! })).toMatchObject({ complete: true });
  });

  it('leaves its rooms and ends while resumes wait for their turn', async () => {
    const hub = new Hub({ rooms: { 'r*': { history } } });
    const since = { epoch: 'x', offset: 0 };
    for (const name of names(4)) {
      for (let i = 1; i <= 100; i++) await hub.room(name).publish(`${i}${PADDING}`);
    }
    const { client, session } = slowVisit(hub, { since });
    const joins = names(4).map((name) => session.join(name, { since }));
    await turns();
    session.leave('r1');
    session.leave('r0');
    await expect(joins[0]).rejects.toThrow(/left/);
    await expect(joins[1]).rejects.toThrow(/left/);
    await textsOf(client, `100${PADDING}`);
    expect(await joins[2]).toMatchObject({ complete: false });
    client.terminate();
    await expect(joins[3]).rejects.toMatchObject({ code: 'WS_ERR_SESSION_CLOSED' });
  });
});

describe('a client that joins and leaves in a loop', () => {
  it('makes no reads for joins that have ended', async () => {
    const reads = vi.fn();
    const { hub } = alone(
      { rooms: { r: { history, delivery: 'through' } } },
      (backplane: Backplane) => ({
        history(...args) {
          if (args[1] !== undefined) reads();
          return backplane.history!(...args);
        },
      }),
    );
    const [one] = await publish(hub, 2);
    const { session } = visit(hub);
    for (let offset = 0; offset < 100; offset++) {
      session.leave('r');
      void session.join('r', { since: { epoch: 'x', offset } });
    }
    session.leave('r');
    expect(await visit(hub, { since: one! }).joined).toMatchObject({ complete: true });
    expect(reads).toHaveBeenCalledTimes(1);
  });
});

describe('a resume while the engine is away', () => {
  useFakeTime();

  const rooms = { 'r*': { history, delivery: 'through' } } as const;

  /** A hub with 32 reads that take all places, and the resume of another room. */
  async function behindOthers() {
    const broker = new MemoryBroker();
    const { promise, open } = gate();
    const { hub } = node(broker, 'a', { rooms }, (backplane: Backplane) => ({
      async history(channel, since, limit) {
        if (channel !== 'room/r') await promise;
        return backplane.history!(channel, since, limit);
      },
    }));
    const [one] = await publish(hub, 2);
    const since = { epoch: 'x', offset: 0 };
    for (const name of names(32)) {
      const [, end] = connPair();
      hub
        .add(end)
        .join(name, { since })
        .catch(() => {});
    }
    await turns();
    const { joined, received } = visit(hub, { since: one! });
    await turns();
    broker.disconnect();
    open();
    await turns();
    return { broker, hub, joined, received };
  }

  it('waits for its return when it goes away before the read', async () => {
    const { broker, joined, received } = await behindOthers();
    await wait(4_000);
    broker.reconnect();
    expect(await joined).toMatchObject({ complete: true });
    await turns();
    expect(received).toEqual(['2']);
  });

  it('waits 5 s in all', async () => {
    const { broker, joined } = await behindOthers();
    const settled = vi.fn();
    void joined.then(settled);
    await wait(4_000);
    expect(settled).not.toHaveBeenCalled();
    await wait(1_000);
    expect(await joined).toMatchObject({ complete: false, position: undefined });
    broker.reconnect();
  });

  it('joins many rooms of a session after 5 s', async () => {
    const { broker, hub } = alone({ rooms });
    await turns();
    broker.disconnect();
    const [, server] = connPair();
    const session = hub.add(server);
    const since = { epoch: 'x', offset: 0 };
    const joins = names(100).map((name) => session.join(name, { since }));
    await wait(5_000);
    for (const join of joins) expect(await join).toMatchObject({ complete: false });
  });
});

describe('a missed message for which form throws after first', () => {
  /** A hub with 150 messages, the 120th of which has no form. */
  async function failing(): Promise<{ hub: Hub; one: Position }> {
    let fails = false;
    const form = (message: { text(): string }): string => {
      if (fails && message.text() === '120') throw new Error('mine');
      return message.text();
    };
    const hub = new Hub({ rooms: { r: { history, form } } });
    hub.on('error', () => {});
    const [one] = await publish(hub, 150);
    fails = true;
    return { hub, one: one! };
  }

  it('is a gap in its place: the result is not complete, and the client stays', async () => {
    const { hub, one } = await failing();
    const { session, joined, received } = visit(hub, { since: one, first });
    expect(await joined).toMatchObject({ complete: false });
    await turns();
    expect(received.slice(0, 2)).toEqual(['true 100', '2']);
    expect(received).not.toContain('120');
    expect([received.at(-1), session.state]).toEqual(['150', 'open']);
    const again = visit(hub, { since: { ...one, offset: 100 }, first });
    expect(await again.joined).toMatchObject({ complete: false });
    await turns();
    expect(again.received.slice(0, 2)).toEqual(['false 150', '101']);
    expect(again.received.at(-1)).toBe('150');
  });

  it('is left out without first: the result is not complete', async () => {
    const { hub, one } = await failing();
    const { joined, received } = visit(hub, { since: one });
    expect(await joined).toMatchObject({ complete: false });
    await turns();
    expect(received.at(-1)).toBe('150');
  });
});
