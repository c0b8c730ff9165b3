import { expect, it } from 'vitest';
import { explore } from './every-end.ts';

it.each([
  ['server', false],
  ['server', true],
  ['client', false],
  ['client', true],
] as const)(
  'a %s ends in one way for all that see it, in states of two events (handler at work: %s)',
  async (role, handles) => {
    expect(await explore(role, handles, 2)).toBeGreaterThan(25);
  },
);
