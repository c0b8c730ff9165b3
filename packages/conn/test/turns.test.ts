import { FakeHost } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { turnsOf } from '../src/turns.ts';

describe('Turns', () => {
  it('runs all that wait in one deferred call, in order', () => {
    const host = new FakeHost({ automatic: false });
    const ran: number[] = [];
    for (let i = 0; i < 3; i++) turnsOf(host).add({ onTurn: () => ran.push(i) });
    expect(host.deferred).toBe(1);
    expect(ran).toEqual([]);
    host.runDeferred();
    expect(ran).toEqual([0, 1, 2]);
    expect(host.deferred).toBe(0);
  });

  it('gives those behind one that throws their turn, in the next one', () => {
    const host = new FakeHost({ automatic: false });
    const ran: number[] = [];
    turnsOf(host).add({ onTurn: () => ran.push(0) });
    turnsOf(host).add({
      onTurn: () => {
        throw new Error('a bug');
      },
    });
    for (let i = 1; i < 4; i++) turnsOf(host).add({ onTurn: () => ran.push(i) });
    expect(() => host.runDeferred()).toThrow('a bug');
    expect(ran).toEqual([0]);
    host.runDeferred();
    expect(ran).toEqual([0, 1, 2, 3]);
    turnsOf(host).add({ onTurn: () => ran.push(4) });
    host.runDeferred();
    expect(ran).toEqual([0, 1, 2, 3, 4]);
  });

  it('leaves what is added meanwhile for the next turn', () => {
    const host = new FakeHost({ automatic: false });
    const ran: string[] = [];
    const again = { onTurn: () => ran.push('again') };
    turnsOf(host).add({
      onTurn: () => {
        ran.push('first');
        turnsOf(host).add(again);
      },
    });
    turnsOf(host).add({ onTurn: () => ran.push('second') });
    host.runDeferred();
    expect(ran).toEqual(['first', 'second']);
    expect(host.deferred).toBe(1);
    host.runDeferred();
    expect(ran).toEqual(['first', 'second', 'again']);
  });
});
