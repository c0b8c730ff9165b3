import { generator, jsonLike } from '../load/corpus.ts';

/**
 * Digits of a message's number at its start, the lowest first, so that short messages differ too.
 */
const DIGITS = 8;
const BASE = 36;
/** Number of offsets in the corpus that the rest of a message can start at. */
const PLACES = 4096;

/** Numbered messages. They are generated on sending, and again on comparison. */
export class Messages {
  readonly text: boolean;
  readonly size: number;
  /** Number of messages until the digits repeat. */
  readonly period: number;
  readonly #corpus: Buffer;
  readonly #scratch: Uint8Array;
  readonly #digits: number;

  /**
   * @param size - Bytes of each message.
   * @param text - Whether the messages are sent as text.
   * @param compressible - Whether they are JSON-like records instead of random bytes. Text always
   *   is.
   */
  constructor(size: number, text: boolean, compressible: boolean) {
    this.text = text;
    this.size = size;
    this.#digits = Math.min(DIGITS, size);
    this.period = BASE ** this.#digits;
    this.#scratch = new Uint8Array(size);
    const length = size - this.#digits + PLACES;
    this.#corpus = text || compressible ? Buffer.from(jsonLike(length)) : noise(length);
  }

  /** Message `n`, borrowed: the next call overwrites it. */
  make(n: number): Uint8Array {
    const scratch = this.#scratch;
    let rest = n;
    for (let i = 0; i < this.#digits; i++) {
      scratch[i] = digit(rest % BASE);
      rest = Math.floor(rest / BASE);
    }
    const place = placeOf(n);
    this.#corpus.copy(scratch, this.#digits, place, place + this.size - this.#digits);
    return scratch;
  }

  /** Whether a message is longer than its digits, so that no message equals another by chance. */
  get unique(): boolean {
    return this.size > this.#digits;
  }

  /** The number that `bytes` start with, below {@link period}; undefined without one. */
  numberOf(bytes: Uint8Array): number | undefined {
    if (bytes.length !== this.size) return undefined;
    let n = 0;
    for (let i = this.#digits - 1; i >= 0; i--) {
      const value = valueOf(bytes[i]!);
      if (value === undefined) return undefined;
      n = n * BASE + value;
    }
    return n;
  }

  /** Whether `bytes` are message `n`, byte by byte. */
  matches(n: number, bytes: Uint8Array): boolean {
    if (bytes.length !== this.size) return false;
    let rest = n;
    for (let i = 0; i < this.#digits; i++) {
      if (bytes[i] !== digit(rest % BASE)) return false;
      rest = Math.floor(rest / BASE);
    }
    const place = placeOf(n);
    const end = place + this.size - this.#digits;
    return this.#corpus.compare(bytes, this.#digits, this.size, place, end) === 0;
  }
}

function placeOf(n: number): number {
  return (n * 61) % PLACES;
}

function digit(value: number): number {
  return value < 10 ? 0x30 + value : 0x57 + value;
}

function valueOf(digit: number): number | undefined {
  if (digit >= 0x30 && digit <= 0x39) return digit - 0x30;
  return digit >= 0x61 && digit <= 0x7a ? digit - 0x57 : undefined;
}

function noise(length: number): Buffer {
  const random = generator(3);
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let i = 0; i < length; i++) bytes[i] = random();
  return bytes;
}
