import { EventEmitter } from 'node:events';
import { redisBackplane } from '@ws/hub/redis';
import { expect, it } from 'vitest';
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

it('redisBackplane reports up after the messages that a silent network has held back', async () => {
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
  await commands.connect();
  await new Promise(setImmediate);
  subscriber.receive('held back');
  mend('PONG');
  await sink.report('up');
  subscriber.receive('new');
  expect((await sink.messages(1))[0]![1]).toBe('new');
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
