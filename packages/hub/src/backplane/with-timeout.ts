import type { Platform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { BackplaneError } from '../errors.ts';

/** Ms for a process that was suspended, to read the answers that have arrived meanwhile. */
const GRACE_MS = 200;

/**
 * Calls `expired` after `ms`, unless the returned function is called before. A process that was
 * suspended runs its timers before it reads from its sockets. So the last {@link GRACE_MS} are a
 * second timer: the process reads its sockets between both.
 */
export function setAnswerTimer(
  platform: Pick<Platform, 'setTimer'>,
  ms: number,
  expired: () => void,
): () => void {
  let cancel = platform.setTimer(ms - GRACE_MS, () => {
    cancel = platform.setTimer(GRACE_MS, expired);
  });
  return () => cancel();
}

/**
 * Settles as `promise` does, or rejects with a {@link BackplaneError} after `ms`.
 *
 * @param options - `waited`: ms that the caller has already waited. `text`: message of the error.
 */
export async function withTimeout<T>(
  platform: Platform,
  ms: number,
  promise: Promise<T>,
  {
    waited = 0,
    text = `the backplane has not answered for ${ms} ms`,
  }: { readonly waited?: number; readonly text?: string } = {},
): Promise<T> {
  const timeout = new Deferred<never>();
  const cancel = setAnswerTimer(platform, Math.max(ms - waited, GRACE_MS), () => {
    timeout.reject(new BackplaneError(text));
  });
  try {
    return await Promise.race([promise, timeout.promise]);
  } finally {
    cancel();
  }
}

export function sleep(platform: Platform, ms: number): Promise<void> {
  return new Promise((resolve) => void platform.setTimer(ms, resolve));
}
