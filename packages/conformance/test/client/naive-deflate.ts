// permessage-deflate for the naive client: zlib, a dictionary, and no engine that lives on.
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Fault } from './naive-faults.ts';

const TAIL = Buffer.from('0000ffff', 'hex');
const WINDOW = 32_768;
const ALL_BITS = [8, 9, 10, 11, 12, 13, 14, 15];
/** The largest message, inflated. */
const MOST = 64 * 2 ** 20;

/** What both ends agreed on, and what went before. */
export class NaiveDeflate {
  readonly #params: ReadonlyMap<string, string | undefined>;
  readonly #has: (fault: Fault) => boolean;
  #sent: Buffer = Buffer.alloc(0);
  #received: Buffer = Buffer.alloc(0);

  constructor(params: ReadonlyMap<string, string | undefined>, has: (fault: Fault) => boolean) {
    this.#params = params;
    this.#has = has;
  }

  /** What is offered. */
  static offer(has: (fault: Fault) => boolean): string {
    const bits = 'permessage-deflate; client_max_window_bits';
    if (has('offers an unknown parameter')) return `${bits}; mem_level=8`;
    if (has('offers a parameter twice')) return `${bits}; client_max_window_bits`;
    if (has('offers a window of 7')) return `${bits}; server_max_window_bits=7`;
    return bits;
  }

  /** What is answered to the offer; undefined when it is wrong. */
  static agree(value: string, has: (fault: Fault) => boolean): NaiveDeflate | undefined {
    const elements = value.split(',').filter((element) => element.trim() !== '');
    if (elements.length > 1 && !has('takes the first of two extensions')) return undefined;
    const [name, ...params] = elements[0]!.split(';').map((part) => part.trim());
    if (name !== 'permessage-deflate') return undefined;
    const agreed = new Map<string, string | undefined>();
    for (const param of params) {
      const [, key, quoted, plain] =
        /^(\w+)(?:[ \t]*=[ \t]*(?:"([^"\s]+)"|([^"\s=]+)))?$/.exec(param) ?? [];
      if (key === undefined) return undefined;
      if (agreed.has(key) && !has('takes a parameter twice')) return undefined;
      if (!isRight(key, quoted ?? plain, has)) return undefined;
      agreed.set(key, quoted ?? plain);
    }
    return new NaiveDeflate(agreed, has);
  }

  compress(payload: Buffer): Buffer {
    const told = Number(this.#params.get('client_max_window_bits') ?? 15);
    const wide =
      this.#has('compresses with a larger window than it may') || !ALL_BITS.includes(told);
    const windowBits = wide ? 15 : told;
    const packed = deflateRawSync(payload, {
      // zlib has no window of 256 bytes, and what is only stored needs none.
      ...(windowBits === 8 ? { level: 0 } : { windowBits }),
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#sent.length > 0 && { dictionary: this.#sent }),
    });
    const alone = this.#params.has('client_no_context_takeover');
    if (!alone || this.#has('compresses by what went before, though it must not')) {
      this.#sent = Buffer.concat([this.#sent, payload]).subarray(-(2 ** windowBits));
    }
    return packed.subarray(0, -TAIL.length);
  }

  /** @throws Error when it is no DEFLATE data, or too much of it. */
  decompress(payload: Buffer): Buffer {
    const parts: Buffer[] = [];
    let rest = Buffer.concat([payload, TAIL]);
    // Behind a final block another stream begins.
    while (rest.length > 0) {
      const { buffer, engine } = inflateRawSync(rest, {
        info: true,
        maxOutputLength: MOST,
        finishFlush: constants.Z_SYNC_FLUSH,
        ...(this.#received.length > 0 && { dictionary: this.#received }),
      }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
      parts.push(buffer);
      if (!this.#has('forgets what messages were compressed by')) {
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
    return value === undefined || has('takes a value where there must be none');
  }
  if (key !== 'server_max_window_bits' && key !== 'client_max_window_bits') {
    return has('takes unknown parameters');
  }
  if (value === undefined) return has('takes a window without a number');
  if (/^(?:[89]|1[0-5])$/.test(value)) return true;
  const bits = Number(value);
  if (bits >= 8 && bits <= 15) return has('reads numbers as JavaScript does');
  return has('takes any window');
}
