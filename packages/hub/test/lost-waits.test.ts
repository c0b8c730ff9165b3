// Waits whose end a lost message would bring: each has a bound.
import type { Backplane } from '@ws/hub';
import { describe, expect, it, vi } from 'vitest';
import { alone, enter, turns, useFakeTime, wait } from './nodes.ts';

const rooms = { r: { history: true, delivery: 'through' } } as const;

useFakeTime();

/** The result of a promise that has settled; else the text `waits`. */
async function soon(promise: Promise<unknown>): Promise<unknown> {
  let result: unknown = 'waits';
  void promise.then((value) => (result = value));
  await turns();
  return result;
}

/** A backplane whose engine refuses publications while `isRefusing`. */
function refusing() {
  const engine = { isRefusing: false };
  const change = (backplane: Backplane): Partial<Backplane> => ({
    publish: (...args) =>
      engine.isRefusing ? Promise.reject(new Error('refused')) : backplane.publish(...args),
  });
  return { engine, change };
}

/** A node in whose room one publication was refused. */
async function afterRefusal() {
  const { engine, change } = refusing();
  const found = alone({ rooms }, change);
  enter(found.hub, 'r');
  await turns();
  await found.hub.room('r').publish('one');
  engine.isRefusing = true;
  const refused = found.hub.room('r').publish('lost');
  await wait(0);
  await expect(refused).rejects.toThrow('refused');
  engine.isRefusing = false;
  return found;
}

describe('A3 a join after a publication that the engine has refused', () => {
  it('resolves within 5 s with the last messages', async () => {
    const { hub } = await afterRefusal();
    const { session } = enter(hub);
    const joined = session.join('r', { limit: 5 });
    await wait(5_000);
    expect(await soon(joined)).toMatchObject({ complete: true });
  });

  it('resolves within 5 s when the engine has lost the history', async () => {
    const { hub, broker } = await afterRefusal();
    broker.disconnect();
    broker.forget();
    broker.reconnect();
    await turns();
    const joins = [{ limit: 5 }, { first: () => undefined }].map((options) =>
      enter(hub).session.join('r', options),
    );
    await wait(5_000);
    for (const joined of joins) {
      expect(await soon(joined)).toMatchObject({ complete: true });
    }
  });

  it('waits for a refused publication once', async () => {
    const { hub } = await afterRefusal();
    void enter(hub).session.join('r', { limit: 5 });
    await wait(5_000);
    const joined = enter(hub).session.join('r', { limit: 5 });
    await turns();
    expect(await soon(joined)).toMatchObject({ complete: true });
  });
});

describe('A3 a publication that has not returned', () => {
  it('resolves within 5 s after the answer of the engine', async () => {
    const { broker, hub } = alone({ rooms });
    enter(hub, 'r');
    await turns();
    broker.drop();
    const published = hub.room('r').publish('lost');
    await wait(5_000);
    expect(await soon(published)).toMatchObject({ offset: 1 });
  });
});

describe('A3 a room in which a publication was lost', () => {
  it('is quiet after its last digest: no timer is left', async () => {
    const { engine, change } = refusing();
    const { hub, broker } = alone({ rooms }, change);
    enter(hub, 'r');
    await wait(60_000);
    const before = vi.getTimerCount();
    engine.isRefusing = true;
    hub
      .room('r')
      .publish('lost')
      .catch(() => {});
    await wait(0);
    engine.isRefusing = false;
    broker.disconnect();
    broker.forget();
    broker.reconnect();
    expect(vi.getTimerCount()).toBeGreaterThan(before);
    await wait(120_000);
    expect(vi.getTimerCount()).toBe(before);
  });
});
