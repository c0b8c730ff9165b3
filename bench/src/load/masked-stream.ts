const BINARY = 0x82;
const MASKED = 0x80;
const HEADER = 6;

/**
 * The expected bytes of a sink: masked binary messages of one size below 126 bytes, repeated in
 * order.
 */
export class MaskedStream {
  readonly #payloads: readonly Buffer[];
  readonly #size: number;
  #next = 0;
  #rest: Buffer | undefined;

  constructor(payloads: readonly Buffer[]) {
    this.#payloads = payloads;
    this.#size = payloads[0]!.length;
  }

  /**
   * @returns Number of messages that this chunk completes.
   * @throws Error for a byte that differs.
   */
  push(chunk: Buffer): number {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    const frame = HEADER + this.#size;
    let at = 0;
    let messages = 0;
    for (; bytes.length - at >= frame; at += frame) {
      this.#compare(bytes, at);
      messages++;
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : undefined;
    return messages;
  }

  #compare(bytes: Buffer, at: number): void {
    const payload = this.#payloads[this.#next]!;
    let same = bytes[at] === BINARY && bytes[at + 1] === (MASKED | this.#size);
    for (let i = 0; i < this.#size; i++) {
      const byte = bytes[at + HEADER + i]! ^ bytes[at + 2 + (i & 3)]!;
      same &&= byte === payload[i];
    }
    if (!same) throw new Error(`message ${this.#next} of a client differs`);
    this.#next = this.#next + 1 === this.#payloads.length ? 0 : this.#next + 1;
  }
}
