// Callbacks that serve many connections show no store of AsyncLocalStorage to another connection.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Conn, type ConnOptions, connPair, type Platform, portablePlatform } from '@ws/conn';
import { checkRate, limitRate, schedulerOf, TurnCallback } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { platform as compatPlatform } from '../../compat/src/platform.ts';

const storage = new AsyncLocalStorage<unknown>();

/** Calls `schedule` with a callback, in the store of Bob. Resolves with the store of the callback. */
function storeOf(schedule: (callback: () => void) => void): Promise<unknown> {
  return new Promise((resolve) => {
    storage.run('bob', schedule, () => resolve(storage.getStore()));
  });
}

const PLATFORMS: readonly [string, Platform][] = [
  ['nodePlatform', nodePlatform],
  ['portablePlatform', portablePlatform],
  ['the platform of compat', compatPlatform],
];

describe.each(PLATFORMS)('%s', (_name, platform) => {
  it('runs its callbacks without the store of the code that asked for them', async () => {
    expect(await storeOf((callback) => platform.defer(callback))).toBeUndefined();
    expect(await storeOf((callback) => platform.yield(callback))).toBeUndefined();
    expect(await storeOf((callback) => void platform.setTimer(1, callback))).toBeUndefined();
  });

  it('runs the second callback of a turn without a store too', async () => {
    const first = storeOf((callback) => platform.defer(callback));
    const second = storeOf((callback) => platform.defer(callback));
    expect(await Promise.all([first, second])).toEqual([undefined, undefined]);
  });

  it('runs the tasks and timers of all connections without a store', async () => {
    const { endOfTurn, laterTurn, timers } = schedulerOf(platform);
    const task = (run: () => void): TurnCallback => new TurnCallback(run);
    expect(await storeOf((run) => endOfTurn.add(task(run)))).toBeUndefined();
    expect(await storeOf((run) => laterTurn.add(task(run)))).toBeUndefined();
    expect(await storeOf((fire) => timers.set({ slot: undefined, fire }, 1))).toBeUndefined();
  });

  it('runs a timer that another timer has set again without a store', async () => {
    const { timers } = schedulerOf(platform);
    const store = await storeOf((done) => {
      const entry = { slot: undefined, fire: () => timers.set({ slot: undefined, fire: done }, 1) };
      timers.set(entry, 1);
    });
    expect(store).toBeUndefined();
  });

  it('keeps the store that a timer enters from the other timers', async () => {
    const { timers } = schedulerOf(platform);
    const seen: unknown[] = [];
    const enters = (): void => {
      seen.push(storage.getStore());
      storage.enterWith('entered');
    };
    for (let i = 0; i < 3; i++) timers.set({ slot: undefined, fire: enters }, 2);
    await new Promise<void>((done) => timers.set({ slot: undefined, fire: done }, 10));
    await new Promise<void>((done) => timers.set({ slot: undefined, fire: done }, 2));
    expect(seen).toEqual([undefined, undefined, undefined]);
    expect(await storeOf((callback) => platform.yield(callback))).toBeUndefined();
  });

  it('keeps no store alive by a timer', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { timers } = schedulerOf(platform);
    const far = { slot: undefined, fire() {} };
    const kept = (() => {
      const store = { of: 'bob' };
      storage.run(store, () => timers.set(far, 1_000_000));
      return new WeakRef(store);
    })();
    for (let i = 0; i < 20 && kept.deref() !== undefined; i++) {
      await new Promise(setImmediate);
      collect();
    }
    timers.clear(far);
    expect(kept.deref()).toBeUndefined();
  });
});

/** What two connections share, and the call of Bob that starts it. Both have the same options. */
interface Case {
  readonly options?: Omit<ConnOptions, 'role'>;
  readonly prepare?: (server: Conn) => void;
  /** Work of Bob, in his store. */
  readonly bob: (server: Conn, client: Conn) => unknown;
  /** Sends messages to Alice. */
  readonly alice: (client: Conn) => unknown;
}

const send =
  (data: string, count = 6) =>
  async (client: Conn): Promise<void> => {
    for (let i = 0; i < count; i++) await client.send(data);
  };
const sendLater =
  (ms: number) =>
  async (client: Conn): Promise<void> => {
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      await client.send('x');
    }
  };
const rate = checkRate({ messages: 1, per: 10, over: 'wait' });

// biome-ignore format: a table
const CASES: Readonly<Record<string, Case>> = {
  'the end of a turn': { bob: (conn) => conn.send('x'), alice: send('x') },
  'a write deadline, and the rate': { prepare: (conn) => limitRate(conn, rate), bob: (conn) => conn.setWriteDeadline(Date.now() + 5), alice: send('x') },
  'a read deadline, and the rate': { prepare: (conn) => limitRate(conn, rate), bob: (conn) => conn.setReadDeadline(Date.now() + 5), alice: send('x') },
  'the end of a login, and the rate': { prepare: (conn) => limitRate(conn, rate), bob: (conn) => conn.renew(Date.now() + 5), alice: send('x') },
  'the timeout of a ping, and the rate': {
    prepare: (conn) => limitRate(conn, rate),
    bob: (conn) => conn.ping('x', { timeout: 3 }).catch(() => {}),
    alice: send('x'),
  },
  'the rate of both': { prepare: (conn) => limitRate(conn, rate), bob: (_conn, client) => send('x')(client), alice: send('x') },
  'a heartbeat': { options: { heartbeat: { interval: 5, timeout: 1000 } }, bob: (conn) => conn.send('x'), alice: sendLater(8) },
  'the budget of inflating': {
    options: { compression: true, readLimit: 16 << 20 },
    bob: (_conn, client) => send('b'.repeat(3 << 20), 4)(client),
    alice: send('a'.repeat(5000)),
  },
  compression: {
    options: { compression: true, readLimit: 16 << 20 },
    bob: (conn) => Promise.all([conn.send(' b'.repeat(1 << 16)), conn.send('x')]),
    alice: send('a'.repeat(5000)),
  },
  'a close': { bob: (conn) => conn.close(), alice: send('x') },
  'a close that the peer does not answer': {
    options: { closeTimeout: 20 },
    bob: (conn, client) => {
      client.setCloseHandler(() => new Promise(() => {}));
      return conn.close(1000, '', { timeout: 5 });
    },
    alice: sendLater(4),
  },
  'a read with a timeout': { bob: (_conn, client) => client.readMessage({ timeout: 3 }).catch(() => {}), alice: sendLater(2) },
  'many refused writes': {
    options: { maxBufferedAmount: 1000 },
    bob: async (_conn, client) => {
      for (let i = 0; i < 20; i++) await client.send('x'.repeat(999)).catch(() => {});
    },
    alice: send('x'),
  },
};

describe.each(Object.entries(CASES))('%s', (_name, { options, prepare, bob, alice }) => {
  it.each(['no program had a store', 'another connection is read in a store'])(
    'shows no store of Bob to the handlers of Alice: %s',
    async (state) => {
      const base = { platform: nodePlatform, report: () => {}, ...options };
      const [aliceClient, aliceServer] = connPair(base);
      const [bobClient, bobServer] = connPair(base);
      const seen: unknown[] = [];
      const note = (): void => void seen.push(storage.getStore());
      prepare?.(aliceServer);
      prepare?.(bobServer);
      const read = aliceServer.receive(note);
      aliceServer.setPingHandler(note);
      aliceServer.setCloseHandler(note);
      void aliceClient.discardReads();
      void bobServer.receive(() => {}).catch(() => {});
      if (state !== 'no program had a store') {
        storage.run('bob', () => void bobClient.receive(() => {}).catch(() => {}));
      }
      const work = storage.run('bob', async () => bob(bobServer, bobClient)).catch(() => {});
      await alice(aliceClient);
      void aliceClient.ping('x').catch(() => {});
      await aliceClient.close();
      await read;
      await work;
      bobServer.terminate();
      // Its unread messages hide that end.
      bobClient.terminate();
      expect(seen.length).toBeGreaterThan(4);
      expect(seen.filter((store) => store !== undefined)).toEqual([]);
    },
  );
});
