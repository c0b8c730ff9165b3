import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { CloseError, TextMessage } from '../../src/index.ts';
import { Message } from '../../src/message.ts';
import { isNormalEnd, PendingMessage, PendingResult } from '../../src/read/pending-read.ts';

const message = new Message(TextMessage, Uint8Array.of(0x61), new FakePlatform());

describe('PendingMessage', () => {
  it('resolves with its message, and rejects with every error', async () => {
    const given = new PendingMessage('readMessage');
    given.give(message);
    expect(await given.promise).toBe(message);
    const ended = new PendingMessage('readMessage');
    ended.end(new CloseError(1000));
    await expect(ended.promise).rejects.toMatchObject({ closeCode: 1000 });
  });

  it.each([
    ['readMessage', false],
    ['readJSON', false],
    ['nextReader', true],
  ])('of %s accepts its message as a stream: %s', (name, streams) => {
    const pending = new PendingMessage(name);
    expect([pending.name, pending.streams]).toEqual([name, streams]);
  });
});

describe('PendingResult', () => {
  it('returns its message whole, as an iterator does', async () => {
    const pending = new PendingResult({});
    expect([pending.name, pending.streams]).toEqual(['for await', false]);
    pending.give(message);
    expect(await pending.promise).toEqual({ done: false, value: message });
  });

  it('is done when the connection ends normally, and rejects with other errors', async () => {
    const well = new PendingResult({});
    well.end(new CloseError(1001), true);
    expect(await well.promise).toEqual({ done: true, value: undefined });
    const badly = new PendingResult({});
    badly.end(new CloseError(1006), false);
    await expect(badly.promise).rejects.toMatchObject({ closeCode: 1006 });
  });
});

describe('endsWell', () => {
  it.each([
    [1000, true],
    [1001, true],
    [1002, false],
    [1005, true],
    [1006, false],
    [4000, false],
  ])('of a close with %d is %s', (code, well) => {
    expect(isNormalEnd(new CloseError(code))).toBe(well);
  });

  it('is false for other errors', () => {
    for (const error of [undefined, new Error('x'), { closeCode: 1000 }])
      expect(isNormalEnd(error)).toBe(false);
  });
});
