import type { PreparedMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { WaitingMessages } from '../src/sessions/waiting-messages.ts';

const message = (size: number): PreparedMessage =>
  ({ bytes: new Uint8Array(size) }) as unknown as PreparedMessage;

describe('C9 the messages that wait for a slow session', () => {
  it('are taken in linear time', () => {
    const waiting = new WaitingMessages();
    const each = message(10);
    for (let i = 0; i < 300_000; i++) waiting.add(each, undefined);
    let count = 0;
    for (; waiting.first() !== undefined; count++) waiting.shift();
    expect([count, waiting.bytes, waiting.messages]).toEqual([300_000, 0, 0]);
  });

  it('keep their order when a newer message replaces that of a key', () => {
    const waiting = new WaitingMessages();
    const [a, b, c, d] = [1, 2, 3, 4].map(message) as [
      PreparedMessage,
      PreparedMessage,
      PreparedMessage,
      PreparedMessage,
    ];
    waiting.add(a, 'key');
    waiting.add(b, undefined);
    expect([waiting.remove('key'), waiting.remove('key'), waiting.remove('other')]).toEqual([
      true,
      false,
      false,
    ]);
    waiting.add(c, 'key');
    waiting.add(d, undefined, () => {});
    expect([waiting.messages, waiting.bytes]).toEqual([3, 9]);
    const got: (PreparedMessage | undefined)[] = [];
    for (; waiting.messages > 1; waiting.shift()) got.push(waiting.first());
    expect(got).toEqual([b, c]);
    expect(waiting.dropFirst()).toBeTypeOf('function');
    expect(waiting.clear()).toBe(0);
  });
});
