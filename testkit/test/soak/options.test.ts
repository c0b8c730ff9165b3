import { describe, expect, it } from 'vitest';
import { planOf } from '../../src/soak/options.ts';

describe('the command line of a soak', () => {
  it('asks for ten minutes of as many connections as may be open, and a new seed', () => {
    expect(planOf([], 20_000)).toEqual({
      connections: 8_000,
      seconds: 600,
      seed: expect.any(Number),
      secure: false,
      compression: 'mixed',
    });
  });

  it('asks for what it says', () => {
    const args = '--minutes 0.5 --connections 12 --seed 7 --tls --compression takeover';
    expect(planOf(args.split(' '), 20_000)).toEqual({
      connections: 12,
      seconds: 30,
      seed: 7,
      secure: true,
      compression: 'takeover',
    });
  });

  it('asks for help', () => {
    expect(planOf(['--help', '--minutes', '1'], 20_000)).toBeUndefined();
  });

  it.each([
    ['--minutes', 'ten'],
    ['--connections', '0'],
    ['--connections', '16001'],
    ['--seed', 'x'],
    ['--compression', 'zip'],
    ['--speed', '1'],
  ])('cannot ask for %s %s', (...args) => {
    expect(() => planOf(args, 20_000)).toThrow(args[0]);
  });
});
