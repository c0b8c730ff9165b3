import type { InflateWaiter } from '@ws/conn/internal';
import type { FaultError } from './errors.ts';
import { engines, type PerMessageDeflate } from './permessage-deflate.ts';
import { platform } from './platform.ts';
import type { ReceivedMessage } from './received-message.ts';

/** The cost of a step besides its bytes. */
const STEP_COST = 64;

/** The input that the decompressor has is inflated. */
export const INFLATED = 0;
/** The thread's budget for this turn is spent: `waiter` is called in a later turn. */
export const POSTPONED = 1;

/** Inflates what the decompressor has. Returns the fault of invalid input. */
export function inflateInto(
  message: ReceivedMessage,
  deflate: PerMessageDeflate,
  waiter: InflateWaiter,
): typeof INFLATED | typeof POSTPONED | FaultError {
  const { decompressor } = deflate;
  const { inflateBudget } = engines();
  do {
    if (!inflateBudget.request(waiter)) return POSTPONED;
    const part = deflate.step(message.plain);
    const size = part instanceof Error ? 0 : part.length;
    inflateBudget.charge(size + STEP_COST + decompressor.cost, platform);
    if (part instanceof Error) return part;
    message.plain += size;
    message.add(part);
  } while (decompressor.more);
  return INFLATED;
}
