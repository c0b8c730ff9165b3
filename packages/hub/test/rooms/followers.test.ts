// What a member of a room gets when its history, or the engine that has it, does not follow its position.
import { Hub, type Position } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { node, turns, useFakeTime, wait } from '../nodes.ts';
import { first, publish, slowVisit, textsOf, visit } from './visits.ts';

const THROUGH = { rooms: { r: { history: true, delivery: 'through' } } } as const;

describe('limit', () => {
  it('is for a first visit: beside since the join rejects', async () => {
    const hub = new Hub({ rooms: { r: { history: true } } });
    const [one] = await publish(hub, 1);
    const { session, joined } = visit(hub, { since: one!, limit: 5 });
    await expect(joined).rejects.toThrow(TypeError);
    await expect(joined).rejects.toThrow(/limit is for a first visit/);
    expect(session.rooms.size).toBe(0);
  });
});

describe('a copy of the history that is late', () => {
  useFakeTime();

  /** A node whose reads from a position find nothing, `times` times, and the number of these reads. */
  async function behind(times: number) {
    const broker = new MemoryBroker();
    const positions = await publish(node(broker, 'a', THROUGH).hub, 3);
    let reads = 0;
    const { hub } = node(broker, 'b', THROUGH, (backplane) => ({
      async history(channel, since, limit, keep) {
        const found = await backplane.history!(channel, since, limit, keep);
        if (since?.epoch !== positions[0]!.epoch || ++reads > times) return found;
        const messages = found.messages.slice(0, 0);
        return { ...found, messages, complete: false, follows: false, last: 1 };
      },
    }));
    return { hub, since: positions[1]!, count: () => reads };
  }

  it('is read again after 1 s: nothing is lost, and nothing comes twice', async () => {
    const { hub, since, count } = await behind(1);
    const { received, joined } = visit(hub, { since, first });
    await wait(999);
    expect([received, count()]).toEqual([[], 1]);
    await wait(1);
    expect(await joined).toMatchObject({ complete: true });
    await turns();
    expect([received, count()]).toEqual([['true 3', '3'], 2]);
  });

  it('is not awaited longer: what follows the position comes, after a gap', async () => {
    const { hub, since, count } = await behind(2);
    const { received, joined } = visit(hub, { since, first });
    await wait(1_000);
    expect(await joined).toMatchObject({ complete: false });
    await turns();
    expect([received, count()]).toEqual([['false 3', '3'], 2]);
  });

  it('keeps no timer for a session that leaves', async () => {
    const { hub, since, count } = await behind(2);
    const { session, joined } = visit(hub, { since });
    await wait(10);
    session.leave('r');
    await expect(joined).rejects.toThrow(/left/);
    await wait(2_000);
    expect(count()).toBe(1);
  });
});

describe('a member that joins again while its cursor has missed messages', () => {
  it('continues from its position, with what came meanwhile', async () => {
    const hub = new Hub({ rooms: { r: { history: { size: 1_000, bytes: 10_000_000 } } } });
    const padding = ' '.repeat(10_000);
    const positions: Position[] = await publish(hub, 20, padding);
    const { client, session, joined } = slowVisit(hub, { since: positions[0]! });
    await turns();
    await expect(session.join('r', { since: positions[0]! })).rejects.toThrow(/is resuming/);
    const before = await textsOf(client, `20${padding}`);
    expect(before).toHaveLength(19);
    await joined;
    const again = session.join('r', { since: positions[17]! });
    void hub.room('r').publish(`21${padding}`);
    const texts = await textsOf(client, `21${padding}`);
    expect(texts.map((text) => text.trim())).toEqual(['19', '20', '21']);
    expect(await again).toMatchObject({ complete: true });
  });
});
