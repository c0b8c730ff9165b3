import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Latencies } from './latencies.ts';
import type { LoadConnection } from './load-connection.ts';

/** Number of due messages that are sent before the process reads again. */
const BURST = 64;
/** Waits below this many ms poll: a timer has a resolution of a millisecond. */
const SPIN_BELOW_MS = 2;

/**
 * Makes messages due at fixed moments, spread over all connections, whatever the server does.
 *
 * @returns The delay of the load itself: from the due moment to the call that sends.
 */
export async function pace(
  connections: readonly Pick<LoadConnection, 'plan'>[],
  rate: number,
  ms: number,
): Promise<Latencies> {
  const late = new Latencies();
  const began = performance.now();
  const count = Math.floor((rate * ms) / 1000);
  for (let i = 0; i < count; ) {
    const moment = began + (1000 * i) / rate;
    const wait = moment - performance.now();
    if (wait > SPIN_BELOW_MS) {
      await sleep(wait - SPIN_BELOW_MS / 2);
    } else if (wait > 0) {
      await nextTurn();
    } else {
      late.record(-wait);
      connections[i % connections.length]!.plan(moment);
      // A load that is behind must read too.
      if (++i % BURST === 0) await nextTurn();
    }
  }
  return late;
}
