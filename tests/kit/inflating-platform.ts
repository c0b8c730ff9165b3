import type { MessageDeflate } from '@ws/codec';
import { type Deflater, type Inflater, InflateStatus, perMessageDeflate } from '@ws/deflate';
import { FakePlatform } from './fake-platform.ts';

/** An inflater whose compressed form is the plain form. */
export class IdentityInflater implements Inflater {
  used = 0;
  produced = 0;
  extraCost = 0;

  reset(): void {}

  write(
    input: Uint8Array,
    from: number,
    to: number,
    _last: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): InflateStatus {
    this.used = this.produced = Math.min(to - from, end - at);
    output.set(input.subarray(from, from + this.used), at);
    return from + this.used < to ? InflateStatus.More : InflateStatus.Done;
  }

  close(): void {}
}

/** Parameters of permessage-deflate without context takeover, with full windows. */
export const NO_TAKEOVER = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

/** A platform that inflates with the engines of `inflater`, and deflates nothing. */
export function inflatingPlatform(
  inflater: () => Inflater,
): FakePlatform & { readonly deflate: MessageDeflate } {
  const deflate = perMessageDeflate({
    memoryBudget: Infinity,
    generation: 0,
    inflater,
    deflater: (): Deflater => {
      throw new Error('nothing is deflated here');
    },
    deflateLater: () => {
      throw new Error('nothing is deflated here');
    },
  });
  return Object.assign(new FakePlatform(), { deflate });
}

/** A platform that inflates messages to their own bytes, and deflates nothing. */
export function identityPlatform(): FakePlatform {
  return inflatingPlatform(() => new IdentityInflater());
}
