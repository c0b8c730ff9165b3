import type { InflateWaiter } from '@ws/conn/internal';
import { copyOf } from './bytes.ts';
import { type FaultError, invalidDeflate, outOfMemory, tooLong } from './errors.ts';
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
  { decompressor, limit }: PerMessageDeflate,
  waiter: InflateWaiter,
): typeof INFLATED | typeof POSTPONED | FaultError {
  const { inflateBudget, output } = engines();
  do {
    if (!inflateBudget.request(waiter)) return POSTPONED;
    const left = limit - message.plain;
    let size: number;
    try {
      size = decompressor.step(output, Math.min(output.length, left + 1), left);
    } catch (error) {
      return outOfMemory(error as Error);
    }
    inflateBudget.charge(Math.max(size, 0) + STEP_COST + decompressor.cost, platform);
    if (size < 0) return invalidDeflate();
    if (size > left) return tooLong();
    message.plain += size;
    if (size > 0) message.add(copyOf(output, 0, size));
  } while (decompressor.more);
  return INFLATED;
}
