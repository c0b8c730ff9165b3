import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Broker, BrokerClient } from '../../src/cluster/broker.ts';
import { WorkerBackplane } from '../../src/cluster/cluster-backplane.ts';
import type { Reply, Request } from '../../src/cluster/wire.ts';
import { REQUESTS } from './alike.ts';

const MiB = 2 ** 20;

/** A process with a hub. While it is stopped, it takes no batch. */
class Process {
  readonly hub: Hub;
  remote: BrokerClient | undefined;
  readonly batches: (readonly Reply[])[] = [];
  readonly gaps: (string | undefined)[] = [];
  readonly received: string[] = [];
  #held: (() => void)[] | undefined;

  constructor(broker: Broker, id: string) {
    const backplane = new WorkerBackplane((near) => {
      const remote = new BrokerClient(broker, (batch, sent) => {
        this.batches.push(batch);
        const give = (): void => {
          near.take(batch);
          sent();
        };
        if (this.#held === undefined) queueMicrotask(give);
        else this.#held.push(give);
      });
      this.remote = remote;
      const send = (batch: readonly Request[], sent: () => void): void => {
        queueMicrotask(() => remote.take(batch));
        sent();
      };
      return { send, disconnect() {} };
    });
    const rooms = {
      kept: { history: { size: 1_000, bytes: 64 * MiB } },
      'shown/*': { presence: () => id },
    } as const;
    this.hub = new Hub({
      id,
      backplane,
      rooms,
      maxHistoryBytes: 64 * MiB,
      maxQueuedBytes: 256 * MiB,
    });
    this.hub.on('gap', (room) => void this.gaps.push(room));
    this.hub.on('error', () => {});
  }

  async enter(...rooms: string[]): Promise<void> {
    const [client, server] = connPair();
    const session = this.hub.add(server, { id: 'one' });
    for (const room of rooms) await session.join(room);
    client
      .receive((message) => void this.received.push(message.text().slice(0, 8)))
      .catch(() => {});
  }

  stop(): void {
    this.#held = [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const give of held) give();
  }
}

async function start(...ids: string[]): Promise<Process[]> {
  const broker = new Broker();
  const all = ids.map((id) => new Process(broker, id));
  for (const { hub } of all) await expect.poll(() => hub.stats.backplane).toBe('up');
  return all;
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

const numbered = (number: number, size: number): string => `${number}`.padEnd(8).padEnd(size, '.');
const numbers = (texts: readonly string[]): number[] => texts.map(Number);
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('the broker of a cluster', () => {
  it('sends one batch in each turn', async () => {
    const [one, two] = (await start('a', 'b')) as [Process, Process];
    await two.enter('r');
    await turns(10);
    const before = two.batches.length;
    for (let i = 0; i < 100; i++) void one.hub.room('r').publish(`${i}`);
    await turns(10);
    expect(two.batches.length).toBe(before + 1);
    expect(numbers(two.received)).toEqual(range(100));
  });

  it('tells a process that reads too slowly, and no other, and the history repairs it', async () => {
    const [one, two, three] = (await start('a', 'b', 'c')) as [Process, Process, Process];
    await two.enter('kept', 'plain');
    await three.enter('kept', 'plain');
    await turns(10);
    two.stop();
    // 20 MiB for each of the rooms.
    for (let i = 0; i < 40; i++) {
      await one.hub.room('kept').publish(numbered(i, MiB / 2));
      await one.hub.room('plain').publish(numbered(i + 1_000, MiB / 2));
    }
    await expect.poll(() => three.received).toHaveLength(80);
    expect(three.gaps).toEqual([]);
    two.resume();
    await expect.poll(() => two.received.filter((text) => Number(text) < 1_000)).toHaveLength(40);
    const kept = numbers(two.received).filter((number) => number < 1_000);
    expect(kept).toEqual(range(40));
    await expect.poll(() => two.gaps.filter((room) => room !== undefined)).toEqual(['plain']);
    await one.hub.room('plain').publish('9999');
    await expect.poll(() => two.received.at(-1)).toBe('9999');
    expect(three.gaps).toEqual([]);
  });

  it('holds at most 16 MiB for a process that takes none, and drops no answer', async () => {
    const broker = new Broker();
    const held: (() => void)[] = [];
    const batches: (readonly Reply[])[] = [];
    const hub = new BrokerClient(broker, (batch, sent) => {
      batches.push(batch);
      held.push(sent);
    });
    hub.take([['start'], ['subscribe', 'c']]);
    await turns(2);
    expect(batches).toEqual([
      [
        ['answer', undefined],
        ['answer', undefined],
      ],
    ]);
    const bytes = new Uint8Array(MiB);
    for (let i = 0; i < 40; i++) {
      hub.take([['publish', 'c', bytes]]);
      if (i === 20) hub.take([['publish', 'other', bytes]]);
    }
    const kinds: string[] = [];
    while (held.length > 0) {
      held.shift()!();
      await turns(2);
    }
    for (const batch of batches.slice(1)) {
      const size = batch.reduce((sum, item) => sum + (item[0] === 'message' ? MiB : 0), 0);
      expect(size).toBeLessThanOrEqual(MiB);
      kinds.push(...batch.map(([kind]) => kind));
    }
    expect(kinds.filter((kind) => kind === 'answer')).toHaveLength(41);
    expect(kinds.filter((kind) => kind === 'gap')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'message').length).toBeLessThanOrEqual(16);
    const gap = kinds.indexOf('gap');
    expect(kinds.indexOf('message')).toBeGreaterThan(gap);
  });

  it('sends a large message, and those before it, to a process that reads well', async () => {
    const [one, two] = (await start('a', 'b')) as [Process, Process];
    await two.enter('r');
    await turns(10);
    const sizes = [MiB, 15.5 * MiB, 9];
    await Promise.all(sizes.map((size, i) => one.hub.room('r').publish(numbered(i, size))));
    await expect.poll(() => numbers(two.received)).toEqual(range(3));
    expect(two.gaps).toEqual([]);
  });

  it('ends a batch of calls without messages too', async () => {
    const batches: number[] = [];
    const backplane = new WorkerBackplane(() => ({
      send(batch, sent) {
        batches.push(batch.length);
        sent();
      },
      disconnect() {},
    }));
    const sink = { message() {}, up() {}, down() {}, gap() {} };
    void backplane.start(sink).catch(() => {});
    for (let i = 1; i < 10_000; i++) void backplane.subscribe(`${i}`);
    await turns(4);
    expect(batches.length).toBe(2);
    expect(batches.reduce((sum, size) => sum + size, 0)).toBe(10_000);
  });

  it('ignores requests of the application that look like those of a hub', async () => {
    const broker = new Broker();
    const batches: (readonly Reply[])[] = [];
    const hub = new BrokerClient(broker, (batch, sent) => {
      batches.push(batch);
      sent();
    });
    hub.take([['start']]);
    for (const request of REQUESTS) hub.take([request as Request]);
    hub.take([
      ['publish', 'room', new Uint8Array(1), { size: 1, ttl: 1_000 }],
      ['history', 'room', undefined, 9],
    ]);
    await turns(3);
    const last = batches.flat().at(-1) as ['answer', { messages: object[] }];
    expect(last[1].messages).toHaveLength(1);
    expect(broker.clients.size).toBe(1);
  });

  it('says for a process that has died that its hubs end', async () => {
    const [one, two] = (await start('a', 'b')) as [Process, Process];
    await two.enter('shown/x');
    await one.enter('shown/x');
    const members = (): string[] => [...two.hub.room('shown/x').presence.keys()].toSorted();
    await expect.poll(members).toEqual(['a/one', 'b/one']);
    // The process sends nothing more.
    one.remote!.take = () => {};
    one.remote!.ended();
    await expect.poll(members).toEqual(['b/one']);
  });

  it('keeps nothing of a hub that has closed', async () => {
    const broker = new Broker();
    const one = new Process(broker, 'a');
    await expect.poll(() => one.hub.stats.backplane).toBe('up');
    await one.enter('r');
    await one.hub.close({ timeout: 1 });
    expect(broker.clients.size).toBe(0);
  });

  it('answers a read by 256 KiB at most', async () => {
    const [one, two] = (await start('a', 'b')) as [Process, Process];
    for (let i = 0; i < 20; i++) await one.hub.room('kept').publish(numbered(i, 60_000));
    const before = two.batches.length;
    const { messages, complete } = await two.hub.room('kept').history();
    expect(messages).toHaveLength(20);
    expect(complete).toBe(true);
    for (const batch of two.batches.slice(before)) {
      for (const reply of batch) {
        if (reply[0] !== 'answer') continue;
        const value = reply[1] as { messages?: readonly { bytes: Uint8Array }[] } | undefined;
        const sizes = value?.messages?.map(({ bytes }) => bytes.length) ?? [];
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(262_144);
      }
    }
  });
});

describe('clusterBackplane', () => {
  it('B11 is down while the primary answers nothing for 4 s, and up with its next answer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const [one, two] = (await start('a', 'b')) as [Process, Process];
    const errors: unknown[] = [];
    one.hub.on('error', (_, error) => void errors.push((error as Error).cause));
    await one.enter('plain', 'kept');
    await turns(10);
    one.stop();
    // A room with history gets its messages from the engine.
    const late = one.hub.room('kept').publish('1');
    await turns(2);
    await vi.advanceTimersByTimeAsync(3_990);
    expect(one.hub.stats.backplane).toBe('up');
    await vi.advanceTimersByTimeAsync(10);
    expect([one.hub.stats.backplane, two.hub.stats.backplane]).toEqual(['down', 'up']);
    expect(errors).toEqual([new Error('the primary has not answered for 4000 ms')]);
    await two.hub.room('plain').publish('2');
    await two.hub.room('kept').publish('3');
    one.resume();
    await late;
    await expect.poll(() => one.received.toSorted()).toEqual(['1', '2', '3']);
    expect(one.hub.stats.backplane).toBe('up');
    expect([one.gaps, errors.length]).toEqual([[], 1]);
    // The primary is up as long as it answers, however long all answers take.
    await vi.advanceTimersByTimeAsync(60_000);
    expect([one.hub.stats.backplane, errors.length]).toEqual(['up', 1]);
  });

  it('closes at once while no broker answers', async () => {
    const calls: string[] = [];
    const backplane = new WorkerBackplane(() => ({
      send: (_, sent) => sent(),
      disconnect: () => void calls.push('disconnect'),
    }));
    void backplane.start({ message() {}, up() {}, down() {}, gap() {} }).catch(() => {});
    await backplane.close();
    expect(calls).toEqual(['disconnect']);
  });

  it('reports after 5 s that no broker answers', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const hub = new Hub({ backplane: new WorkerBackplane(() => undefined) });
    const errors: Error[] = [];
    hub.on('error', (_, error) => void errors.push(error as Error));
    await vi.advanceTimersByTimeAsync(4_999);
    expect(errors).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(errors).toHaveLength(1);
    expect((errors[0]!.cause as Error).message).toMatch(/runCluster.*Redis/);
    expect(hub.stats.backplane).toBe('down');
    await hub.close();
  });
});
