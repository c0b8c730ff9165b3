import type { Platform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { BackplaneError } from '../errors.ts';

/**
 * Ms without an answer after which Redis or NATS counts as away. The hub waits longer for a
 * publication.
 */
export const ANSWER_MS = 4_000;
/** Interval of the checks of a connection, in ms. */
export const CHECK_MS = 5_000;
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

/** The end of a wait: `waited`: ms that the caller has already waited. `text`: message of the error. */
interface Timeout {
  readonly waited?: number;
  readonly text?: string;
}

/**
 * Waits until `begin` calls `done`. Many calls may wait so for one event that may never come: a call that
 * gives up leaves nothing behind. A promise of the event would keep the reactions of all of them.
 *
 * @param begin - Arranges the call of `done`. Returns a function that removes it, called in any case.
 * @throws (rejects) {@link BackplaneError} after `ms`.
 */
export async function waitFor(
  platform: Pick<Platform, 'setTimer'>,
  ms: number,
  begin: (done: () => void) => () => void,
  { waited = 0, text = silenceText(ms) }: Timeout = {},
): Promise<void> {
  const event = new Deferred<void>();
  const remove = begin(() => event.resolve());
  const cancel = setAnswerTimer(platform, Math.max(ms - waited, GRACE_MS), () => {
    event.reject(new BackplaneError(text));
  });
  try {
    await event.promise;
  } finally {
    cancel();
    remove();
  }
}

/** Adds `done` to the calls of an event. Returns a function that removes it. */
export function added(calls: Set<() => void>, done: () => void): () => void {
  calls.add(done);
  return () => void calls.delete(done);
}

export function silenceText(ms: number): string {
  return `the backplane has not answered for ${ms} ms`;
}

/**
 * Settles as `promise` does, or rejects with a {@link BackplaneError} after `ms`. For a
 * promise of one call only, see {@link waitFor}.
 */
export async function withTimeout<T>(
  platform: Platform,
  ms: number,
  promise: Promise<T>,
  { waited = 0, text = silenceText(ms) }: Timeout = {},
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
