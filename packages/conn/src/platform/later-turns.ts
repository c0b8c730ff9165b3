import { asyncContexts } from './async-contexts.ts';

/**
 * Returns a function that calls `run` in a later turn of the event loop, by the best function that the
 * runtime has at the time of the call. `run` has the root context. Browsers do not throttle a
 * MessageChannel in background tabs.
 */
export function inLaterTurns(run: () => void): () => void {
  let channel: InstanceType<NonNullable<typeof MessageChannel>> | undefined;
  const post = (): void => {
    if (typeof setImmediate === 'function') setImmediate(run);
    else if (typeof MessageChannel === 'function') {
      if (channel === undefined) {
        channel = new MessageChannel();
        channel.port1.onmessage = run;
        channel.port1.unref?.();
      }
      channel.port2.postMessage(null);
    } else setTimeout(run, 0);
  };
  return () => asyncContexts.inRoot(post);
}
