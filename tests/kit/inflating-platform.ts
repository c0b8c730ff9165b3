import type { MessageDeflate } from '@ws/codec';
import { type Deflater, type Inflater, InflateStatus, perMessageDeflate } from '@ws/deflate';
import { FakePlatform } from './fake-platform.ts';

/** An inflater whose plain form has each byte of the compressed one `times` times. */
export class RepeatingInflater implements Inflater {
  /** The memory that it has written to. */
  readonly outputs: Set<Uint8Array>;
  readonly #times: number;
  used = 0;
  produced = 0;
  extraCost = 0;

  constructor(times: number, outputs: Set<Uint8Array> = new Set()) {
    this.#times = times;
    this.outputs = outputs;
  }

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
    this.outputs.add(output);
    this.used = Math.min(to - from, Math.floor((end - at) / this.#times));
    this.produced = this.used * this.#times;
    for (let i = 0; i < this.used; i++) {
      output.fill(input[from + i]!, at + i * this.#times, at + (i + 1) * this.#times);
    }
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
  });
  return Object.assign(new FakePlatform(), { deflate });
}

/** A platform that inflates messages to their own bytes, and deflates nothing. */
export function identityPlatform(): FakePlatform {
  return inflatingPlatform(() => new RepeatingInflater(1));
}
