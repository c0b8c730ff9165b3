import { nodePlatform } from '@ws/node-io';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  type Conn,
  connPair,
  type Platform,
  portablePlatform,
  TimeoutError,
} from '../../src/index.ts';
import { schedulerOf } from '../../src/scheduler/scheduler.ts';
import { TurnCallback } from '../../src/scheduler/task-queue.ts';

/** Some of the functions of the runtime, replaced by those of a clock that a test controls. */
type Faked = Parameters<typeof vi.useFakeTimers>[0];

const CHOICES: { says: string; faked: Faked }[] = [
  { says: 'the default', faked: {} },
  {
    says: 'all functions',
    faked: {
      toFake: [
        'setTimeout',
        'clearTimeout',
        'setImmediate',
        'clearImmediate',
        'setInterval',
        'clearInterval',
        'Date',
        'performance',
        'queueMicrotask',
        'hrtime',
      ],
    },
  },
  { says: 'setTimeout only', faked: { toFake: ['setTimeout', 'clearTimeout', 'performance'] } },
];
const PLATFORMS: { name: string; platform: Platform }[] = [
  { name: 'portablePlatform', platform: portablePlatform },
  { name: 'nodePlatform', platform: nodePlatform },
];

/** Messages travel in both directions, and a closing handshake ends the pair. */
async function converse([client, server]: [Conn, Conn]): Promise<void> {
  void client.send('hello');
  expect((await server.readMessage()).text()).toBe('hello');
  void server.send('goodbye');
  expect((await client.readMessage()).text()).toBe('goodbye');
  void server.discardReads();
  expect((await client.close()).wasClean).toBe(true);
}

/**
 * Advances a fake clock by `ms` in steps of a second. A turn of the event loop that is not faked
 * passes between two timers only: a pong needs some of them.
 */
async function advance(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1_000) {
    await vi.advanceTimersByTimeAsync(Math.min(left, 1_000));
    for (let turn = 0; turn < 5; turn++) await vi.advanceTimersByTimeAsync(0);
  }
}

async function expectTimeout(conn: Conn, timeout: number): Promise<void> {
  await expect(conn.readMessage({ timeout })).rejects.toThrow(TimeoutError);
}

/** Advances a fake clock until `work` is done. */
async function advanceUntilDone<T>(work: Promise<T>): Promise<T> {
  let done = false;
  const settled = (): void => {
    done = true;
  };
  work.then(settled, settled);
  for (let i = 0; i < 50 && !done; i++) await vi.advanceTimersByTimeAsync(1);
  return work;
}

afterEach(() => {
  vi.useRealTimers();
});

describe.each(PLATFORMS)('later turns with $name', ({ platform }) => {
  it('stay turns of their own when only the timers are replaced', async () => {
    const order: string[] = [];
    const chain = (...names: string[]): void => {
      platform.yield(() => {
        order.push(names[0]!);
        if (names.length > 1) chain(...names.slice(1));
      });
    };
    const { laterTurn } = schedulerOf(platform);
    const second = new TurnCallback(() => order.push('second task'));
    const first = new TurnCallback(() => {
      order.push('first task');
      laterTurn.add(second);
    });
    chain('a', 'b', 'c');
    laterTurn.add(first);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    chain('d');
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual(['a', 'first task', 'd']);
    await new Promise((resolve) => setImmediate(resolve));
    expect(order.slice(3)).toEqual(['b', 'second task']);
  });
});

describe.each(PLATFORMS)('connPair with $name', ({ platform }) => {
  describe.each(CHOICES)('with fake timers: $says', ({ faked }) => {
    describe.each([
      { order: 'installed before the first connection', before: true },
      { order: 'installed after a connection', before: false },
    ])('$order', ({ before }) => {
      let open: Conn[];
      const pair = (...options: Parameters<typeof connPair>): [Conn, Conn] => {
        const conns = connPair({ platform, ...options[0] });
        open.push(...conns);
        return conns;
      };
      beforeEach(async () => {
        open = [];
        if (!before) await converse(pair());
        vi.useFakeTimers(faked);
      });
      afterEach(() => {
        for (const conn of open) conn.terminate();
      });

      it('delivers messages', async () => {
        await advanceUntilDone(converse(pair()));
      });

      it('ends a read after its timeout', async () => {
        const [, server] = pair();
        const reading = server.readMessage({ timeout: 60_000 });
        const rejected = expect(reading).rejects.toThrow(TimeoutError);
        await advance(59_000);
        expect(server.state).toBe('open');
        await vi.advanceTimersByTimeAsync(1_200);
        await rejected;
      });

      it('ends a connection whose peer does not answer pings', async () => {
        const [client, server] = pair({ client: { heartbeat: false } });
        client.setPingHandler(() => {});
        await vi.advanceTimersByTimeAsync(41_000);
        expect((await server.closed).error).toBeInstanceOf(TimeoutError);
      });

      it('keeps a connection whose peer answers pings', async () => {
        const [client, server] = pair();
        await advance(300_000);
        expect([client.state, server.state]).toEqual(['open', 'open']);
        expect(client.stats.pingsIn).toBeGreaterThan(5);
      });

      it('works with real timers afterwards, although callbacks were dropped', async () => {
        const [client, server] = pair();
        void client.send('never delivered');
        void server.readMessage({ timeout: 50_000 }).catch(() => {});
        vi.useRealTimers();
        await converse(pair());
        const [, other] = pair();
        await expect(other.readMessage({ timeout: 20 })).rejects.toThrow(TimeoutError);
      });

      it('sends on a connection whose turn was dropped', async () => {
        const [client, server] = pair();
        const got: string[] = [];
        void server.receive((message) => void got.push(message.text()));
        await advanceUntilDone(client.ping());
        void client.send('one');
        vi.useRealTimers();
        void client.send('two');
        await expect.poll(() => got, { timeout: 5_000 }).toEqual(['one', 'two']);
      });

      it('works with other fake timers afterwards', async () => {
        const [client] = pair();
        void client.send('never delivered');
        vi.useRealTimers();
        vi.useFakeTimers(faked);
        await advanceUntilDone(converse(pair()));
        const [, other] = pair();
        const rejected = expect(other.readMessage({ timeout: 2_000 })).rejects.toThrow(
          TimeoutError,
        );
        await vi.advanceTimersByTimeAsync(2_100);
        await rejected;
      });
    });
  });
});

it.each(PLATFORMS)(
  'A real timer that fires while fake ones are installed stops no later timer of $name',
  async ({ platform }) => {
    let onArmed!: () => void;
    const armedAgain = new Promise<void>((resolve) => {
      onArmed = resolve;
    });
    // Timers of its own: those of other tests may be set again meanwhile, as fake ones.
    const alone: Platform = {
      ...platform,
      setTimer(...args) {
        if (vi.isFakeTimers()) onArmed();
        return platform.setTimer(...args);
      },
    };
    const servers = [5, 30, 40].map(() => {
      const [client, server] = connPair({ platform: alone });
      onTestFinished(() => client.terminate());
      return server;
    });
    const reads = [5, 30].map((timeout, i) => expectTimeout(servers[i]!, timeout));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    // Not the first read: Node may fire its timer early, and the next one for it is a fake one.
    await armedAgain;
    vi.useRealTimers();
    await expectTimeout(servers[2]!, 40);
    await Promise.all(reads);
  },
);

describe.each(PLATFORMS)('With fake timers and a real setImmediate, $name', ({ platform }) => {
  /** A read with a timeout of a minute, before a fake clock advances. */
  function setUp() {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
    const [client, server] = connPair({ platform });
    onTestFinished(() => client.terminate());
    const read = { isSettled: false };
    const settled = (): void => {
      read.isSettled = true;
    };
    const reading = server.readMessage({ timeout: 60_000 });
    reading.then(settled, settled);
    return { client, reading, read };
  }
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('an expired timeout takes effect in a later turn', async () => {
    const { reading, read } = setUp();
    vi.advanceTimersByTime(61_000);
    await Promise.resolve();
    expect(read.isSettled).toBe(false);
    await expect(reading).rejects.toThrow(TimeoutError);
  });

  it('an expired timeout takes effect in the turn after an asynchronous advance', async () => {
    const { reading, read } = setUp();
    await vi.advanceTimersByTimeAsync(61_000);
    await turn();
    expect(read.isSettled).toBe(true);
    await expect(reading).rejects.toThrow(TimeoutError);
  });

  it('a message that was sent before the clock advances arrives in time', async () => {
    const { client, reading } = setUp();
    void client.send('in time');
    vi.advanceTimersByTime(61_000);
    expect((await reading).text()).toBe('in time');
  });
});
