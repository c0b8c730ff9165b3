import { describe, expect, it } from 'vitest';
import { type Outcome, survives, threadTime, type Watch } from '../../src/hostile/index.ts';

/** A row that asserts a close code and 1 KiB of memory. */
const ROW = 54;

const survivor = { close: 1009 };
const kept: unknown[] = [];

describe('survives', () => {
  it('accepts what stays within the bounds of its row', async () => {
    await expect(survives(ROW, () => survivor)).resolves.toEqual(survivor);
  });

  it.each<[string, (watch: Watch) => Outcome | Promise<Outcome>, RegExp]>([
    ['another outcome', () => ({ close: 1002 }), /close/],
    ['an outcome that is missing', () => ({}), /close/],
    [
      'memory that is kept',
      () => {
        kept.push(new Uint8Array(100_000));
        return survivor;
      },
      /memory/,
    ],
    [
      'memory that is held while it lasts',
      (watch) => {
        const buffer = new Uint8Array(100_000);
        watch.weigh();
        return { close: survivor.close, buffer: buffer.length };
      },
      /memory/,
    ],
    [
      'a turn that is too long',
      () => {
        const end = threadTime() + 30;
        while (threadTime() < end);
        return survivor;
      },
      /stall/,
    ],
    [
      'an error that nobody catches',
      () => {
        process.emit('uncaughtException', new Error('of nobody'));
        return survivor;
      },
      /uncaught/,
    ],
    [
      'a listener too many',
      () => {
        const warning = new Error('11 listeners');
        warning.name = 'MaxListenersExceededWarning';
        process.emit('warning', warning);
        return survivor;
      },
      /uncaught/,
    ],
  ])('tells of %s', async (_, attack, message) => {
    await expect(survives(ROW, attack)).rejects.toThrow(message);
    kept.length = 0;
  });

  it('leaves no listener behind', async () => {
    const before = process.listenerCount('uncaughtException');
    await survives(ROW, () => survivor);
    expect(process.listenerCount('uncaughtException')).toBe(before);
  });

  it('knows the rows only that the map has', async () => {
    await expect(survives(999, () => survivor)).rejects.toThrow('no row 999');
  });
});
