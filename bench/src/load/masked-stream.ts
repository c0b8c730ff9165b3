import { maskedFrame } from './corpus.ts';

const BINARY = 0x82;

/** The bytes that a sink must receive: masked binary messages of one size, in a fixed order. */
export class MaskedStream {
  readonly #payloads: readonly Buffer[];
  readonly #header: Buffer;
  #next = 0;
  #rest: Buffer[] = [];
  #length = 0;

  /** @param payloads - Of one size. */
  constructor(payloads: readonly Buffer[]) {
    this.#payloads = payloads;
    const { length } = payloads[0]!;
    this.#header = maskedFrame(BINARY, Buffer.alloc(length), 0).subarray(0, -4 - length);
  }

  /**
   * @returns Number of messages that this chunk completes.
   * @throws Error for a byte that differs.
   */
  push(chunk: Buffer): number {
    this.#rest.push(chunk);
    this.#length += chunk.length;
    const frame = this.#header.length + 4 + this.#payloads[0]!.length;
    if (this.#length < frame) return 0;
    const bytes = this.#rest.length === 1 ? chunk : Buffer.concat(this.#rest, this.#length);
    let at = 0;
    let messages = 0;
    for (; bytes.length - at >= frame; at += frame) {
      this.#compare(bytes, at);
      messages++;
    }
    this.#rest = at < bytes.length ? [bytes.subarray(at)] : [];
    this.#length -= at;
    return messages;
  }

  #compare(bytes: Buffer, at: number): void {
    const payload = this.#payloads[this.#next]!;
    const key = at + this.#header.length;
    let same = bytes.compare(this.#header, 0, this.#header.length, at, key) === 0;
    for (let i = 0; i < payload.length; i++) {
      same &&= (bytes[key + 4 + i]! ^ bytes[key + (i & 3)]!) === payload[i];
    }
    if (!same) throw new Error(`message ${this.#next} of a client differs`);
    this.#next = this.#next + 1 === this.#payloads.length ? 0 : this.#next + 1;
  }
}
