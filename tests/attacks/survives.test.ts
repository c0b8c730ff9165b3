import { describe, expect, it } from 'vitest';
import {
  atMost,
  KIB,
  type Limits,
  lowestAtMost,
  type Outcome,
  STALL_MS,
  survives,
  threadTime,
  type Watch,
} from './harness/index.ts';

const CLAIM = { attack: 'a claimed length' };
const BOUND = { close: 1009, memory: KIB };
const FLOOD = { attack: 'a flood' };
/** The first rounds hold more than the bound for the harness itself. */
const ROUNDS = 40;
const NOISY: Limits = { close: 1008, allowed: atMost(1024), each: lowestAtMost(1), rounds: ROUNDS };

/** Bytes. The memory that V8 allocates or frees meanwhile is small in comparison. */
const LARGE = 10_000_000;

const survivor = { close: 1009 };
const kept: unknown[] = [];

describe('survives', () => {
  it('accepts an attack within its bound', async () => {
    await expect(survives(CLAIM, { ...BOUND, rounds: ROUNDS }, () => survivor)).resolves.toEqual(
      survivor,
    );
  });

  it.each<[string, (watch: Watch) => Outcome | Promise<Outcome>, RegExp]>([
    ['another outcome', () => ({ close: 1002 }), /close/],
    ['a missing outcome', () => ({}), /close/],
    ['memory that the attack keeps', () => (kept.push(new Uint8Array(LARGE)), survivor), /memory/],
    [
      'memory that the attack holds meanwhile',
      (watch) => {
        const buffer = new Uint8Array(LARGE);
        watch.weigh();
        return { close: survivor.close, buffer: buffer.length };
      },
      /memory/,
    ],
    [
      'a turn that takes too long',
      () => {
        const end = threadTime() + STALL_MS + 10;
        while (threadTime() < end);
        return survivor;
      },
      /stall/,
    ],
    [
      'an uncaught error',
      () => {
        process.emit('uncaughtException', new Error('uncaught'));
        return survivor;
      },
      /uncaught/,
    ],
    [
      'a warning about too many listeners',
      () => {
        const warning = new Error('11 listeners');
        warning.name = 'MaxListenersExceededWarning';
        process.emit('warning', warning);
        return survivor;
      },
      /uncaught/,
    ],
  ])('rejects %s', async (_, attack, message) => {
    await expect(survives(CLAIM, { ...BOUND, rounds: 1 }, attack)).rejects.toThrow(message);
    kept.length = 0;
  });

  it('stops after the round in which all bounds hold', async () => {
    let made = 0;
    await survives(CLAIM, { ...BOUND, rounds: ROUNDS }, () => {
      kept.push(made === 0 ? new Uint8Array(LARGE) : undefined);
      made++;
      return survivor;
    });
    expect(made).toBeGreaterThan(1);
    expect(made).toBeLessThan(ROUNDS);
    kept.length = 0;
  });

  it('compares noisy figures of the cheapest round, and all others of each round', async () => {
    const exact = { close: 1008, allowed: 1024 };
    const rounds = [3, 1, 4];
    const attack = (): Outcome => ({ ...exact, each: rounds.shift() });
    await expect(survives(FLOOD, NOISY, attack)).resolves.toEqual({ ...exact, each: 1 });
    expect(rounds).toEqual([4]);
    const tooMuch = survives(FLOOD, { ...NOISY, rounds: 3 }, () => ({ ...exact, each: 2 }));
    await expect(tooMuch).rejects.toThrow(/each/);
    const tooMany = survives(FLOOD, NOISY, () => ({ ...exact, allowed: 1025, each: 0 }));
    await expect(tooMany).rejects.toThrow(/allowed/);
    await expect(survives(FLOOD, { ...NOISY, rounds: 3 }, () => exact)).rejects.toThrow(/each/);
  });

  it('returns the bytes held at a moment, without garbage', async () => {
    let grown = 0;
    const attack = (watch: Watch): Outcome => {
      const before = watch.held();
      const buffers = Array.from({ length: 10 }, () => new Uint8Array(LARGE));
      buffers.length = 1;
      grown = watch.held() - before;
      return { close: survivor.close, buffer: buffers[0]!.length };
    };
    await expect(survives(CLAIM, { ...BOUND, rounds: 1 }, attack)).rejects.toThrow(/memory/);
    expect(grown).toBeGreaterThan(0.9 * LARGE);
    expect(grown).toBeLessThan(5 * LARGE);
  });

  it('removes its listeners', async () => {
    const before = process.listenerCount('uncaughtException');
    await survives(CLAIM, { ...BOUND, rounds: ROUNDS }, () => survivor);
    expect(process.listenerCount('uncaughtException')).toBe(before);
  });
});
