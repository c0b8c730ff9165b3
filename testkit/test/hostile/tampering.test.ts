import { Buffer } from 'node:buffer';
import { connPair } from '@ws/conn';
import { afterEach, describe, expect, it } from 'vitest';
import { survives } from '../../src/hostile/index.ts';
import { Random } from '../../src/random.ts';
import { warm } from './warm.ts';

const undo: (() => void)[] = [];

/** Replaces a property until the test is over. */
function patch(target: object, name: string, value: unknown): void {
  const own = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
  undo.push(() => {
    if (own === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, own);
  });
}

afterEach(() => {
  for (const each of undo.splice(0).toReversed()) each();
});

describe('an application that patches what is global', () => {
  it('still gets every byte that was sent, and none of another', async () => {
    const random = new Random(141);
    const messages = [0, 1, 125, 126, 5_000, 65_536, 100_000].map((size) =>
      Uint8Array.from({ length: size }, () => random.below(256)),
    );
    const { poolSize } = Buffer;
    await survives(
      141,
      await warm(async () => {
        Buffer.poolSize = 1;
        patch(Array.prototype, 'last', function last(this: unknown[]) {
          return this.at(-1);
        });
        patch(Array.prototype, 'push', function push(this: unknown[], ...items: unknown[]) {
          for (const item of items) this[this.length] = item;
          return this.length;
        });
        patch(Object.prototype, 'polluted', 'yes');
        patch(Object.prototype, 'mask', 1);
        const then = Reflect.get(Promise.prototype, 'then');
        patch(
          Promise.prototype,
          'then',
          function patched(this: Promise<unknown>, ...args: never[]) {
            return Reflect.apply(then, this, args);
          },
        );
        let faults = 0;
        let received = 0;
        const [client, server] = connPair();
        const echo = server.receive((message) => server.send(message));
        for (const message of messages) {
          const sent = message.slice();
          await client.send(sent);
          const answer = await client.readMessage();
          received++;
          if (Buffer.compare(answer.data, message) !== 0) faults++;
        }
        const { code } = await client.close();
        await echo;
        for (const each of undo.splice(0).toReversed()) each();
        Buffer.poolSize = poolSize;
        expect(code).toBe(1000);
        expect(received).toBe(messages.length);
        return { faults };
      }, 3),
    );
  });
});
