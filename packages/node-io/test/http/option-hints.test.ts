import { describe, expect, it } from 'vitest';
import { optionHints } from '../../src/internal.ts';

describe('optionHints', () => {
  it('translates names of other libraries to options that are known', () => {
    expect(optionHints(['readLimit', 'heartbeat'])).toMatchObject({
      maxPayload: 'use readLimit',
      pingInterval: 'use heartbeat: { interval }',
      routes: 'routes are the second argument of serve',
    });
  });

  it('has no hint whose option is unknown', () => {
    expect(optionHints(['readLimit'])).not.toHaveProperty('verifyClient');
  });
});
