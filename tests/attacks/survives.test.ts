import { describe, expect, it } from 'vitest';
import { type Outcome, survives, threadTime, type Watch } from '../../src/hostile/index.ts';

/** A row that asserts a close code and 1 KiB of memory. */
const ROW = 54;

/** A row that asserts a close code, how many were allowed, and 0 bytes for each, which is noisy. */
const NOISY = 60;

/** So many, since what the first ones leave of the harness itself is more than that. */
const ROUNDS = { rounds: 40 };

/** Bytes beside which what V8 takes or gives back of its own is little. */
const LARGE = 10_000_000;

const survivor = { close: 1009 };
const kept: unknown[] = [];

describe('survives', () => {
  it('accepts what stays within the bounds of its row', async () => {
    await expect(survives(ROW, () => survivor, ROUNDS)).resolves.toEqual(survivor);
  });

  it.each<[string, (watch: Watch) => Outcome | Promise<Outcome>, RegExp]>([
    ['another outcome', () => ({ close: 1002 }), /close/],
    ['an outcome that is missing', () => ({}), /close/],
    [
      'memory that is kept',
      () => {
        kept.push(new Uint8Array(LARGE));
        return survivor;
      },
      /memory/,
    ],
    [
      'memory that is held while it lasts',
      (watch) => {
        const buffer = new Uint8Array(LARGE);
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
    await expect(survives(ROW, attack, { rounds: 3 })).rejects.toThrow(message);
    kept.length = 0;
  });

  it('ends with the round after which all bounds have held', async () => {
    let made = 0;
    await survives(
      ROW,
      () => {
        kept.push(made === 0 ? new Uint8Array(LARGE) : undefined);
        made++;
        return survivor;
      },
      ROUNDS,
    );
    expect(made).toBeGreaterThan(1);
    expect(made).toBeLessThan(ROUNDS.rounds);
    kept.length = 0;
  });

  it('takes what is noisy from the cheapest round, and all else from each', async () => {
    const exact = { close: 1008, allowed: 1024 };
    const rounds = [2, 0, 3];
    const attack = (): Outcome => ({ ...exact, each: rounds.shift() });
    await expect(survives(NOISY, attack, ROUNDS)).resolves.toEqual({ ...exact, each: 0 });
    expect(rounds).toEqual([3]);
    const tooMuch = survives(NOISY, () => ({ ...exact, each: 2 }), { rounds: 3 });
    await expect(tooMuch).rejects.toThrow(/each/);
    const tooFew = survives(NOISY, () => ({ ...exact, allowed: 1023, each: 0 }), ROUNDS);
    await expect(tooFew).rejects.toThrow(/allowed/);
    await expect(survives(NOISY, () => exact, { rounds: 3 })).rejects.toThrow(/each/);
  });

  it('gives what is held at a moment, without garbage', async () => {
    let grown = 0;
    const attack = (watch: Watch): Outcome => {
      const before = watch.held();
      const buffers = Array.from({ length: 10 }, () => new Uint8Array(LARGE));
      buffers.length = 1;
      grown = watch.held() - before;
      return { close: survivor.close, buffer: buffers[0]!.length };
    };
    await expect(survives(ROW, attack, { rounds: 1 })).rejects.toThrow(/memory/);
    expect(grown).toBeGreaterThan(0.9 * LARGE);
    expect(grown).toBeLessThan(5 * LARGE);
  });

  it('leaves no listener behind', async () => {
    const before = process.listenerCount('uncaughtException');
    await survives(ROW, () => survivor, ROUNDS);
    expect(process.listenerCount('uncaughtException')).toBe(before);
  });

  it('knows the rows only that the map has', async () => {
    await expect(survives(999, () => survivor)).rejects.toThrow('no row 999');
  });
});
