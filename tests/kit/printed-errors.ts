import { portablePlatform } from '@ws/conn';
import { reportError } from '@ws/conn/internal';
import { vi } from 'vitest';

/**
 * Lets the default reporter of the portable platform print each kind of error again. It prints one of a kind each second,
 * and an earlier file of the worker may have printed one by another clock. A clock that goes back starts a new second.
 * Call it before a spy on `console.error`.
 */
export function forgetPrintedErrors(): void {
  const now = vi.spyOn(performance, 'now').mockReturnValue(Number.MAX_SAFE_INTEGER);
  const print = vi.spyOn(console, 'error').mockImplementation(() => {});
  reportError(undefined, portablePlatform, new Error('later than all others'), { where: 'test' });
  now.mockRestore();
  print.mockRestore();
}
