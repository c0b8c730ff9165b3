import type { Platform } from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { inRootContext } from '@ws/node-io/internal';

const nextTick = process.nextTick.bind(process);
const resolved = Promise.resolve();

/** Runs `callback` after all ready microtasks, before the next I/O. `callback` never throws. */
function defer(callback: () => void): void {
  void resolved.then(() => inRootContext(nextTick, callback));
}

/**
 * Node as a platform. A program of ws expects that a frame leaves without a timer or a tick that a
 * test could fake: so `defer` uses the `nextTick` that exists when the package is loaded.
 */
export const platform: Platform = { ...nodePlatform, defer, base: nodePlatform };
