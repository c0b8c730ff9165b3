import type { ConnLike } from '@ws/conn';
import { isThenable } from '@ws/conn/internal';
import type { Backlog } from './backlog.ts';
import type { LivePlan } from './options.ts';
import { openWithin } from './waits.ts';

/**
 * Calls the option `onOpen`, and waits for its result within `handshakeTimeout`.
 *
 * @param signal - Aborts when the connection is no longer wanted. Later errors are not reported.
 * @param report - Called with an error, where it came from, and its kind if that is not its name.
 * @throws (also rejects) the error of `onOpen`; TimeoutError.
 */
export function callOnOpen<C extends ConnLike>(
  { onOpen, handshakeTimeout }: LivePlan<C>,
  conn: C,
  signal: AbortSignal,
  queue: Backlog,
  report: (error: unknown, where: string, kind?: string) => void,
): unknown {
  const failed = (error: unknown): never => {
    if (!signal.aborted) report(error, 'onOpen');
    throw error;
  };
  const { last } = queue;
  try {
    const work = onOpen?.(conn);
    if (!isThenable(work)) return undefined;
    const sendWaits = (): boolean => queue.last !== last;
    const reportWait = (error: Error): void => report(error, 'onOpen', 'wait');
    return openWithin(handshakeTimeout, work, sendWaits, reportWait).catch(failed);
  } catch (error) {
    return failed(error);
  }
}
