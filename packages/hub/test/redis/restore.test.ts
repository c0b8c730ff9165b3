import { EventEmitter } from 'node:events';
import { redisBackplane } from '@ws/hub/redis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { RecordingSink } from './recording-sink.ts';

/** A connection of the package `redis`. The test holds back its network. */
class FakeRedis extends EventEmitter {
  static readonly mark = { isPubSubActive: false };
  isOpen = false;
  isReady = false;
  /** Resolves when the network delivers answers again. */
  network: Promise<unknown> = Promise.resolve();
  #listener: ((message: Buffer, channel: Buffer) => void) | undefined;

  async connect(): Promise<void> {
    this.isOpen = true;
    this.isReady = true;
    this.emit('ready');
  }

  lose(): void {
    this.isReady = false;
    this.emit('error', new Error('lost'));
  }

  destroy(): void {
    this.isOpen = false;
  }

  ping(): Promise<unknown> {
    return this.network;
  }

  /** Resolves at once, as the package does for a channel that it has subscribed to before. */
  async subscribe(channel: string, listener: (message: Buffer, channel: Buffer) => void) {
    if (channel === 'ws:{r}') this.#listener = listener;
  }

  async unsubscribe(): Promise<void> {
    throw new Error('NOPERM');
  }

  receive(text: string): void {
    this.#listener!(Buffer.from(` ${text}`), Buffer.from('ws:{r}'));
  }
}

/** A connection of the package `ioredis`, which forgets its subscriptions with the connection. */
class FakeIoRedis extends EventEmitter {
  static readonly mark = { evalBuffer() {} };
  /** The role of the server to which new and old connections lead. */
  static role = 'master';
  status = 'wait';
  subscribed = 0;

  async connect(): Promise<void> {
    this.status = 'ready';
    this.emit('ready');
  }

  lose(): void {
    this.status = 'reconnecting';
    this.emit('close');
  }

  disconnect(): void {
    this.status = 'end';
  }

  evalBuffer(): Promise<unknown> {
    return Promise.resolve([]);
  }

  ping(): Promise<unknown> {
    return Promise.resolve('PONG');
  }

  call(...[command, section]: string[]): Promise<unknown> {
    expect([command, section]).toEqual(['INFO', 'replication']);
    return Promise.resolve(`# Replication\r\nrole:${FakeIoRedis.role}\r\nconnected_slaves:0`);
  }

  subscribe(): Promise<unknown> {
    this.subscribed++;
    return Promise.resolve(1);
  }
}

/** A backplane on connections of this class. It closes after the test. */
function backplaneOn<C>(Connection: { new (): C; readonly mark: object }) {
  const made: C[] = [];
  const client = {
    ...Connection.mark,
    duplicate: () => made[made.push(new Connection()) - 1],
  };
  const backplane = redisBackplane(client);
  onTestFinished(() => backplane.close());
  const [commands, subscriber] = made as [C, C];
  return { backplane, commands, subscriber, made };
}

/** The same, started. */
async function start<C>(...args: Parameters<typeof backplaneOn<C>>) {
  const sink = new RecordingSink();
  const started = backplaneOn(...args);
  await started.backplane.start(sink, 'node');
  return { ...started, sink };
}

it('redisBackplane delivers messages while the connection for commands is away, and then reports up', async () => {
  const { backplane, commands, subscriber, sink } = await start(FakeRedis);
  await backplane.subscribe('r');

  let mend!: (answer: unknown) => void;
  subscriber.network = new Promise((resolve) => {
    mend = resolve;
  });
  commands.lose();
  await sink.report('down');
  subscriber.receive('away');
  await commands.connect();
  await new Promise(setImmediate);
  subscriber.receive('held back');
  mend('PONG');
  await sink.report('up');
  subscriber.receive('new');
  const texts = (await sink.messages(3)).map(([, text]) => text);
  expect(texts).toEqual(['away', 'held back', 'new']);
});

it('redisBackplane says that no message is missing when only its commands were away', async () => {
  const { backplane, commands, subscriber } = backplaneOn(FakeRedis);
  const ups: unknown[] = [];
  const gaps: unknown[] = [];
  const sink = {
    message() {},
    down() {},
    up: (isWhole: unknown) => ups.push(isWhole),
    gap: (channel: unknown) => gaps.push(channel),
  };
  await backplane.start(sink, 'node');
  await backplane.subscribe('r');
  const outage = async (...lost: FakeRedis[]): Promise<void> => {
    const { length } = ups;
    for (const each of lost) each.lose();
    await backplane.subscribe(`joined ${length}`);
    for (const each of lost) await each.connect();
    await expect.poll(() => ups.length).toBe(length + 1);
  };
  await outage(commands);
  expect([ups, gaps]).toEqual([[true], ['joined 0']]);
  await outage(subscriber);
  await outage(commands, subscriber);
  await outage(commands);
  expect([ups, gaps]).toEqual([
    [true, false, false, true],
    ['joined 0', 'joined 3'],
  ]);
});

it('redisBackplane drops what arrives after a hole until it reports up', async () => {
  const { backplane, commands, subscriber, sink } = await start(FakeRedis);
  await backplane.subscribe('r');
  commands.lose();
  subscriber.lose();
  await sink.report('down');
  await subscriber.connect();
  subscriber.receive('after the hole');
  await commands.connect();
  await sink.report('up');
  subscriber.receive('new');
  expect((await sink.messages(1))[0]![1]).toBe('new');
});

it('redisBackplane restores many channels in time that grows with their number', async () => {
  const { backplane, subscriber, sink } = await start(FakeIoRedis);
  const rooms = 20_000;
  for (let i = 0; i < rooms; i++) await backplane.subscribe(`${i}`);
  // Counts the names that the backplane looks at.
  const has = vi.spyOn(Set.prototype, 'has');
  subscriber.lose();
  await sink.report('down');
  await subscriber.connect();
  await sink.report('up');
  const looks = has.mock.calls.filter(([name]) => String(name).startsWith('ws:{')).length;
  has.mockRestore();
  expect(subscriber.subscribed).toBe(2 * rooms);
  expect(looks).toBeLessThan(6 * rooms);
});

it('redisBackplane still receives a channel whose unsubscription was refused', async () => {
  const { backplane, subscriber, sink } = await start(FakeRedis);
  await backplane.subscribe('r');
  await expect(backplane.unsubscribe('r')).rejects.toThrow('NOPERM');
  subscriber.receive('still here');
  expect((await sink.messages(1))[0]![1]).toBe('still here');
});

it('redisBackplane waits for a command while Redis answers others', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'performance'] });
  try {
    const { backplane, subscriber, sink } = await start(FakeIoRedis);
    // Redis needs 500 ms for each of them.
    const answers: (() => void)[] = [];
    subscriber.subscribe = () =>
      new Promise((resolve) => {
        answers.push(() => resolve(1));
      });
    const subscribed = Promise.all(
      Array.from({ length: 40 }, (_, i) => backplane.subscribe(`${i}`)),
    );
    for (const answer of answers) {
      await vi.advanceTimersByTimeAsync(500);
      answer();
    }
    await subscribed;
    expect(sink.reports).toEqual([]);
    void backplane.subscribe('silent').catch(() => {});
    await vi.advanceTimersByTimeAsync(3_900);
    expect(sink.reports).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    expect(sink.reports[0]).toBe('down');
  } finally {
    vi.useRealTimers();
  }
});

describe('B10 redisBackplane on a server that is a replica', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
    FakeIoRedis.role = 'master';
  });

  it('is down, connects again at each check, and is up with the next primary', async () => {
    const { backplane, sink, made } = await start(FakeIoRedis);
    await backplane.subscribe('r');
    FakeIoRedis.role = 'slave';
    await vi.advanceTimersByTimeAsync(5_000);
    expect(sink.reports).toEqual(['down']);
    await expect(backplane.publish('r', Uint8Array.of(1))).rejects.toThrow('not connected');
    const before = made.length;
    expect(before).toBeGreaterThanOrEqual(4);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(made.length - before).toBeLessThanOrEqual(6);
    expect(made.length).toBeGreaterThan(before);
    expect(sink.reports).toEqual(['down']);
    FakeIoRedis.role = 'master';
    await vi.advanceTimersByTimeAsync(5_000);
    expect(sink.reports).toEqual(['down', 'up']);
    expect(made.at(-1)!.subscribed + made.at(-2)!.subscribed).toBe(1);
  });

  it('connects again at once when the server refuses a publication with READONLY', async () => {
    const { backplane, commands, subscriber, sink, made } = await start(FakeIoRedis);
    const refusal = new Error("READONLY You can't write against a read only replica.");
    commands.evalBuffer = () => Promise.reject(refusal);
    const keep = { size: 1, ttl: 1_000 };
    const published = Array.from({ length: 3 }, () =>
      backplane.publish('r', Uint8Array.of(1), keep),
    );
    for (const { reason } of (await Promise.allSettled(published)) as PromiseRejectedResult[]) {
      expect(reason).toBe(refusal);
    }
    await sink.reported('up');
    expect(sink.reports).toEqual(['down', 'up']);
    expect(made).toHaveLength(4);
    expect([commands.status, subscriber.status]).toEqual(['end', 'end']);
  });

  it('does not start', async () => {
    FakeIoRedis.role = 'slave';
    const { backplane } = backplaneOn(FakeIoRedis);
    await expect(backplane.start(new RecordingSink(), 'node')).rejects.toThrow(
      'the server is a replica; the hub needs the primary',
    );
  });

  it('stays down when a connection is lost and leads to a replica while the other one is asked', async () => {
    const { backplane, commands, subscriber, sink } = await start(FakeIoRedis);
    await backplane.subscribe('r');
    let answer!: (pong: unknown) => void;
    subscriber.ping = () => new Promise((resolve) => (answer = resolve));
    commands.lose();
    await commands.connect();
    FakeIoRedis.role = 'slave';
    commands.lose();
    await commands.connect();
    answer('PONG');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sink.reports).toEqual(['down']);
  });

  it('takes a server that refuses the question for a primary', async () => {
    vi.spyOn(FakeIoRedis.prototype, 'call').mockRejectedValue(new Error('NOPERM'));
    const { sink } = await start(FakeIoRedis);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(sink.reports).toEqual([]);
    vi.restoreAllMocks();
  });
});
