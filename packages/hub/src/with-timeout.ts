import type { Platform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { BackplaneError } from './errors.ts';

/** Settles as `promise` does, or rejects with a {@link BackplaneError} after `ms`. */
export async function withTimeout<T>(
  platform: Platform,
  ms: number,
  promise: Promise<T>,
): Promise<T> {
  const late = new Deferred<never>();
  const cancel = platform.setTimer(ms, () => {
    late.reject(new BackplaneError(`the backplane has not answered for ${ms} ms`));
  });
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    cancel();
  }
}

/** Resolves after `ms`. */
export function sleep(platform: Platform, ms: number): Promise<void> {
  return new Promise((resolve) => void platform.setTimer(ms, resolve));
}
