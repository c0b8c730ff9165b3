// `pnpm long exhaustive`
import { expect, it } from 'vitest';
import { everySequence, explore } from './every-end.ts';

const CASES = [
  ['server', false],
  ['server', true],
  ['client', false],
  ['client', true],
] as const;

const HOURS = 3_600_000;

it.each(CASES)(
  'a %s: every state is explored (handler at work: %s)',
  async (role, handles) => {
    const states = await explore(role, handles, Infinity);
    console.log(`${states} states`);
    expect(states).toBeGreaterThan(300);
  },
  HOURS,
);

it.each(CASES)(
  'a %s: every sequence of six events (handler at work: %s)',
  async (role, handles) => {
    expect(await everySequence(role, handles, 6)).toBe(1_000_000);
  },
  2 * HOURS,
);
