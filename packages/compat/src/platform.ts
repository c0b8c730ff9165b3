import type { Platform } from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { inRootContext } from '@ws/node-io/internal';

/** The `nextTick` that exists when the package is loaded. Fake timers do not replace it. */
export const nextTick: typeof process.nextTick = process.nextTick.bind(process);
const immediate = setImmediate;
const resolved = Promise.resolve();

/** Runs `callback` after all ready microtasks, before the next I/O. `callback` never throws. */
function defer(callback: () => void): void {
  void resolved.then(() => inRootContext(nextTick, callback));
}

/** Runs `callback` in a later turn. `callback` never throws. */
function yieldTurn(callback: () => void): void {
  inRootContext(immediate, callback);
}

/**
 * Node as a platform. A program of ws expects that frames, messages and the close need no timer or
 * tick that a test could fake. Without `base`, because the platform of the other packages uses the
 * timers that exist at the time of the call.
 */
export const platform: Platform = { ...nodePlatform, defer, yield: yieldTurn };
