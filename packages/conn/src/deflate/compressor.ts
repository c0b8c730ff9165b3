import type { Compression } from './compression-options.ts';
import type { Deflater } from './engine.ts';
import { deflaterKey, type Engines, type Seat } from './engines.ts';
import { HistoryRing } from './history.ts';

/** The empty stored block's end that is not sent (RFC 7692, section 7.2.1). */
const TAIL = 4;
/** In place of a history: the deflater goes on. */
const KEEP = 0;

/**
 * What one side sends, compressed. Every message may be compressed for itself; with context takeover a connection that
 * sends often has a deflater that remembers, as long as there are enough of them.
 */
export class Deflation {
  /** -2 to 9. */
  level: number;
  /** Whether messages are compressed that do not say themselves. */
  enabled = true;
  readonly engines: Engines;
  readonly compression: Compression;
  readonly windowBits: number;
  readonly #takeover: boolean;
  /** What we have sent lately: lets a deflater that we did not have begin with some context. */
  readonly #history: HistoryRing | undefined;
  #seat: Seat<Deflater> | undefined;
  /** Where the last message was put. */
  #output: Uint8Array;

  /**
   * @param takeover - Whether our messages may refer back to earlier ones.
   * @param windowBits - How far back at most, as a power of two.
   */
  constructor(engines: Engines, compression: Compression, takeover: boolean, windowBits: number) {
    this.engines = engines;
    this.compression = compression;
    this.windowBits = windowBits;
    this.level = compression.level;
    this.#output = engines.output;
    this.#takeover = takeover;
    const { sendHistory } = compression;
    if (!takeover || sendHistory === 0) return;
    const bits = Math.min(windowBits, Math.max(8, Math.ceil(Math.log2(sendHistory))));
    this.#history = new HistoryRing(engines, 1 << bits);
  }

  /** Bytes of memory that are held for what was sent. */
  get held(): number {
    return this.#history?.held ?? 0;
  }

  /** What a deflater needs to be one for us. */
  get key(): number {
    return deflaterKey(this.level, this.windowBits);
  }

  get history(): HistoryRing | undefined {
    return this.#history;
  }

  /** Whether a message of `size` bytes is to be compressed; `compress`: what its writer has said about it. */
  wants(size: number, compress: boolean | undefined): boolean {
    return compress ?? (this.enabled && size >= this.compression.threshold);
  }

  /** Whether a message of `size` bytes is to be compressed on another thread. */
  isLarge(size: number): boolean {
    return size > this.compression.asyncDeflateThreshold;
  }

  /** Where the last message was put, `[0, n)`. To be asked for once, and copied before anything else happens. */
  takeOutput(): Uint8Array {
    const output = this.#output;
    // One made for a large message is not kept.
    this.#output = this.engines.output;
    return output;
  }

  /**
   * Compresses a message; returns the bytes it has put into {@link takeOutput}, or 0 when it does not get smaller.
   *
   * @throws what the platform throws, when it has no memory for example.
   */
  deflate(bytes: Uint8Array, start: number, end: number): number {
    const { key, engines } = this;
    const remembers = this.#takeover && this.#remembers(key);
    if (this.#takeover && !remembers) {
      this.#seat = engines.own(this, key, this.compression.takeoverEngines);
    }
    const own = this.#seat;
    const seat = own ?? engines.takeDeflater(key);
    const n = this.#whole(seat, remembers ? KEEP : this.#history, bytes, start, end);
    if (own === undefined) engines.giveDeflater(seat);
    // Its text is not in the peer's window when the message goes as it is.
    else if (n === 0) own.owner = undefined;
    if (n > 0) this.#history?.append(bytes, start, end);
    return n;
  }

  /** Compresses a message that shares nothing with others, for whoever has the same window and level. */
  deflateAlone(bytes: Uint8Array): number {
    const seat = this.engines.takeDeflater(this.key);
    const n = this.#whole(seat, undefined, bytes, 0, bytes.length);
    this.engines.giveDeflater(seat);
    return n;
  }

  /** A message was sent that was compressed elsewhere: it is in the peer's window, and in none of ours. */
  passed(bytes: Uint8Array, start: number, end: number): void {
    this.disown();
    this.#history?.append(bytes, start, end);
  }

  /** A message that is remembered has not left: the peer does not have it, and must not be referred back to it. */
  forget(): void {
    this.disown();
    this.#history?.release();
  }

  /** The deflater that remembers our messages has missed one. */
  disown(): void {
    if (this.#seat?.owner === this) this.#seat.owner = undefined;
    this.#seat = undefined;
  }

  /** The connection is gone. */
  destroy(): void {
    this.forget();
  }

  /** Whether there is a deflater that has seen all our messages. */
  #remembers(key: number): boolean {
    const seat = this.#seat;
    if (seat?.owner !== this) return false;
    const { engines } = this;
    if (seat.key === key && seat.generation === engines.source.generation) {
      engines.touch(seat);
      return true;
    }
    seat.owner = undefined;
    return false;
  }

  /** @param history - What the deflater is to begin with; `KEEP`: it has seen it. */
  #whole(
    seat: Seat<Deflater>,
    history: HistoryRing | typeof KEEP | undefined,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): number {
    const { engine } = seat;
    const size = end - start;
    const { output } = this.engines;
    try {
      const room = size + TAIL > output.length ? new Uint8Array(size + TAIL) : output;
      if (history !== KEEP) engine.reset(history);
      // What does not fit in here is not smaller.
      const whole = engine.write(bytes, start, end, true, room, 0, size + TAIL - 1);
      if (!whole || size === 0) return 0;
      this.#output = room;
      return engine.produced - TAIL;
    } catch (error) {
      this.engines.loseDeflater(seat);
      throw error;
    }
  }
}

/** A message that is compressed as it is written, fragment by fragment. */
export class DeflateStream {
  /** Where the last fragment was put. To be copied before anything else happens. */
  output: Uint8Array;
  readonly #deflation: Deflation;
  readonly #seat: Seat<Deflater>;
  #begun = false;
  #broken = false;

  constructor(deflation: Deflation, seat: Seat<Deflater>) {
    this.#deflation = deflation;
    this.#seat = seat;
    this.output = deflation.engines.output;
    // Compressed elsewhere, to the deflater that remembers.
    deflation.disown();
  }

  /**
   * Compresses the next fragment into `output[0, n)`, so that the peer can inflate all of it at once; returns `n`.
   *
   * @throws what the platform throws, when it has no memory for example.
   */
  fragment(bytes: Uint8Array, start: number, end: number, fin: boolean): number {
    const { engines, history } = this.#deflation;
    this.output = engines.output;
    this.#broken = true;
    if (!this.#begun) this.#seat.engine.reset(history);
    this.#begun = true;
    const size = this.#flush(bytes, start, end);
    this.#broken = false;
    history?.append(bytes, start, end);
    if (!fin) return size;
    if (size > 0) return size - TAIL;
    // Nothing was left to flush: an empty stored block, without the tail (RFC 7692, section 7.2.3.6).
    this.output[0] = 0;
    return 1;
  }

  /** The message is complete, or will never be. */
  end(): void {
    this.#deflation.engines.endLease(this.#seat, this.#broken);
  }

  #flush(bytes: Uint8Array, start: number, end: number): number {
    const { engine } = this.#seat;
    let from = start;
    let size = 0;
    for (;;) {
      const whole = engine.write(bytes, from, end, true, this.output, size, this.output.length);
      from += engine.used;
      size += engine.produced;
      if (whole) return size;
      const larger = new Uint8Array(this.output.length * 2);
      larger.set(this.output);
      this.output = larger;
    }
  }
}
