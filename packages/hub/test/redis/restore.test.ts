import { EventEmitter } from 'node:events';
import { redisBackplane } from '@ws/hub/redis';
import { expect, it, vi } from 'vitest';
import { RecordingSink } from './recording-sink.ts';

/** A connection of the package `redis`. The test holds back its network. */
class FakeRedis extends EventEmitter {
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

it('redisBackplane delivers messages while the connection for commands is away, and then reports up', async () => {
  const made: FakeRedis[] = [];
  const client = {
    isPubSubActive: false,
    duplicate: () => made[made.push(new FakeRedis()) - 1],
  };
  const backplane = redisBackplane(client);
  const [commands, subscriber] = made as [FakeRedis, FakeRedis];
  const sink = new RecordingSink();
  await backplane.start(sink, 'node');
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
  await backplane.close();
});

it('redisBackplane says that no message is missing when only its commands were away', async () => {
  const made: FakeRedis[] = [];
  const client = {
    isPubSubActive: false,
    duplicate: () => made[made.push(new FakeRedis()) - 1],
  };
  const backplane = redisBackplane(client);
  const [commands, subscriber] = made as [FakeRedis, FakeRedis];
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
  await backplane.close();
});

it('redisBackplane drops what arrives after a hole until it reports up', async () => {
  const made: FakeRedis[] = [];
  const client = {
    isPubSubActive: false,
    duplicate: () => made[made.push(new FakeRedis()) - 1],
  };
  const backplane = redisBackplane(client);
  const [commands, subscriber] = made as [FakeRedis, FakeRedis];
  const sink = new RecordingSink();
  await backplane.start(sink, 'node');
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
  await backplane.close();
});

/** A connection of the package `ioredis`, which forgets its subscriptions with the connection. */
class FakeIoRedis extends EventEmitter {
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

  subscribe(): Promise<unknown> {
    this.subscribed++;
    return Promise.resolve(1);
  }
}

it('redisBackplane restores many channels in time that grows with their number', async () => {
  const made: FakeIoRedis[] = [];
  const client = {
    evalBuffer() {},
    duplicate: () => made[made.push(new FakeIoRedis()) - 1],
  };
  const backplane = redisBackplane(client);
  const subscriber = made[1]!;
  const sink = new RecordingSink();
  await backplane.start(sink, 'node');
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
  await backplane.close();
});

it('redisBackplane still receives a channel whose unsubscription was refused', async () => {
  const made: FakeRedis[] = [];
  const client = {
    isPubSubActive: false,
    duplicate: () => made[made.push(new FakeRedis()) - 1],
  };
  const backplane = redisBackplane(client);
  const sink = new RecordingSink();
  await backplane.start(sink, 'node');
  await backplane.subscribe('r');
  await expect(backplane.unsubscribe('r')).rejects.toThrow('NOPERM');
  made[1]!.receive('still here');
  expect((await sink.messages(1))[0]![1]).toBe('still here');
  await backplane.close();
});

it('redisBackplane waits for a command while Redis answers others', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'performance'] });
  try {
    const made: FakeIoRedis[] = [];
    const client = {
      evalBuffer() {},
      duplicate: () => made[made.push(new FakeIoRedis()) - 1],
    };
    const backplane = redisBackplane(client);
    const sink = new RecordingSink();
    await backplane.start(sink, 'node');
    // Redis needs 500 ms for each of them.
    const answers: (() => void)[] = [];
    made[1]!.subscribe = () =>
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
    await backplane.close();
  } finally {
    vi.useRealTimers();
  }
});
