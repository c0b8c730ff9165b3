import { Hub } from '@ws/hub';
import { describe, expect, it, vi } from 'vitest';
import { enter } from './nodes.ts';

describe('hub.multiple', () => {
  it.each([false, true])(
    'costs as much for each message, however many are in a turn (with a broadcast: %s)',
    async (broadcasts) => {
      const hub = new Hub();
      const members = Array.from({ length: 300 }, () => enter(hub));
      const has = vi.spyOn(Set.prototype, 'has');
      for (const [i, { session }] of members.entries()) {
        hub.multiple([session], `first ${i}`);
        if (broadcasts && i === 100) hub.broadcast('all');
        hub.multiple([session], `second ${i}`);
      }
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      const calls = has.mock.calls.length;
      has.mockRestore();
      await expect.poll(() => members.every(({ received }) => received.length >= 2)).toBe(true);
      expect(calls).toBeLessThan(20 * members.length);
      await hub.close({ timeout: 1_000 });
      for (const [i, { received }] of members.entries()) {
        const own = [`first ${i}`, `second ${i}`];
        const all =
          i < 100 ? [...own, 'all'] : i > 100 ? ['all', ...own] : own.toSpliced(1, 0, 'all');
        expect(received).toEqual(broadcasts ? all : own);
      }
    },
  );
});
