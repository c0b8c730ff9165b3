import { afterEach, beforeEach, type MockInstance, vi } from 'vitest';

/**
 * Stops `performance.now` during each test of the block. No turn of the event loop is a long one then,
 * however slow the machine is: the bytes of a turn, and of a chunk, leave in one write.
 */
export function stoppedClock(): void {
  let clock: MockInstance<() => number>;
  beforeEach(() => {
    clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now());
  });
  afterEach(() => clock.mockRestore());
}
