import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { ClusterBackplane } from '../../src/redis/cluster-backplane.ts';
import type { Topology } from '../../src/redis/cluster-clients.ts';
import type { RedisClient } from '../../src/redis/driver.ts';
import { RecordingSink } from './recording-sink.ts';

/** A server that waits for the test with each answer, in order. */
class Server {
  readonly ran: string[] = [];
  hasSlots = true;
  view = '';
  #isHeld = false;
  #answers: (() => void)[] = [];

  hold(): void {
    this.#isHeld = true;
  }

  answer(): void {
    this.#isHeld = false;
    for (const answer of this.#answers.splice(0)) answer();
  }

  #answer(value: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const answer = (): void => (value instanceof Error ? reject(value) : resolve(value));
      if (this.#isHeld) this.#answers.push(answer);
      else answer();
    });
  }

  /** A client like ioredis. */
  client(): RedisClient {
    const client = Object.assign(new EventEmitter(), {
      status: 'wait',
      duplicate: () => this.client(),
      connect: async () => {
        client.status = 'ready';
        client.emit('ready');
      },
      disconnect: () => {},
      ping: () => this.#answer('PONG'),
      call: () => this.#answer(this.view),
      evalBuffer: () => this.#answer(null),
      spublish: (_: string, frame: Uint8Array) => {
        if (!this.hasSlots) return this.#answer(new Error('MOVED 1 b:1'));
        this.ran.push(String(frame).trim());
        return this.#answer(1);
      },
    });
    return client;
  }
}

it('ClusterBackplane keeps the order of publications while the slot of their room moves', async () => {
  const servers = { 'a:1': new Server(), 'b:1': new Server() };
  let owner: keyof typeof servers = 'a:1';
  let found: string | undefined;
  const discover = async (): Promise<Topology> => {
    found = owner;
    return {
      owners: Array.from({ length: 16_384 }, () => owner),
      clients: new Map(Object.entries(servers).map(([at, server]) => [at, server.client()])),
      locate: () => {
        throw new Error('no other server');
      },
    };
  };
  const backplane = new ClusterBackplane(discover, 'ws:');
  await backplane.start(new RecordingSink());
  const publish = (text: string) => backplane.publish('room/r', Buffer.from(text));
  await publish('1');
  const [a, b] = [servers['a:1'], servers['b:1']];
  a.hasSlots = false;
  a.hold();
  const second = publish('2');
  owner = 'b:1';
  b.view = 'changed';
  await expect.poll(() => found).toBe('b:1');
  await new Promise((resolve) => setImmediate(resolve));
  const third = publish('3');
  a.answer();
  await Promise.all([second, third]);
  expect(b.ran).toEqual(['2', '3']);
  await backplane.close();
});
