import { portablePlatform } from '@ws/conn';
import { describe, expect, it, vi } from 'vitest';
import { setAnswerTimer } from '../../src/backplane/with-timeout.ts';

describe('setAnswerTimer', () => {
  it('lets a suspended process read the answer first', async () => {
    const late = vi.fn();
    const answered = setAnswerTimer(portablePlatform, 250, late);
    const end = performance.now() + 300;
    while (performance.now() < end);
    // The runtime now runs its timers, then reads from the sockets.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    answered();
    expect(late).not.toHaveBeenCalled();
  });
});
