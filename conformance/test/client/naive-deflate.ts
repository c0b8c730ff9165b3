// permessage-deflate for the naive client: zlib with a dictionary, without a persistent engine.
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Fault } from './naive-faults.ts';

const TAIL = Buffer.from('0000ffff', 'hex');
/** An empty block with fixed codes and BFINAL. */
const FINAL_BLOCK = Buffer.from('0300', 'hex');
const WINDOW = 32_768;
const ALL_BITS = [8, 9, 10, 11, 12, 13, 14, 15];
/** Maximum size of an inflated message, in bytes. */
const MOST = 64 * 2 ** 20;

/** Negotiated parameters and the history of both directions. */
export class NaiveDeflate {
  readonly #params: ReadonlyMap<string, string | undefined>;
  readonly #has: (fault: Fault) => boolean;
  #sent: Buffer = Buffer.alloc(0);
  #received: Buffer = Buffer.alloc(0);

  constructor(params: ReadonlyMap<string, string | undefined>, has: (fault: Fault) => boolean) {
    this.#params = params;
    this.#has = has;
  }

  /** Creates the offer. */
  static offer(has: (fault: Fault) => boolean): string {
    const bits = 'permessage-deflate; client_max_window_bits';
    if (has('offers an unknown parameter')) return `${bits}; mem_level=8`;
    if (has('offers a parameter twice')) return `${bits}; client_max_window_bits`;
    if (has('offers a window of 7')) return `${bits}; server_max_window_bits=7`;
    return bits;
  }

  /** Parses the answer. Returns undefined for an invalid one. */
  static agree(value: string, has: (fault: Fault) => boolean): NaiveDeflate | undefined {
    const elements = value.split(',').filter((element) => element.trim() !== '');
    if (elements.length > 1 && !has('accepts two answers of permessage-deflate')) return undefined;
    const [name, ...params] = elements[0]!.split(';').map((part) => part.trim());
    if (name !== 'permessage-deflate') return undefined;
    const agreed = new Map<string, string | undefined>();
    for (const param of params) {
      const [, key, quoted, plain] =
        /^(\w+)(?:[ \t]*=[ \t]*(?:"([^"\s]+)"|([^"\s=]+)))?$/.exec(param) ?? [];
      if (key === undefined) return undefined;
      if (agreed.has(key) && !has('accepts a parameter twice')) return undefined;
      if (!isRight(key, quoted ?? plain, has)) return undefined;
      agreed.set(key, quoted ?? plain);
    }
    return new NaiveDeflate(agreed, has);
  }

  compress(payload: Buffer): Buffer {
    const told = Number(this.#params.get('client_max_window_bits') ?? 15);
    const wide =
      this.#has('compresses with a larger window than negotiated') || !ALL_BITS.includes(told);
    const windowBits = wide ? 15 : told;
    const packed = deflateRawSync(payload, {
      // zlib has no window of 256 bytes, and stored blocks need no window.
      ...(windowBits === 8 ? { level: 0 } : { windowBits }),
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#sent.length > 0 && { dictionary: this.#sent }),
    });
    const alone = this.#params.has('client_no_context_takeover');
    if (
      !alone ||
      this.#has('compresses with context takeover despite client_no_context_takeover')
    ) {
      this.#sent = Buffer.concat([this.#sent, payload]).subarray(-(2 ** windowBits));
    }
    return packed.subarray(0, -TAIL.length);
  }

  /**
   * Inflates one message. @throws Error for invalid data, RangeError for a message that is too
   * large.
   */
  decompress(payload: Buffer): Buffer {
    const parts: Buffer[] = [];
    let rest = Buffer.concat([payload, TAIL]);
    // Another stream starts after a final block.
    while (rest.length > 0) {
      // The final block is an error within an unfinished one.
      const unchecked = this.#has('accepts data that ends within a block');
      const ended = unchecked ? rest : Buffer.concat([rest, FINAL_BLOCK]);
      const { buffer, engine } = inflateRawSync(ended, {
        info: true,
        maxOutputLength: MOST,
        finishFlush: unchecked ? constants.Z_SYNC_FLUSH : constants.Z_FINISH,
        ...(this.#received.length > 0 && { dictionary: this.#received }),
      }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
      parts.push(buffer);
      if (!this.#has('inflates without context takeover')) {
        this.#received = Buffer.concat([this.#received, buffer]).subarray(-WINDOW);
      }
      if (this.#has('stops at a final block')) break;
      rest = rest.subarray(engine.bytesWritten);
    }
    return Buffer.concat(parts);
  }
}

function isRight(key: string, value: string | undefined, has: (fault: Fault) => boolean): boolean {
  if (key.endsWith('_no_context_takeover')) {
    return value === undefined || has('accepts a value of a parameter without values');
  }
  if (key !== 'server_max_window_bits' && key !== 'client_max_window_bits') {
    return has('accepts unknown parameters');
  }
  if (value === undefined) return has('accepts a window without a number');
  if (/^(?:[89]|1[0-5])$/.test(value)) return true;
  const bits = Number(value);
  if (bits >= 8 && bits <= 15) return has('reads numbers as JavaScript does');
  return has('accepts any window');
}
